import { Pool } from 'undici';

/** How many loops ask at once, over as many connections; see {@link startLoops}. */
export interface Loops {
  /** Answers so far. */
  readonly answered: number;
  /** Asks no more; resolves when the last answer is there. Rejects with the first error that `ask` threw. */
  stop(): Promise<void>;
}

/**
 * Starts `count` clients that each ask again as soon as they have an answer. `ask` gets a pool with a connection for each, or with
 * `connections` where a listener keeps no more of one source.
 */
export function startLoops(url: string, count: number, ask: (pool: Pool) => Promise<void>, connections = count): Loops {
  const pool = new Pool(url, { connections });
  const state = { answered: 0, stopped: false };
  const loop = async (): Promise<void> => {
    while (!state.stopped) {
      await ask(pool);
      state.answered += 1;
    }
  };
  const all = Promise.all(Array.from({ length: count }, loop)).finally(() => {
    state.stopped = true;
  });
  // Heard of by whoever stops them.
  all.catch(() => {});
  return {
    get answered() {
      return state.answered;
    },
    stop: async () => {
      state.stopped = true;
      await all.finally(() => pool.close());
    },
  };
}
