import type { Plaintext } from '../domain/plaintext.ts';
import type { WantedCredential } from './credential.ts';

/** The entries of a Secret, read at one moment; `undefined` = it has no such entry. */
export type CredentialEntries = (entry: string) => Plaintext | undefined;

/**
 * Reads a Secret of the operator's namespace that is meant for this use. `needed` names its entries for people. Throws
 * `waiting DestinationUnavailable` for one that is absent or meant for something else, and when it cannot be read.
 */
export type ReadCredential = (name: string, wanted: WantedCredential, needed: string) => Promise<CredentialEntries>;
