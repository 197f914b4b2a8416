/** The worker that handles a key. */
export interface Worker {
  /**
   * Runs `work`, which waits for something else, and lends the worker to other keys meanwhile. The key still counts as in flight.
   * When it comes back, it goes before keys that have not begun. Several calls at once are one absence.
   */
  away<T>(work: () => Promise<T>): Promise<T>;
}

/** What {@link Workers} are made of. */
export interface WorkersInit {
  /** Workers in all, from 1. */
  readonly count: number;
  /** Called when a worker is free and no returning key waits for it. */
  readonly onFree: () => void;
}

/** A worker in use. Its user must call {@link TakenWorker.end}. */
export interface TakenWorker extends Worker {
  /** The work is done; parts of it that are still away finish without a worker. */
  end(): void;
}

/** A fixed number of workers for the keys in flight; a key that is away lends its worker to others. */
export class Workers {
  readonly #init: WorkersInit;
  #busy = 0;
  /** Keys that come back and wait for a worker, in order. */
  readonly #returning: (() => void)[] = [];

  constructor(init: WorkersInit) {
    this.#init = init;
  }

  /** Whether nobody works: all work in flight, if there is any, is away. */
  areIdle(): boolean {
    return this.#busy === 0;
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
      away: async (work) => {
        // Another call of the same key is already waiting to get a worker back: wait for it.
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
