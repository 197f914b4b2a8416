import type { Plaintext } from '../domain/plaintext.ts';

/** Reads one entry of a Secret in the operator's namespace; `undefined` when Secret or entry is not there. */
export type ReadSecret = (name: string, entry: string) => Promise<Plaintext | undefined>;
