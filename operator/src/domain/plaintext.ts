import { inspect } from 'node:util';

const redacted = '[redacted]';

/**
 * A secret value in memory. It prints, serialises and inspects as `[redacted]`, so that no log line, error, event or
 * status can carry it by accident. Only `keys/*` and `destinations/*` may call {@link Plaintext.reveal} (a lint rule).
 */
export class Plaintext {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Call it as late as possible and keep no copy. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  [Symbol.toPrimitive](): string {
    return redacted;
  }

  [inspect.custom](): string {
    return redacted;
  }
}
