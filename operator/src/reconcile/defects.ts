import { FenceLost } from '../store/port.ts';
import type { Log, LogFields } from '../telemetry/log.ts';

/** What an error that is no Failure came to: leadership is gone, or a defect of ours in one object's pass. */
export type DefectKind = 'fence lost' | 'defect';

/** The one place that tells of errors that no plan can answer. */
export class Defects {
  readonly #log: Log;
  readonly #onFenceLost: () => void;
  #fenceLost = false;

  constructor(log: Log, onFenceLost: () => void) {
    this.#log = log;
    this.#onFenceLost = onFenceLost;
  }

  /**
   * Tells once that leadership is lost, and of every defect with its place but without its message, which may quote what
   * it stumbled over.
   */
  report(error: unknown, about: Pick<LogFields, 'apiKey' | 'kind' | 'name'>): DefectKind {
    if (error instanceof FenceLost) {
      if (!this.#fenceLost) {
        this.#fenceLost = true;
        this.#log.error('leadership lost in the store', about);
        this.#onFenceLost();
      }
      return 'fence lost';
    }
    const stack = error instanceof Error ? (error.stack ?? '').split('\n').slice(1, 6).join('\n') : '';
    const failure = error instanceof Error ? error.name : 'unknown';
    this.#log.error('defect', { ...about, reason: 'InternalError', stack, failure });
    return 'defect';
  }
}
