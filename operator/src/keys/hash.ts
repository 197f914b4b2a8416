import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

import type { Plaintext } from '../domain/plaintext.ts';

/** Bytes of a hash. */
export const hashLength = 32;

/**
 * HMAC-SHA-256(pepper, whole token). A plain keyed hash is enough, because the secret has 190 random bits; a slow
 * password hash would only make verification slow. A KeyObject is nine times faster here than a Buffer.
 */
export function hashToken(pepper: KeyObject, token: Plaintext): Uint8Array {
  return createHmac('sha256', pepper).update(token.reveal(), 'utf8').digest();
}

/**
 * HMAC-SHA-256(pepper, "revoke" NUL token): proves that its maker has the value of a key. No token contains a NUL, so the result
 * is never the hash of another token.
 */
export function possessionProof(pepper: KeyObject, token: Plaintext): Uint8Array {
  return createHmac('sha256', pepper).update('revoke\0', 'utf8').update(token.reveal(), 'utf8').digest();
}

/** SHA-256 of a {@link possessionProof}: what the store keeps. A reader of the store cannot make the proof from it. */
export function proofDigest(proof: Uint8Array): Uint8Array {
  return createHash('sha256').update(proof).digest();
}

/**
 * HMAC-SHA-256(pepper, "keywright"): what the store keeps of a pepper, so that another pepper under a known id is
 * noticed at the start and not by every client at once.
 */
export function pepperCheck(pepper: KeyObject): Uint8Array {
  return createHmac('sha256', pepper).update('keywright', 'utf8').digest();
}

/** Compares in a time that does not depend on where the first difference is. */
export function equalHashes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === hashLength && right.length === hashLength && timingSafeEqual(left, right);
}
