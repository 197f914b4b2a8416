/**
 * Something that keeps the standalone mode from starting. The message is complete: what is wrong, where, and what a
 * person can do about it. It is printed as it is, without a stack.
 */
export class StandaloneFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StandaloneFault';
  }
}
