import { crc32 } from 'node:zlib';

import { Plaintext } from '../domain/plaintext.ts';

/** The 62 characters of ids, secrets and check sums, in the order of their values. */
export const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Characters of a key id: the public part, by which a record is found. */
export const keyIdLength = 12;
/** Characters of the secret part: 190 bits. */
export const secretLength = 32;
const checkLength = 6;

const partPattern = /^[a-z][a-z0-9]{1,15}$/;
const tokenPattern = /^([a-z][a-z0-9]{1,15})_([a-z][a-z0-9]{1,15})_([0-9A-Za-z]{12})_([0-9A-Za-z]{32})([0-9A-Za-z]{6})$/;
const shownPattern = /^(?:[a-z][a-z0-9]{1,15}_[a-z][a-z0-9]{1,15}_)?([0-9A-Za-z]{12})$/;
/** The longest text that can be a token: anything longer is refused unread. */
const tokenMaxLength = 16 + 1 + 16 + 1 + keyIdLength + 1 + secretLength + checkLength;

/** What is public in a well-formed token. */
export interface TokenParts {
  readonly prefix: string;
  readonly environment: string;
  readonly keyId: string;
  /** Prefix, environment and key id: what may be shown. */
  readonly display: string;
}

/** What a token is put together from; `keyId` and `secret` are drawn from {@link alphabet}. */
export interface TokenContent {
  readonly prefix: string;
  readonly environment: string;
  readonly keyId: string;
  readonly secret: Plaintext;
}

/**
 * CRC-32/ISO-HDLC of the ASCII bytes of `text`, in six base62 digits, left-padded with `0`. It lets scanners and the
 * parser drop garbage before any look-up; it proves nothing.
 *
 * @example formatCheck('123456789') // '3jZRME': CRC-32/ISO-HDLC of it is 0xCBF43926
 */
export function formatCheck(text: string): string {
  let rest = crc32(Buffer.from(text, 'latin1'));
  let digits = '';
  while (rest > 0) {
    digits = alphabet.charAt(rest % 62) + digits;
    rest = Math.floor(rest / 62);
  }
  return digits.padStart(checkLength, '0');
}

/** `<prefix>_<environment>_<keyId>`: names a version without giving anything away. */
export function formatDisplay(prefix: string, environment: string, keyId: string): string {
  return `${prefix}_${environment}_${keyId}`;
}

/** Whether a version's keys have the format of a catalog: only then does the catalog accept them. */
export function isInFormat(
  { display, keyId }: { readonly display: string; readonly keyId: string },
  { prefix, environment }: { readonly prefix: string; readonly environment: string },
): boolean {
  return display === formatDisplay(prefix, environment, keyId);
}

/**
 * `<prefix>_<environment>_<keyId><secret><check>` with its underscores. Throws a RangeError on a prefix or environment
 * outside `^[a-z][a-z0-9]{1,15}$`: the catalog's schema has refused it before.
 */
export function formatToken(content: TokenContent): Plaintext {
  const { prefix, environment, keyId, secret } = content;
  if (!partPattern.test(prefix) || !partPattern.test(environment)) {
    throw new RangeError('prefix and environment of a token must match ^[a-z][a-z0-9]{1,15}$');
  }
  const body = `${formatDisplay(prefix, environment, keyId)}_${secret.reveal()}`;
  return new Plaintext(body + formatCheck(body));
}

/**
 * Reads what somebody presented. `undefined` = not a token of ours, for whatever cause: the answer to the client is one
 * and the same, so no cause is told.
 */
export function parseToken(presented: Plaintext): TokenParts | undefined {
  const text = presented.reveal();
  if (text.length > tokenMaxLength) return undefined;
  const match = tokenPattern.exec(text);
  if (match === null) return undefined;
  const [, prefix = '', environment = '', keyId = '', , check = ''] = match;
  if (formatCheck(text.slice(0, -checkLength)) !== check) return undefined;
  return { prefix, environment, keyId, display: formatDisplay(prefix, environment, keyId) };
}

/** The key id of what may be shown of a key: the id alone, or the display form. `undefined` = neither, a whole value included. */
export function parseKeyId(shown: string): string | undefined {
  return shownPattern.exec(shown)?.[1];
}

/** Whether nothing was presented at all; asked here because only this folder may look at the value. */
export function isEmptyToken(presented: Plaintext): boolean {
  return presented.reveal() === '';
}
