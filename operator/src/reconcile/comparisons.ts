import type { Instant } from '../domain/time.ts';
import type { Comparison } from './observed.ts';
import { comparisonDue } from './wake.ts';

/** So many comparisons in {@link watchWindowMs} that a watch asks for are made at once; somebody may delete in a loop. */
const watchBurst = 6;
const watchWindowMs = 60_000;

const order: readonly Comparison[] = ['none', 'watched', 'most', 'all'];

/**
 * When the locations of each ApiKey are compared with the store although its resource did not change: at fixed instants, and
 * when a watch tells of a change. Nothing of it outlives the process: a start makes nothing due.
 */
export class Comparisons {
  readonly #startedAt: Instant;
  readonly #comparedAt = new Map<string, Instant>();
  /** A comparison that a failure stopped: the change that asked for it does not come again. */
  readonly #owed = new Map<string, Comparison>();
  readonly #asked = new Set<string>();
  /** When the last ones were made that a watch asked for, oldest first. */
  readonly #watched = new Map<string, readonly Instant[]>();

  constructor(startedAt: Instant) {
    this.#startedAt = startedAt;
  }

  /** A watch told of a change at one of the key's Secrets. */
  ask(key: string): void {
    this.#asked.add(key);
  }

  /** When the comparison that was asked for may be made; `undefined` = none was. */
  askedAt(key: string, now: Instant): Instant | undefined {
    if (!this.#asked.has(key)) return undefined;
    const last = this.#watched.get(key) ?? [];
    return last.length < watchBurst ? now : Math.max(now, (last[0] ?? now) + watchWindowMs);
  }

  /** What a pass that begins now is to compare. Tell {@link end} what came of it. */
  begin(key: { readonly name: string; readonly uid: string }, intervalMs: number, now: Instant): Comparison {
    const { name, uid } = key;
    const scheduled = comparisonDue(uid, intervalMs, this.#comparedAt.get(name) ?? this.#startedAt, now);
    const asked = this.askedAt(name, now);
    const watched: Comparison = asked !== undefined && asked <= now ? 'watched' : 'none';
    if (watched === 'watched') {
      this.#asked.delete(name);
      this.#watched.set(name, [...(this.#watched.get(name) ?? []), now].slice(-watchBurst));
    }
    return widest(scheduled, watched, this.#owed.get(name) ?? 'none');
  }

  end(name: string, compare: Comparison, done: boolean, now: Instant): void {
    if (!done) this.#owed.set(name, widest(compare, this.#owed.get(name) ?? 'none'));
    else if (compare !== 'none') this.#owed.delete(name);
    // At an instant of its own every pass tries all that is due, and owes the rest.
    if (compare === 'most' || compare === 'all') this.#comparedAt.set(name, now);
  }

  forget(key: string): void {
    this.#comparedAt.delete(key);
    this.#owed.delete(key);
    this.#asked.delete(key);
    this.#watched.delete(key);
  }
}

function widest(...all: readonly Comparison[]): Comparison {
  return order[Math.max(...all.map((one) => order.indexOf(one)))] ?? 'none';
}
