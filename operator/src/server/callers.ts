import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import { JsonFault, parseJson } from '../domain/json.ts';

/** The header in which a gateway or platform service proves itself; Node gives header names in lower case. */
export const callerHeader = 'keywright-caller';

/** Who may ask: by name, the SHA-256 of its token. */
export type CallerTokens = ReadonlyMap<string, Buffer>;

/** Says what is wrong with a caller token file, in our own words. */
export class CallerTokensFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CallerTokensFault';
  }
}

/**
 * Reads `{"<name>": "<SHA-256 of the token, 64 hex digits>"}`. A file without a caller is valid: then tokens admit nobody. Throws
 * {@link CallerTokensFault}, with the path of the file.
 */
export function parseCallerTokens(path: string, text: string): CallerTokens {
  try {
    return new Map(Object.entries(readObject(text)).map(([name, value]) => [name, readDigest(name, value)]));
  } catch (error) {
    throw error instanceof CallerTokensFault ? new CallerTokensFault(`${path}: ${error.message}`) : error;
  }
}

/**
 * Whether a request carries a caller token. A token is random, so one fast hash is enough. It compares every digest, so that the
 * time does not reveal a near match.
 */
export function hasCallerToken(request: IncomingMessage, tokens: CallerTokens): boolean {
  const sent = request.headers[callerHeader];
  if (typeof sent !== 'string') return false;
  const digest = createHash('sha256').update(sent, 'utf8').digest();
  return [...tokens.values()].filter((known) => timingSafeEqual(known, digest)).length > 0;
}

function readObject(text: string): object {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw error instanceof JsonFault ? new CallerTokensFault(`the caller token file ${error.message}`) : error;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CallerTokensFault('the caller token file is not a JSON object');
  return value;
}

function readDigest(name: string, value: unknown): Buffer {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name))
    throw new CallerTokensFault('a caller name has other characters than A-Z a-z 0-9 . _ - or more than 63');
  if (typeof value !== 'string' || !/^[0-9a-fA-F]{64}$/.test(value))
    throw new CallerTokensFault(`the token of "${name}" is not a SHA-256 in 64 hex digits`);
  return Buffer.from(value, 'hex');
}
