import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import {
  composeRecord,
  entryNames,
  envelopeDigest,
  revealEntries,
  type Envelope,
} from '../../../operator/src/destinations/record.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';

const envelope: Envelope = {
  keyId: 'abc',
  expiresAt: Date.parse('2027-01-01T00:00:00.900Z'),
  headerName: 'Authorization',
  headerScheme: 'Bearer',
};
const compose = (change: Partial<Envelope> = {}) =>
  composeRecord({ token: new Plaintext('acme_live_abc'), ...envelope, ...change });

it('composes the six entries of a record', () => {
  const entries = revealEntries(compose());
  expect(Object.keys(entries)).toEqual(entryNames);
  expect(entries).toEqual({
    'api-key': 'acme_live_abc',
    'key-id': 'abc',
    'expires-at': '2027-01-01T00:00:00Z',
    header: 'Authorization: Bearer acme_live_abc',
    type: 'api-key',
    provider: 'keywright',
  });
});

it('says "never" for a key without expiry', () => {
  expect(revealEntries(compose({ expiresAt: undefined }))['expires-at']).toBe('never');
});

it('sends a header without a scheme as the bare key', () => {
  expect(revealEntries(compose({ headerName: 'X-API-Key', headerScheme: undefined })).header).toBe('X-API-Key: acme_live_abc');
});

it('prints neither key nor header', () => {
  const record = compose();
  expect(`${inspect(record, { depth: 9, showHidden: true })}${JSON.stringify(record)}`).not.toContain('acme_live');
});

it.each<[string, Partial<Envelope>]>([
  ['key id', { keyId: 'abd' }],
  ['expiry', { expiresAt: undefined }],
  ['header name', { headerName: 'X-API-Key' }],
  ['header scheme', { headerScheme: undefined }],
])('shows another %s in the digest of the envelope', (_what, change) => {
  expect(envelopeDigest(envelope)).toMatch(/^[0-9a-f]{16}$/);
  expect(envelopeDigest({ ...envelope })).toBe(envelopeDigest(envelope));
  expect(envelopeDigest({ ...envelope, ...change })).not.toBe(envelopeDigest(envelope));
});

it('digests an expiry as it is delivered, in whole seconds', () => {
  expect(envelopeDigest({ ...envelope, expiresAt: Date.parse('2027-01-01T00:00:00Z') })).toBe(envelopeDigest(envelope));
});
