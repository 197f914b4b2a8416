import type { Plaintext } from '../domain/plaintext.ts';
import type { WantedCredential } from './credential.ts';

/** The entries of a Secret, read at one moment; `undefined` = it has no such entry. */
export type CredentialEntries = (entry: string) => Plaintext | undefined;

/**
 * Reads a Secret of the operator's namespace that has this purpose. `needed` names its entries, for messages. Throws
 * `waiting DestinationUnavailable` for a Secret that is absent, has another purpose or cannot be read.
 */
export type ReadCredential = (name: string, wanted: WantedCredential, needed: string) => Promise<CredentialEntries>;
