import type { Plaintext } from '../../operator/src/domain/plaintext.ts';
import type { Version } from '../../operator/src/domain/version.ts';
import { mintToken } from '../../operator/src/keys/mint.ts';
import { PepperRing } from '../../operator/src/keys/pepper.ts';
import type { KeyRecord, KeyRow, KeySettings } from '../../operator/src/store/port.ts';
import { catalogRow, ownerRow } from './clusterrows.ts';

/** A ring of one pepper, the same in every test. */
export const testPeppers: PepperRing = PepperRing.parse(
  JSON.stringify({ current: 'test', peppers: { test: Buffer.alloc(32, 1).toString('base64') } }),
);

/** What a test wants to be different. */
export interface KeyRecordChanges {
  readonly version?: Partial<Version>;
  readonly settings?: Partial<KeySettings>;
  readonly key?: Partial<KeyRow>;
  /** Other than an owner who may do everything; `undefined` = deleted. */
  readonly owner?: KeyRecord['owner'];
  readonly groups?: KeyRecord['groups'];
  /** Other than the catalog of {@link catalogRow}; `undefined` = deleted. */
  readonly catalog?: KeyRecord['catalog'];
  readonly peppers?: PepperRing;
  /** Another seed gives another key id and secret. */
  readonly seed?: number;
}

/** An active key as the store gives it to a verify, and the token that proves it. */
export function keyRecord(changes: KeyRecordChanges = {}): { readonly record: KeyRecord; readonly token: Plaintext } {
  const seed = changes.seed ?? 1;
  const minted = mintToken({ prefix: 'acme', environment: 'live', random: seededBytes(seed) });
  const version: Version = {
    id: `00000000-0000-4000-8000-${String(seed).padStart(12, '0')}`,
    apiKeyUid: 'uid-1',
    keyId: minted.keyId,
    display: minted.display,
    epoch: 1,
    state: 'active',
    lost: false,
    cause: 'Initial',
    ...(changes.peppers ?? testPeppers).hash(minted.token),
    ownerUid: 'owner-1',
    issuedAt: Date.parse('2026-01-01T00:00:00Z'),
    ...changes.version,
  };
  const settings: KeySettings = {
    displayName: 'Billing',
    catalog: 'default',
    owner: 'ana',
    accessType: 'Personal',
    suspended: false,
    selections: {},
    ...changes.settings,
  };
  const key: KeyRow = { ref: { namespace: 'payments', name: 'billing-sync', uid: 'uid-1' }, settings, ...changes.key };
  const record: KeyRecord = {
    version,
    key,
    owner: 'owner' in changes ? changes.owner : ownerRow({ uid: version.ownerUid, name: settings.owner }),
    groups: changes.groups ?? [],
    catalog: 'catalog' in changes ? changes.catalog : catalogRow({ uid: 'catalog-1', name: settings.catalog }),
  };
  return { record, token: minted.token };
}

/** Bytes that look random and are the same for the same seed. */
export function seededBytes(seed: number): (size: number) => Uint8Array {
  let state = seed * 2_654_435_761;
  return (size) =>
    Uint8Array.from({ length: size }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    });
}
