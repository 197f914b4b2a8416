/** Two looks count as two when they are at least this far apart. */
export const absenceMs = 500;

/**
 * The deletion rule: an object counts as deleted when two complete looks in a row, at least {@link absenceMs} apart,
 * lacked it. A look that is not complete proves nothing, and begins the count anew.
 */
export class Absence {
  readonly #since = new Map<string, number>();

  /** Takes a complete look's missing ids; returns those that count as deleted. `atMs` is monotonic. */
  observe(missing: readonly string[], atMs: number): readonly string[] {
    const now = new Set(missing);
    for (const id of this.#since.keys()) if (!now.has(id)) this.#since.delete(id);
    return missing.filter((id) => {
      const since = this.#since.get(id);
      if (since === undefined) this.#since.set(id, atMs);
      return since !== undefined && atMs - since >= absenceMs;
    });
  }

  /** After a look that was not complete. */
  reset(): void {
    this.#since.clear();
  }
}
