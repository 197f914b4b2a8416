import { randomBytes, randomUUID } from 'node:crypto';

import type { ApiKeyRef } from '../../operator/src/domain/key.ts';
import type { Instant } from '../../operator/src/domain/time.ts';
import type { Version } from '../../operator/src/domain/version.ts';
import type { KeySettings, MintRequest } from '../../operator/src/store/port.ts';

/** The instant that stored test data begins at. */
export const testStart: Instant = Date.parse('2026-01-01T00:00:00Z');

/** What a test wants to be different. */
export interface MintRequestChanges {
  readonly ref?: ApiKeyRef;
  readonly settings?: Partial<KeySettings>;
  readonly version?: Partial<Version>;
  readonly targets?: MintRequest['targets'];
  readonly lostKeyIds?: readonly string[];
  readonly now?: Instant;
}

/** A resource that no other test knows. */
export function uniqueRef(name = `key-${randomBytes(6).toString('hex')}`): ApiKeyRef {
  return { namespace: 'payments', name, uid: randomUUID() };
}

/** A location that no other test knows. */
export function uniqueTarget(targetName = 'local'): MintRequest['targets'][number] {
  return { targetName, location: { destinationUid: 'secret', path: `payments/${randomBytes(6).toString('hex')}` } };
}

/** Settings of a plain key. */
export function keySettings(changes: Partial<KeySettings> = {}): KeySettings {
  return {
    displayName: 'Billing sync',
    catalog: 'default',
    owner: 'payments-team',
    accessType: 'Integrations',
    suspended: false,
    selections: { scopes: ['subscribers:read'] },
    ...changes,
  };
}

/** A first mint of a new resource, with random identities. */
export function mintRequest(changes: MintRequestChanges = {}): MintRequest {
  const ref = changes.ref ?? uniqueRef();
  const keyId = randomBytes(6).toString('hex');
  const now = changes.now ?? testStart;
  const version: Version = {
    id: randomUUID(),
    apiKeyUid: ref.uid,
    keyId,
    display: `acme_live_${keyId}`,
    epoch: 1,
    state: 'pending',
    lost: false,
    cause: 'Initial',
    hash: Uint8Array.from(randomBytes(32)),
    pepperId: 'p1',
    ownerUid: 'owner-uid',
    issuedAt: now,
    expiresAt: now + 24 * 3_600_000,
    ...changes.version,
  };
  return {
    ref,
    applied: { settings: keySettings(changes.settings) },
    version,
    targets: changes.targets ?? [],
    lostKeyIds: changes.lostKeyIds ?? [],
    now,
  };
}
