/** The most recently added texts, each once; at most `limit`. */
export class RecentSet {
  readonly #limit: number;
  readonly #texts = new Set<string>();

  /** `limit`: from 1. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  has(text: string): boolean {
    return this.#texts.has(text);
  }

  add(text: string): void {
    this.#texts.delete(text);
    this.#texts.add(text);
    const [oldest] = this.#texts;
    if (this.#texts.size > this.#limit && oldest !== undefined) this.#texts.delete(oldest);
  }

  delete(text: string): void {
    this.#texts.delete(text);
  }
}
