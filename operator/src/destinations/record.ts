import { createHash } from 'node:crypto';
import { Plaintext } from '../domain/plaintext.ts';
import { formatInstant, type Instant } from '../domain/time.ts';
import type { DeliveredRecord, DeliveredValue, FoundEntries, Reading } from './port.ts';

/** What a record says besides the value. It can be known long after the value was forgotten. */
export interface Envelope {
  readonly keyId: string;
  /** `undefined` = the key never expires. */
  readonly expiresAt: Instant | undefined;
  /** The catalog's first credential header, e.g. `Authorization`. */
  readonly headerName: string;
  /** What stands before the key in that header, e.g. `Bearer`; absent = nothing. */
  readonly headerScheme?: string | undefined;
}

/** What a record is made of. */
export interface RecordInit extends Envelope {
  readonly token: Plaintext;
}

/** The names of a record's entries, in the order in which they are shown. The set never changes while a key lives. */
export const entryNames = ['api-key', 'key-id', 'expires-at', 'header', 'type', 'provider'] as const;

/** One of {@link entryNames}. */
export type EntryName = (typeof entryNames)[number];

const type = 'api-key';
const provider = 'keywright';

/** Makes the record that every destination writes: the key, the line to send with it, and what a client may want to know. */
export function composeRecord(init: RecordInit): DeliveredRecord {
  return {
    entries: {
      'api-key': init.token,
      'key-id': init.keyId,
      'expires-at': formatExpiry(init.expiresAt),
      header: new Plaintext(`${headerStart(init)}${init.token.reveal()}`),
      type,
      provider,
    },
  };
}

/**
 * 16 hex digits (SHA-256, shortened) over everything in a record but the key itself. It is computed without the key, so
 * that a plan can tell an outdated record by its mark alone.
 */
export function envelopeDigest(envelope: Envelope): string {
  const parts = [envelope.keyId, formatExpiry(envelope.expiresAt), headerStart(envelope), type, provider];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** The entries as texts, key and header revealed. Only to be handed to a provider's call, never kept. */
export function revealEntries(record: DeliveredRecord): Record<EntryName, string> {
  const { entries } = record;
  return {
    'api-key': entries['api-key'].reveal(),
    'key-id': entries['key-id'],
    'expires-at': entries['expires-at'],
    header: entries.header.reveal(),
    type: entries.type,
    provider: entries.provider,
  };
}

/**
 * A value as a destination found it. Anything that is not text (a number in Vault, bytes that are not UTF-8) counts as changed.
 */
export function foundValue(found: Readonly<Record<string, unknown>>, reading: Reading): DeliveredValue {
  const entries: FoundEntries = new Map(
    Object.entries(found).map(([name, text]) => [name, typeof text === 'string' ? new Plaintext(text) : undefined]),
  );
  return { apiKey: entries.get('api-key'), entries, reading };
}

/** Whether exactly this record was found: each entry, and no other. */
export function isExactly(record: DeliveredRecord, found: FoundEntries): boolean {
  const wanted = Object.entries(revealEntries(record));
  return found.size === wanted.length && wanted.every(([name, text]) => found.get(name)?.reveal() === text);
}

function headerStart(envelope: Pick<Envelope, 'headerName' | 'headerScheme'>): string {
  const scheme = envelope.headerScheme === undefined || envelope.headerScheme === '' ? '' : `${envelope.headerScheme} `;
  return `${envelope.headerName}: ${scheme}`;
}

function formatExpiry(expiresAt: Instant | undefined): string {
  return expiresAt === undefined ? 'never' : formatInstant(expiresAt);
}
