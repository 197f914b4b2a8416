import type { Clock, Instant } from '../../domain/time.ts';
import type { KeyCounts, Store } from '../../store/port.ts';

/** Counts are taken at most this often, in milliseconds, however much changes. */
export const countEveryMs = 60_000;

/** How many keys name what, as it was counted last; readiness as the passes over the keys saw it since the start. */
export class Counts {
  readonly #store: Pick<Store, 'countKeys'>;
  readonly #clock: Clock;
  readonly #ready = new Map<string, { readonly owner: string; readonly ready: boolean }>();
  #counted: KeyCounts | undefined;
  #readyByOwner: ReadonlyMap<string, number> = new Map();
  #at: Instant = 0;
  #refreshed = false;

  constructor(store: Pick<Store, 'countKeys'>, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** What a pass over an ApiKey found; without `found` the key is gone. True when it says something new. */
  note(apiKey: string, found: { readonly owner: string; readonly ready: boolean } | undefined): boolean {
    const before = this.#ready.get(apiKey);
    if (found === undefined) return this.#ready.delete(apiKey);
    this.#ready.set(apiKey, found);
    return before?.ready !== found.ready;
  }

  /** When the next counting may be. */
  nextAt(): Instant {
    return this.#at + countEveryMs;
  }

  /** The numbers last counted; counts when that never was. */
  async current(): Promise<KeyCounts> {
    return this.#counted ?? (await this.#count());
  }

  /** Counts anew, and says which owners, catalogs and destinations (by uid) have other numbers than before. */
  async refresh(): Promise<{
    readonly owners: readonly string[];
    readonly catalogs: readonly string[];
    readonly destinations: readonly string[];
  }> {
    const [before, readyBefore] = [this.#counted, this.#readyByOwner];
    const after = await this.#count();
    this.#refreshed = true;
    const empty = new Map<string, number>();
    return {
      owners: [...new Set([...changed(before?.byOwner ?? empty, after.byOwner), ...changed(readyBefore, this.#readyByOwner)])],
      catalogs: changed(before?.byCatalog ?? empty, after.byCatalog),
      destinations: changed(before?.byDestination ?? empty, after.byDestination),
    };
  }

  /** Passes over the keys were counted: before that the last status knows better who is Ready. */
  get refreshed(): boolean {
    return this.#refreshed;
  }

  /** Of an owner's keys, those that are Ready. */
  readyOf(owner: string): number {
    return this.#readyByOwner.get(owner) ?? 0;
  }

  async #count(): Promise<KeyCounts> {
    const counted = await this.#store.countKeys();
    const ready = new Map<string, number>();
    for (const key of this.#ready.values()) if (key.ready) ready.set(key.owner, (ready.get(key.owner) ?? 0) + 1);
    this.#at = this.#clock.now();
    this.#counted = counted;
    this.#readyByOwner = ready;
    return counted;
  }
}

function changed(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): readonly string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter((name) => before.get(name) !== after.get(name));
}
