/** Two looks count as two when they are at least this far apart. */
export const absenceMs = 500;

/**
 * How long an object must be absent while some file cannot be read. Long enough for somebody who moves a manifest into a file
 * that is briefly broken, or whose copying is interrupted; short enough that such a file does not keep a deleted key alive.
 */
export const doubtfulAbsenceMs = 10_000;

/** An object that is absent, and not long enough yet. */
export interface Waiting {
  readonly id: string;
  /** When it counts as deleted if it stays away and nothing else changes. Monotonic. */
  readonly dueMs: number;
}

interface Since {
  readonly atMs: number;
  readonly completeAtMs: number | undefined;
}

/**
 * The deletion rule: an object counts as deleted when it was absent for the grace, and two complete looks in a row, at least
 * {@link absenceMs} apart, lacked it. An incomplete look restarts that count; an object that all looks within
 * {@link doubtfulAbsenceMs} lacked is gone, whether they were complete or not.
 */
export class Absence {
  readonly #graceMs: number;
  #since: ReadonlyMap<string, Since> = new Map();

  constructor(graceMs: number) {
    this.#graceMs = graceMs;
  }

  /** Takes a look's missing ids; says which count as deleted, and which will. `atMs` is monotonic. */
  observe(
    missing: readonly string[],
    complete: boolean,
    atMs: number,
  ): { readonly gone: readonly string[]; readonly waiting: readonly Waiting[] } {
    const since = new Map<string, Since>();
    for (const id of missing) {
      const before = this.#since.get(id);
      since.set(id, { atMs: before?.atMs ?? atMs, completeAtMs: complete ? (before?.completeAtMs ?? atMs) : undefined });
    }
    this.#since = since;
    const all = [...since].map(([id, one]): Waiting => ({ id, dueMs: this.#dueMs(one) }));
    return {
      gone: all.filter(({ dueMs }) => dueMs <= atMs).map(({ id }) => id),
      waiting: all.filter(({ dueMs }) => dueMs > atMs),
    };
  }

  #dueMs({ atMs, completeAtMs }: Since): number {
    const doubtful = atMs + doubtfulAbsenceMs;
    const sure = completeAtMs === undefined ? doubtful : Math.min(completeAtMs + absenceMs, doubtful);
    return Math.max(sure, atMs + this.#graceMs);
  }
}
