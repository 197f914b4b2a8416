interface Entry<K> {
  readonly due: number;
  readonly key: K;
}

/**
 * Keys and when each is due; of two instants for one key the earlier counts. A binary heap whose out-of-date entries
 * are skipped when they come up, so that 100,000 keys with a distant instant each cost nothing while they wait.
 */
export class Schedule<K> {
  readonly #due = new Map<K, number>();
  #heap: Entry<K>[] = [];

  /** Keys that wait. */
  get size(): number {
    return this.#due.size;
  }

  /** When a key is due. */
  dueOf(key: K): number | undefined {
    return this.#due.get(key);
  }

  /** Says that `key` is due at `due`, unless it is due sooner already. */
  set(key: K, due: number): void {
    const known = this.#due.get(key);
    if (known !== undefined && known <= due) return;
    this.#due.set(key, due);
    this.#push({ due, key });
  }

  delete(key: K): void {
    this.#due.delete(key);
    // Out-of-date entries must not outgrow the live ones: a key that is rescheduled forever would fill the heap.
    if (this.#heap.length > 64 && this.#heap.length > 4 * this.#due.size) this.#rebuild();
  }

  /** The earliest instant, or `undefined` when nothing waits. */
  next(): number | undefined {
    this.#skipOutdated();
    return this.#heap[0]?.due;
  }

  /** Removes and returns a key that is due at `now`, the earliest first. */
  takeDue(now: number): K | undefined {
    this.#skipOutdated();
    const first = this.#heap[0];
    if (first === undefined || first.due > now) return undefined;
    this.#pop();
    this.#due.delete(first.key);
    return first.key;
  }

  #skipOutdated(): void {
    for (let first = this.#heap[0]; first !== undefined && this.#due.get(first.key) !== first.due; first = this.#heap[0])
      this.#pop();
  }

  #rebuild(): void {
    this.#heap = [];
    for (const [key, due] of this.#due) this.#push({ due, key });
  }

  #push(entry: Entry<K>): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt];
      if (parent === undefined || parent.due <= entry.due) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      if (left === undefined) break;
      const child = right !== undefined && right.due < left.due ? right : left;
      if (child.due >= last.due) break;
      heap[at] = child;
      at = child === left ? 2 * at + 1 : 2 * at + 2;
    }
    heap[at] = last;
  }
}
