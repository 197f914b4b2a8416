import type { Destination, Reading, WriteOutcome } from '../../../operator/src/destinations/port.ts';
import { composeRecord, envelopeDigest, type Envelope } from '../../../operator/src/destinations/record.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import type { Mark } from '../../../operator/src/domain/version.ts';

/** The ApiKey whose values are delivered. */
export interface KeyRef {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

const expiresAt = Date.parse('2027-01-01T00:00:00Z');

/** One version of a key, ready to be written. `padding` makes its value longer, in bytes. */
export function version(owner: KeyRef, epoch: number, change: Partial<Envelope> = {}, padding = 0) {
  const keyId = `key00000000${epoch}`;
  const token = `acme_live_${keyId}_${'s'.repeat(31 + padding)}${epoch}abcdef`;
  const envelope: Envelope = { keyId, expiresAt, headerName: 'Authorization', headerScheme: 'Bearer', ...change };
  const mark: Mark = { installationId: 'b1f3c1de-installation', ...owner, keyId, epoch, envelope: envelopeDigest(envelope) };
  const attemptId = `00000000-0000-4000-8000-${String(epoch).padStart(12, '0')}`;
  return { token, mark, record: composeRecord({ token: new Plaintext(token), ...envelope }), attemptId };
}

/** What {@link version} makes. */
export type Version = ReturnType<typeof version>;

/** What stands there after a write that must have been made. */
export function written(outcome: WriteOutcome): Reading {
  if (outcome.kind !== 'written') throw new Error('the write was lost');
  return outcome.reading;
}

/** Writes one version. Where the provider has stages, readers do not get it yet. */
export function write(destination: Destination, location: Location, observed: Reading, one: Version): Promise<WriteOutcome> {
  return destination.write(location, one.record, one.mark, observed, one.attemptId);
}

/** Writes, and promotes at once what was only staged, as it is done with the active version. */
export async function put(destination: Destination, location: Location, observed: Reading, one: Version): Promise<WriteOutcome> {
  const outcome = await write(destination, location, observed, one);
  const isStaged = outcome.kind === 'written' && outcome.reading.kind === 'marked' && outcome.reading.staged === true;
  return isStaged ? destination.promote(location, one.mark, outcome.reading) : outcome;
}
