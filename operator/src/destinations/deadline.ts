import { AsyncLocalStorage } from 'node:async_hooks';
import type { Destination } from './port.ts';

const overall = new AsyncLocalStorage<AbortSignal>();

/**
 * The destination, with a deadline for each call as a whole, in milliseconds: logins, retries and all requests of the call share
 * it. Code that sends a request gets its signal from {@link boundBy}.
 */
export function withDeadline(destination: Destination, deadlineMs: number): Destination {
  const bounded = <T>(call: () => Promise<T>): Promise<T> => overall.run(AbortSignal.timeout(deadlineMs), call);
  return {
    readMark: (location) => bounded(() => destination.readMark(location)),
    readValue: (location) => bounded(() => destination.readValue(location)),
    write: (...write) => bounded(() => destination.write(...write)),
    promote: (...promotion) => bounded(() => destination.promote(...promotion)),
    withdraw: (...withdrawal) => bounded(() => destination.withdraw(...withdrawal)),
    probe: () => bounded(() => destination.probe()),
    close: () => destination.close(),
  };
}

/** The deadline of one request: its own, or what is left of its call's deadline. */
export function boundBy(timeoutMs: number): AbortSignal {
  const own = AbortSignal.timeout(timeoutMs);
  const call = overall.getStore();
  return call === undefined ? own : AbortSignal.any([own, call]);
}

/**
 * What a request came to, or a rejection when its signal aborts. undici notices that only with a connection, and where none comes
 * about it tries for one waiting request after the other. It never sends a request whose signal has aborted.
 */
export function orAborted<T>(signal: AbortSignal, made: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      reject(signal.reason as Error);
    };
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    void made.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', giveUp);
    });
  });
}
