/**
 * Ready keys. Each group gives one key in its turn: however many keys a group has, a key of another one waits only for one of each
 * group before it. Within a group in the order in which they came.
 */
export class Turns<K> {
  /** Each with the time when it came; the group whose turn is next comes first, and none is empty. */
  readonly #groups = new Map<string, Map<K, number>>();
  readonly #groupOf = new Map<K, string>();

  get size(): number {
    return this.#groupOf.size;
  }

  has(key: K): boolean {
    return this.#groupOf.has(key);
  }

  add(key: K, group: string, sinceMs: number): void {
    const keys = this.#groups.get(group) ?? new Map<K, number>();
    this.#groups.set(group, keys.set(key, sinceMs));
    this.#groupOf.set(key, group);
  }

  delete(key: K): void {
    const group = this.#groupOf.get(key);
    if (group === undefined) return;
    this.#groupOf.delete(key);
    const keys = this.#groups.get(group);
    keys?.delete(key);
    if (keys?.size === 0) this.#groups.delete(group);
  }

  /** The key whose turn it is, and when it came. */
  head(): readonly [K, number] | undefined {
    return this.#groups.values().next().value?.entries().next().value;
  }

  /** Takes the key whose turn it is; its group goes behind the others. */
  take(): K | undefined {
    const [group, keys] = this.#groups.entries().next().value ?? [];
    const key = keys?.keys().next().value;
    if (group === undefined || keys === undefined || key === undefined) return undefined;
    this.#groups.delete(group);
    this.#groups.set(group, keys);
    this.delete(key);
    return key;
  }
}
