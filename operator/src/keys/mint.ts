import { Plaintext } from '../domain/plaintext.ts';
import { alphabet, formatDisplay, formatToken, keyIdLength, secretLength } from './token.ts';

/** Gives `size` unpredictable bytes; in production `crypto.randomBytes`. */
export type RandomSource = (size: number) => Uint8Array;

/** What {@link mintToken} needs. */
export interface MintInput {
  readonly prefix: string;
  readonly environment: string;
  readonly random: RandomSource;
}

/** A new token, and the parts of it that may be stored and shown. */
export interface MintedToken {
  /** 12 base62 characters (71 bits): chance decides, the store's unique index proves. */
  readonly keyId: string;
  readonly display: string;
  readonly token: Plaintext;
}

/** The largest multiple of 62 that a byte can reach: bytes from here on are drawn again, or some characters would be likelier. */
const unbiasedLimit = 248;

/**
 * `length` characters of the alphabet, each equally likely. Throws when 64 draws do not suffice: a source that gives
 * only refused bytes is broken, and a token must not be made from it.
 */
export function drawText(length: number, random: RandomSource): string {
  let text = '';
  for (let draws = 0; text.length < length; draws += 1) {
    if (draws === 64) throw new Error('the random source gives no usable bytes');
    for (const byte of random(length - text.length)) {
      if (byte < unbiasedLimit && text.length < length) text += alphabet.charAt(byte % 62);
    }
  }
  return text;
}

/** Mints one token. The value is in `token` only; nothing else of the result needs care. */
export function mintToken(input: MintInput): MintedToken {
  const { prefix, environment, random } = input;
  const keyId = drawText(keyIdLength, random);
  const secret = new Plaintext(drawText(secretLength, random));
  return {
    keyId,
    display: formatDisplay(prefix, environment, keyId),
    token: formatToken({ prefix, environment, keyId, secret }),
  };
}
