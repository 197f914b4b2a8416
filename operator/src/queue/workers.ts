/** Who takes part in the work on a key. */
export interface Worker {
  /** Aborted when a drain gives up. */
  readonly signal: AbortSignal;
  /**
   * Runs `work`, which waits for somebody else, without the worker: other keys are handled meanwhile. Its key counts as in
   * flight all the time. A key that comes back goes before keys that have not begun. Several at once are one absence.
   */
  away<T>(work: () => Promise<T>): Promise<T>;
}

/** What {@link Workers} are made of. */
export interface WorkersInit {
  /** Workers in all, from 1. */
  readonly count: number;
  readonly signal: AbortSignal;
  /** A worker is free, and nobody who was away waits for it. */
  readonly onFree: () => void;
}

/** A worker that is taken, to be ended by who took it. */
export interface TakenWorker extends Worker {
  /** The work is done; what of it is still away ends without a worker. */
  end(): void;
}

/** A fixed number of workers, lent to the keys in flight; a key that is away has lent its worker to others. */
export class Workers {
  readonly #init: WorkersInit;
  #busy = 0;
  /** Keys that were away and wait for a worker, in the order in which they came back. */
  readonly #returning: (() => void)[] = [];

  constructor(init: WorkersInit) {
    this.#init = init;
  }

  /** Whether work may begin now. */
  isFree(): boolean {
    return this.#busy < this.#init.count;
  }

  /** Takes a worker; call it only while {@link isFree}. */
  take(): TakenWorker {
    this.#busy += 1;
    let absences = 0;
    let hasEnded = false;
    let comingBack: Promise<void> | undefined;
    return {
      signal: this.#init.signal,
      away: async (work) => {
        // Somebody of the same key is on the way back: with the worker that is lent out next.
        while (comingBack !== undefined) await comingBack;
        if (hasEnded) return work();
        absences += 1;
        if (absences === 1) this.#release();
        try {
          return await work();
        } finally {
          absences -= 1;
          if (absences === 0 && !hasEnded) {
            comingBack = this.#comeBack();
            await comingBack;
            comingBack = undefined;
          }
        }
      },
      end: () => {
        hasEnded = true;
        if (absences === 0) this.#release();
      },
    };
  }

  #release(): void {
    this.#busy -= 1;
    const next = this.#returning.shift();
    if (next === undefined) this.#init.onFree();
    else next();
  }

  async #comeBack(): Promise<void> {
    if (this.#busy < this.#init.count) {
      this.#busy += 1;
      return;
    }
    await new Promise<void>((resolve) => {
      this.#returning.push(() => {
        this.#busy += 1;
        resolve();
      });
    });
  }
}
