import { describe, expect, it } from 'vitest';
import type { ApiKeyStatus } from '../../../operator/src/api/kinds.ts';
import { apiKeyStatusSchema } from '../../../operator/src/api/apikey.ts';
import { stalled, waiting } from '../../../operator/src/domain/failure.ts';
import { plan } from '../../../operator/src/reconcile/plan.ts';
import { failedStatusOf, statusOf } from '../../../operator/src/reconcile/status.ts';
import { observed, type ObservedCase } from '../../builders/observed.ts';
import { World } from '../../builders/world.ts';

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
