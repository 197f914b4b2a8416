import { Failure } from '../domain/failure.ts';
import type { Clock } from '../domain/time.ts';
import type { CallOutcome } from './metrics.ts';

/** Told of every call that ended: which method, with what outcome, after how long. */
export type CallRecorder = (sample: {
  readonly operation: string;
  readonly outcome: CallOutcome;
  readonly durationMs: number;
  /** The Failure of the call, if there was one. */
  readonly failure?: Failure;
}) => void;

/**
 * The same port, with every asynchronous method measured: one place, so that no adapter counts itself and none is
 * forgotten. Synchronous methods and fields pass through.
 */
export function measured<T extends object>(port: T, clock: Clock, record: CallRecorder): T {
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function' || typeof name !== 'string') return member;
      return (...given: readonly unknown[]): unknown => {
        const startedMs = clock.monotonicMs();
        const result: unknown = Reflect.apply(member, target, given);
        if (!(result instanceof Promise)) return result;
        const end = (outcome: CallOutcome, failure?: Failure): void => {
          const sample = { operation: name, outcome, durationMs: clock.monotonicMs() - startedMs };
          record(failure === undefined ? sample : { ...sample, failure });
        };
        return result.then(
          (value: unknown) => {
            end('ok');
            return value;
          },
          (error: unknown) => {
            if (error instanceof Failure) end(error.detail?.class ?? error.kind, error);
            else end('error');
            throw error;
          },
        );
      };
    },
  });
}
