import type { Clock } from '../domain/time.ts';
import type { HostView, Lineage, Remembered } from './primary.ts';

/** What lets another process know the primary: see {@link PrimaryMemory.note}. */
export type PrimaryNote = Lineage & Pick<Remembered['last'], 'beats' | 'at'>;

/** What was seen of one host. */
interface Sight {
  readonly kind: HostView['kind'];
  readonly beats: number;
  /** Since when the count has been the same, and when it was read last, on the monotonic clock. */
  readonly sinceMs: number;
  readonly seenMs: number;
  readonly hasGrown: boolean;
}

/** After a longer absence, nobody knows when the count grew, in milliseconds. */
const absenceMs = 15_000;

/**
 * What one process knows of the database's hosts from earlier surveys: the primary that it used last, so that it never goes on with
 * one that lacks what that one had, and whose heartbeats it saw coming. Shared by all connections of a process.
 */
export class PrimaryMemory {
  readonly #clock: Clock;
  readonly #sights = new Map<number, Sight>();
  #remembered: { readonly primary: Remembered; readonly atMs: number } | undefined;
  #restores = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many times something else was put in the place of what was remembered: each time, a host must be chosen again. */
  get restores(): number {
    return this.#restores;
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Adds to answers, in the order of the hosts, what is known of the heartbeats they tell. `askedMs` is when they were asked. */
  watched(views: readonly HostView[], askedMs: number): readonly HostView[] {
    return views.map((view, host) => {
      if (!('last' in view)) return view;
      const { beats } = view.last;
      const before = this.#sights.get(host);
      const isNew = before?.beats !== beats;
      const sight: Sight = {
        ...{ kind: view.kind, beats, seenMs: askedMs },
        sinceMs: before === undefined || isNew ? askedMs : before.sinceMs,
        // A standby that catches up repeats old heartbeats.
        hasGrown:
          view.kind === 'primary' &&
          before?.kind === 'primary' &&
          (isNew ? beats > before.beats && askedMs - before.seenMs <= absenceMs : before.hasGrown),
      };
      this.#sights.set(host, sight);
      return { ...view, last: { ...view.last, stillMs: Math.max(askedMs - sight.sinceMs, 0), hasGrown: sight.hasGrown } };
    });
  }

  /** The host that is used from now on, or still. */
  use(view: Extract<HostView, { kind: 'primary' }>, askedMs: number): void {
    if (view.last === undefined) return;
    const { system, timeline, last } = view;
    this.#remembered = { primary: { system, timeline, last }, atMs: askedMs };
  }

  /** The primary that was used last; its heartbeat grows older meanwhile. */
  remembered(): Remembered | undefined {
    if (this.#remembered === undefined) return undefined;
    const { primary, atMs } = this.#remembered;
    const { last } = primary;
    const passedMs = this.nowMs() - atMs;
    const { stillMs } = last;
    const still = stillMs === undefined ? {} : { stillMs: stillMs + passedMs };
    return { ...primary, last: { ...last, ageMs: last.ageMs + passedMs, ...still } };
  }

  /** For other processes, see {@link restore}; `undefined` = nothing is remembered. */
  note(): PrimaryNote | undefined {
    if (this.#remembered === undefined) return undefined;
    const { system, timeline, last } = this.#remembered.primary;
    return { system, timeline, beats: last.beats, at: last.at };
  }

  /** Takes over what another process remembered, or forgets everything, so that whatever accepts writes may be used. */
  restore(note: PrimaryNote | undefined): void {
    this.#restores += 1;
    this.#remembered = undefined;
    if (note === undefined) return;
    const { system, timeline, beats, at } = note;
    const last = { beats, at, ageMs: this.#clock.now() - at, stillMs: 0 };
    this.#remembered = { primary: { system, timeline, last }, atMs: this.nowMs() };
  }
}
