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

/** The `code` of a system error (`ENOENT`), or undefined. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
