/** Two looks count as two when they are at least this far apart. */
export const absenceMs = 500;

/**
 * How long an object must be absent while some file cannot be read. Long enough for somebody who moves a manifest into a file
 * that is briefly broken, or whose copying is interrupted; short enough that such a file does not keep a deleted key alive.
 */
export const doubtfulAbsenceMs = 10_000;

/**
 * The deletion rule: an object counts as deleted when two complete looks in a row, at least {@link absenceMs} apart, lacked it.
 * An incomplete look restarts that count; an object that all looks within {@link doubtfulAbsenceMs} lacked is gone, whether they
 * were complete or not.
 */
export class Absence {
  readonly #since = new Map<string, { readonly atMs: number; completeAtMs: number | undefined }>();

  /** Takes a look's missing ids; returns those that count as deleted. `atMs` is monotonic. */
  observe(missing: readonly string[], complete: boolean, atMs: number): readonly string[] {
    const now = new Set(missing);
    for (const id of this.#since.keys()) if (!now.has(id)) this.#since.delete(id);
    return missing.filter((id) => {
      const since = this.#since.get(id) ?? { atMs, completeAtMs: undefined };
      this.#since.set(id, since);
      since.completeAtMs = complete ? (since.completeAtMs ?? atMs) : undefined;
      const isSure = since.completeAtMs !== undefined && atMs - since.completeAtMs >= absenceMs;
      return isSure || atMs - since.atMs >= doubtfulAbsenceMs;
    });
  }
}
