import { createSecretKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

import { JsonFault, parseJson } from '../domain/json.ts';
import type { Plaintext } from '../domain/plaintext.ts';
import type { Version } from '../domain/version.ts';
import { equalHashes, hashToken, pepperCheck, possessionProof } from './hash.ts';

/** The least length of a pepper, in bytes: that of the hash. */
export const pepperMinLength = 32;

const idPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const base64Pattern = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Says what is wrong with a pepper file, in our own words; never quotes it. */
export class PepperFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PepperFault';
  }
}

/** What a hash was made with. */
export interface HashedToken {
  readonly pepperId: string;
  readonly hash: Uint8Array;
}

/** Whether a presented token is the version's. `unknown pepper` = this process cannot say: never a "no". */
export type Match = boolean | 'unknown pepper';

/** What may be asked of peppers; {@link PepperRing} is one fixed set of them. */
export interface Peppers {
  /** Hashes with the current pepper: for new versions. */
  hash(token: Plaintext): HashedToken;
  /** Hashes with the version's own pepper and compares. */
  matches(version: Pick<Version, 'pepperId' | 'hash'>, token: Plaintext): Match;
  /** The proof of possession for `Store.revokeProven`, secret like the token; `undefined` = the pepper is unknown here. */
  prove(version: Pick<Version, 'pepperId'>, token: Plaintext): Uint8Array | undefined;
}

/**
 * The peppers of one process: `id → key`. New versions use the current one; nobody re-hashes, so an old one stays
 * until no live version names it. Neither prints, serialises nor inspects to anything but its ids.
 */
export class PepperRing implements Peppers {
  readonly currentId: string;
  readonly #current: KeyObject;
  readonly #peppers: ReadonlyMap<string, KeyObject>;

  private constructor(currentId: string, current: KeyObject, peppers: ReadonlyMap<string, KeyObject>) {
    this.currentId = currentId;
    this.#current = current;
    this.#peppers = peppers;
  }

  /**
   * Reads `{"current":"<id>","peppers":{"<id>":"<base64 of at least 32 bytes>"}}`. Throws {@link PepperFault}; the text
   * of the JSON parser is dropped, because it quotes what it read.
   */
  static parse(text: string): PepperRing {
    const { current, peppers: entries } = readShape(text);
    const peppers = new Map<string, KeyObject>();
    for (const [id, value] of Object.entries(entries)) peppers.set(id, readPepper(id, value));
    const key = peppers.get(current);
    if (key === undefined) throw new PepperFault('"current" names a pepper that is not in "peppers"');
    return new PepperRing(current, key, peppers);
  }

  hash(token: Plaintext): HashedToken {
    return { pepperId: this.currentId, hash: hashToken(this.#current, token) };
  }

  prove(version: Pick<Version, 'pepperId'>, token: Plaintext): Uint8Array | undefined {
    const pepper = this.#peppers.get(version.pepperId);
    return pepper === undefined ? undefined : possessionProof(pepper, token);
  }

  matches(version: Pick<Version, 'pepperId' | 'hash'>, token: Plaintext): Match {
    const pepper = this.#peppers.get(version.pepperId);
    if (pepper === undefined) return 'unknown pepper';
    return equalHashes(hashToken(pepper, token), version.hash);
  }

  /** The check value of each pepper, for the store's comparison. */
  checks(): readonly { readonly pepperId: string; readonly check: Uint8Array }[] {
    return [...this.#peppers].map(([pepperId, key]) => ({ pepperId, check: pepperCheck(key) }));
  }
}

function readShape(text: string): { readonly current: string; readonly peppers: Readonly<Record<string, unknown>> } {
  const value = readJson(text);
  if (!isRecord(value)) throw new PepperFault('the pepper file is not a JSON object');
  const unknownName = Object.keys(value).some((name) => name !== 'current' && name !== 'peppers');
  if (unknownName) throw new PepperFault('the pepper file has other members than "current" and "peppers"');
  if (typeof value['current'] !== 'string') throw new PepperFault('"current" is not the id of a pepper');
  if (!isRecord(value['peppers'])) throw new PepperFault('"peppers" is not an object of id and base64 text');
  return { current: value['current'], peppers: value['peppers'] };
}

function readPepper(id: string, value: unknown): KeyObject {
  if (!idPattern.test(id)) throw new PepperFault('a pepper id has other characters than A-Z a-z 0-9 . _ - or more than 63');
  if (typeof value !== 'string' || !base64Pattern.test(value)) throw new PepperFault(`the pepper "${id}" is not base64`);
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length < pepperMinLength) throw new PepperFault(`the pepper "${id}" has less than ${String(pepperMinLength)} bytes`);
  return createSecretKey(bytes);
}

function readJson(text: string): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    throw error instanceof JsonFault ? new PepperFault(`the pepper file ${error.message}`) : error;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
