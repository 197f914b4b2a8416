import { describe, expect, it } from 'vitest';
import type { ApiKey, ApiKeyStatus } from '../../../operator/src/api/kinds.ts';
import { apiKeyStatusSchema } from '../../../operator/src/api/apikey.ts';
import { durationMs } from '../../../operator/src/domain/duration.ts';
import { stalled, waiting } from '../../../operator/src/domain/failure.ts';
import { plan } from '../../../operator/src/reconcile/plan.ts';
import { failedStatusOf, statusOf } from '../../../operator/src/reconcile/status.ts';
import { observed, type ObservedCase } from '../../builders/observed.ts';
import { World } from '../../builders/world.ts';
import { statusFaults } from '../../harness/statusrules.ts';

function statusFor(given: ObservedCase): ApiKeyStatus {
  const o = observed(given);
  return statusOf(o, plan(o));
}

function conditionOf(status: ApiKeyStatus, type: string) {
  return status.conditions.find((condition) => condition.type === type);
}

const conditionCases: Readonly<Record<string, ObservedCase>> = {
  ready: {},
  fresh: { fresh: true },
  'not minted': { fresh: true, sights: { vault: 'failed', local: 'failed' } },
  'half delivered': {
    versions: [{ epoch: 1, state: 'pending', issued: '-1m' }],
    deliveries: [{ at: 'vault', holds: 'K1' }],
    sights: { vault: 'K1', local: 'failed' },
  },
  foreign: { compare: 'all', sights: { vault: 'foreign', local: 'K1' } },
  invalid: { spec: { accessType: 'NoSuchType' } },
  paused: { annotations: { 'keywright.dev/paused': 'true' } },
  suspended: { spec: { suspend: true } },
  revoked: { spec: { revoked: { reason: 'KeyCompromise' } }, closed: 'KeyCompromise', versions: [], deliveries: [] },
  expired: { spec: { rotation: { onExpiry: 'Expire' } }, versions: [], lastEnded: 'expired' },
  'without owner': { missing: ['owner'] },
  'without catalog': { missing: ['catalog'] },
  'without destination': { missing: ['destination'] },
  'owner disabled': { owner: { disabled: true } },
  'namespace terminating': { fresh: true, namespaceTerminating: true },
  deleting: {
    deleting: true,
    versions: [],
    deliveries: [{ at: 'vault', holds: 'K1', state: 'withdrawing', since: '0s' }],
    sights: { vault: 'failed' },
  },
};

describe.each(Object.entries(conditionCases))('the status of a key (%s)', (_name, given) => {
  const status = statusFor(given);

  it('never says Reconciling and Stalled at once, as kstatus wants', () => {
    expect(conditionOf(status, 'Reconciling')?.status === 'True' && conditionOf(status, 'Stalled')?.status === 'True').toBe(
      false,
    );
  });

  it('says of what generation it speaks, in the status and in every condition', () => {
    expect(status.observedGeneration).toBe(1);
    expect(status.conditions.map((condition) => condition.observedGeneration)).toEqual(status.conditions.map(() => 1));
  });

  it('holds no placeholder and no empty text', () => {
    for (const condition of status.conditions) {
      expect(condition.message).not.toBe('');
      expect(condition.lastTransitionTime).not.toMatch(/^1970/);
      expect(condition.reason).not.toBe('Pending');
    }
    expect(JSON.stringify(status)).not.toContain('undefined');
  });

  it('fits the schema of the CRD', () => {
    // The builder's key ids are shorter than real ones.
    const real: unknown = JSON.parse(JSON.stringify(status).replaceAll(/"K([0-9])"/g, '"K$1aaaaaaaaaa"'));
    expect(apiKeyStatusSchema.safeParse(real).error?.issues ?? []).toEqual([]);
  });
});

describe('Ready', () => {
  it.each([
    ['ready', 'True', 'Available'],
    ['half delivered', 'False', 'DestinationUnavailable'],
    ['not minted', 'False', 'DestinationUnavailable'],
    ['foreign', 'False', 'ForeignValue'],
    ['invalid', 'False', 'InvalidSpec'],
    ['suspended', 'False', 'Suspended'],
    ['revoked', 'False', 'Revoked'],
    ['expired', 'False', 'Expired'],
    ['without owner', 'False', 'OwnerNotFound'],
    ['without catalog', 'False', 'CatalogNotFound'],
    ['without destination', 'False', 'DestinationNotFound'],
    ['owner disabled', 'False', 'OwnerDisabled'],
    ['deleting', 'False', 'Revoked'],
  ])('says why: %s', (name, status, reason) => {
    expect(conditionOf(statusFor(conditionCases[name] ?? {}), 'Ready')).toMatchObject({ status, reason });
  });

  it('is False for an owner that was deleted and created again under the same name [S2-6]', () => {
    const o = observed({});
    const replaced = o.owner === undefined ? undefined : { ...o.owner, metadata: { ...o.owner.metadata, uid: 'a-new-one' } };
    const status = statusOf({ ...o, owner: replaced }, { rule: 'steady' });
    expect(conditionOf(status, 'Ready')).toMatchObject({ status: 'False', reason: 'OwnerReplaced' });
  });
});

describe('Reconciling and Stalled', () => {
  it.each([
    ['ready', 'False', 'False'],
    ['suspended', 'False', 'False'],
    ['paused', 'False', 'False'],
    ['half delivered', 'True', 'False'],
    ['without owner', 'True', 'False'],
    ['invalid', 'False', 'True'],
    ['foreign', 'False', 'True'],
    ['revoked', 'False', 'True'],
  ])('tell a tool that waits what to expect: %s', (name, reconciling, stalledness) => {
    const status = statusFor(conditionCases[name] ?? {});
    expect([conditionOf(status, 'Reconciling')?.status, conditionOf(status, 'Stalled')?.status]).toEqual([
      reconciling,
      stalledness,
    ]);
  });
});

describe('lastTransitionTime', () => {
  it('stays while the status of its condition stays, also when the reason changes, and moves with it', async () => {
    const world = await World.open();
    world.createKey();
    await world.pass();
    const timeOf = (type: string) => conditionOf(world.status(), type)?.lastTransitionTime;
    const [ready, issued] = [timeOf('Ready'), timeOf('Issued')];
    await world.clock.advance(60_000);
    world.updateKey({ suspend: true });
    await world.pass();
    expect(timeOf('Issued')).toBe(issued);
    const suspended = timeOf('Ready');
    expect(suspended).not.toBe(ready);
    await world.clock.advance(60_000);
    world.updateKey({ accessType: 'NoSuchType' });
    await world.pass();
    expect(world.condition('Ready')).toBe('False InvalidSpec');
    expect(timeOf('Ready')).toBe(suspended);
  });
});

describe('a lost status', () => {
  it('comes back as it was, all but its transition times', async () => {
    const world = await World.open();
    world.createKey();
    await world.pass();
    await world.clock.advance(60_000);
    await world.pass();
    const before = world.status();
    world.resources.update('ApiKey', world.name, ({ status: _, ...key }) => key);
    await world.pass();
    const timeless = (status: ApiKeyStatus) => ({
      ...status,
      conditions: status.conditions.map(({ lastTransitionTime: _, ...rest }) => rest),
    });
    expect(timeless(world.status())).toEqual(timeless(before));
    expect((await world.store.readKey(world.key()?.metadata.uid ?? '')).highestEpoch).toBe(1);
  });
});

describe('the status when nothing could be observed', () => {
  const at = { now: Date.parse('2026-01-01T00:00:00Z'), retryAt: Date.parse('2026-01-01T00:01:00Z'), generation: 1 };

  it('keeps what was known, but nobody vouches for Ready', () => {
    const before = statusFor({});
    const status = failedStatusOf(before, waiting('StoreUnavailable', 'the database does not answer'), at);
    expect(conditionOf(status, 'Ready')).toMatchObject({ status: 'Unknown', reason: 'StoreUnavailable' });
    expect(conditionOf(status, 'Issued')).toEqual(conditionOf(before, 'Issued'));
    expect(status.currentKey).toEqual(before.currentKey);
    expect(status.failures).toEqual({ count: 1, lastAt: '2026-01-01T00:00:00Z', retryAt: '2026-01-01T00:01:00Z' });
  });

  it('is Reconciling while something may heal, and Stalled when a person must act, never both', () => {
    const healing = failedStatusOf(statusFor(conditionCases['invalid'] ?? {}), waiting('StoreUnavailable', 'x'), at);
    expect([conditionOf(healing, 'Reconciling')?.status, conditionOf(healing, 'Stalled')?.status]).toEqual(['True', 'False']);
    const stuck = failedStatusOf(undefined, stalled('InternalError', 'x'), at);
    expect([conditionOf(stuck, 'Reconciling')?.status, conditionOf(stuck, 'Stalled')?.status]).toEqual(['False', 'True']);
  });
});

describe('a rotation in the status', () => {
  /** A key that is used, whose authorizer reports, and that was asked to rotate after two days. */
  async function rotated(rotation: object = {}): Promise<{ readonly world: World; readonly first: string }> {
    const world = await World.open();
    await world.store.reportReplica({ id: 'authorizer', flushedThrough: world.clock.now(), dropped: 0 });
    world.createKey({ rotation: { every: '720h', ...rotation } });
    await world.pass();
    const first = world.status().currentKey?.id ?? '';
    await later(world, '48h', first);
    world.resources.annotate('ApiKey', world.name, { 'keywright.dev/rotate': 'monday' });
    await world.pass();
    return { world, first };
  }

  async function later(world: World, time: string, used?: string): Promise<void> {
    await world.clock.advance(durationMs(time));
    if (used !== undefined) await world.store.recordUse([{ keyId: used, ageMs: 0, by: 'the nightly job' }]);
    await world.store.reportReplica({ id: 'authorizer', flushedThrough: world.clock.now(), dropped: 0 });
    await world.pass();
  }

  it('is Rotating with its cause, Ready all the time, and neither Reconciling nor Stalled', async () => {
    const { world } = await rotated();
    expect(world.condition('Rotating')).toBe('True Requested');
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.condition('Reconciling')).toBe('False Steady');
    expect(world.condition('Stalled')).toBe('False Steady');
    expect(world.condition('Adopted')).toBe('False NotSeenYet');
    expect(world.status().lastHandledRotation).toBe('monday');
    expect(apiKeyStatusSchema.safeParse(world.status()).error?.issues ?? []).toEqual([]);
    expect(statusFaults(world.key() as ApiKey)).toEqual([]);
  });

  it('says of the old version until when it is valid and who still uses it, and when the next rotation begins [S4-6]', async () => {
    const { world, first } = await rotated();
    await world.store.recordUse([{ keyId: world.status().currentKey?.id ?? '', ageMs: 0 }]);
    await later(world, '25h', first);
    expect(world.status().previousKey).toMatchObject({ id: first, epoch: 1, usedBy: ['the nightly job'] });
    expect(conditionOf(world.status(), 'Rotating')?.message).toContain('it is used by the nightly job');
    expect(world.status().nextRotationAt).toBeDefined();
    expect(apiKeyStatusSchema.safeParse(world.status()).error?.issues ?? []).toEqual([]);
    await later(world, '1h');
    await later(world, '1s');
    expect(world.status().previousKey).toBeUndefined();
    expect(world.condition('Rotating')).toBe('False Steady');
    expect(conditionOf(world.status(), 'Rotating')?.message).toContain('2026-02-02T00:00:00Z');
    expect(world.status().nextRotationAt).toBe('2026-02-02T00:00:00Z');
  });

  it('is not written anew for each use: the last one is told at most hourly', async () => {
    const { world } = await rotated({ retireOldKey: 'AfterOverlap' });
    const current = world.status().currentKey?.id ?? '';
    await later(world, '1m', current);
    const told = world.status().currentKey?.lastUsedAt;
    const version = world.key()?.metadata.resourceVersion;
    for (let minutes = 0; minutes < 50; minutes += 10) await later(world, '10m', current);
    expect(world.key()?.metadata.resourceVersion).toBe(version);
    await later(world, '15m', current);
    expect(world.status().currentKey?.lastUsedAt).not.toBe(told);
  });

  it('says that a request cannot be understood, without quoting it', async () => {
    const { world } = await rotated();
    world.resources.annotate('ApiKey', world.name, { 'keywright.dev/compromised': 'acme_live_pasted_by_mistake' });
    await world.pass();
    const rotating = conditionOf(world.status(), 'Rotating');
    expect(rotating?.message).toContain('entries that are no key id (1)');
    expect(rotating?.message).not.toContain('pasted');
  });

  it('gives notice of an expiry only when no rotation comes first, and names the contact [S0-7] [S1-15]', async () => {
    const world = await World.open();
    world.createKey({ expiry: { at: '2026-03-01T00:00:00Z' } });
    await world.pass();
    expect(world.condition('Expiring')).toBe('False Steady');
    await later(world, '960h');
    expect(world.condition('Expiring')).toBe('True Expiring');
    expect(conditionOf(world.status(), 'Expiring')?.message).toContain('Contact: payments@example.com.');
    await later(world, '480h');
    expect(world.condition('Expired')).toBe('True Expired');
    expect(world.condition('Ready')).toBe('False Expired');
    expect(world.condition('Stalled')).toBe('True Expired');
    const renewed = await World.open();
    renewed.createKey({ expiry: { after: '720h' } });
    await renewed.pass();
    await later(renewed, '400h');
    expect(renewed.condition('Expiring')).toBe('False Steady');
  });
});
