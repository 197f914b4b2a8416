import { describe, expect, test } from 'vitest';

import { annotations } from '../../../operator/src/api/meta.ts';
import type { Action } from '../../../operator/src/reconcile/action.ts';
import type { Observed } from '../../../operator/src/reconcile/observed.ts';
import { requesterOf, specRequester } from '../../../operator/src/reconcile/requester.ts';
import { settingsOf } from '../../../operator/src/reconcile/settings.ts';
import { observed } from '../../builders/observed.ts';

const at = Date.parse('2026-01-01T00:00:00Z');

function entry(manager: string, fieldsV1: object, time = '2026-01-01T00:00:00Z') {
  return { manager, operation: 'Update', time, fieldsV1 };
}

const managedFields = [
  entry('argocd-controller', {
    'f:spec': { 'f:owner': {}, 'f:scopes': {}, 'f:rateLimit': {}, 'f:deliverTo': {}, 'f:expiry': {}, 'f:revoked': {} },
  }),
  entry('ana', { 'f:spec': { 'f:suspend': {} } }),
  entry('ben', { 'f:metadata': { 'f:annotations': { [`f:${annotations.rotate}`]: {} } } }),
  entry('dora', { 'f:metadata': { 'f:annotations': { [`f:${annotations.confirm}`]: {} } } }),
  entry('cleo', { 'f:metadata': { 'f:annotations': { [`f:${annotations.compromised}`]: {} } } }),
];

function world(changes: Parameters<typeof observed>[0] = {}): Observed {
  const o = observed(changes);
  return { ...o, resource: { ...o.resource, metadata: { ...o.resource.metadata, managedFields } } };
}

const minting = (cause: Extract<Action, { kind: 'mint' }>['cause']): Action => ({
  kind: 'mint',
  epoch: 1,
  cause,
  expiresAt: undefined,
  targets: [],
  lostKeyIds: [],
  applied: { settings: settingsOf(world().resource.spec) },
  publish: false,
});

function saving(change: Partial<ReturnType<typeof settingsOf>>): Action {
  return { kind: 'saveSettings', applied: { settings: { ...settingsOf(world().resource.spec), ...change } } };
}

/** The same data with the members of every object in the other order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  const members = Object.entries(value).map(([name, member]) => [name, reversed(member)]);
  return Object.fromEntries(members.reverse()) as unknown;
}

describe('who asked for a step', () => {
  test.each<readonly [string, Action, string]>([
    ['a suspension', saving({ suspended: true }), 'ana'],
    ['another selection', saving({ selections: { scopes: ['other'] } }), 'argocd-controller'],
    ['another expiry', { kind: 'setExpiry', expiries: [] }, 'argocd-controller'],
    ['a revocation for good', { kind: 'revokeAll', revokedReason: 'KeyCompromise', detail: '' }, 'argocd-controller'],
    ['a compromise', { kind: 'endVersions', keyIds: [], reason: 'revoked', handled: { compromised: 'K1' } }, 'cleo'],
    ['a version that was asked for', minting('Requested'), 'ben'],
    ['a version after a compromise', minting('Compromise'), 'cleo'],
    ['another place', { kind: 'beginWithdrawal', deliveries: [] }, 'argocd-controller'],
  ])('%s: the manager of the field', (_title, action, manager) => {
    expect(requesterOf(world(), action)).toEqual({ manager, at });
  });

  test.each<readonly [string, Action]>([
    ['what is due', minting('Scheduled')],
    ['what was lost', minting('ValueLost')],
    ['an expiry', { kind: 'endVersions', keyIds: [], reason: 'expired' }],
    ['the end of an overlap', { kind: 'endVersions', keyIds: [], reason: 'retired' }],
    ['the end of a release', { kind: 'releaseKey' }],
  ])('%s: the operator itself', (_title, action) => {
    expect(requesterOf(world(), action)).toBe('operator');
  });

  describe('when the database returns members in another order', () => {
    /** A key with a rate limit, as PostgreSQL's jsonb gives it back. */
    function stored(): Observed {
      const o = world();
      const resource = { ...o.resource, spec: { ...o.resource.spec, rateLimit: { requests: 60, per: '60s' } } };
      const settings = reversed(settingsOf(resource.spec)) as ReturnType<typeof settingsOf>;
      if (o.store.key === undefined) throw new Error('the sample has no key');
      return { ...o, resource, store: { ...o.store, key: { ...o.store.key, settings } } };
    }

    test('a change of one field is asked for by its manager alone', () => {
      const o = stored();
      const settings = { ...settingsOf(o.resource.spec), suspended: true };
      expect(requesterOf(o, { kind: 'saveSettings', applied: { settings } })).toEqual({ manager: 'ana', at });
    });

    test('what follows from a change outside of the ApiKey is asked for by the operator', () => {
      const o = stored();
      const applied = { settings: settingsOf(o.resource.spec), notPermitted: true as const };
      expect(requesterOf(o, { kind: 'saveSettings', applied })).toBe('operator');
    });
  });

  /** What was proposed takes effect. */
  function accepting(changes: Parameters<typeof observed>[0]): ReturnType<typeof requesterOf> {
    const o = world({ settingsDiffer: 'proposed', admission: 'inForce', generation: 2, ...changes });
    const accepted = o.acceptance.kind === 'accepted' ? { accepted: o.acceptance.acceptance } : {};
    return requesterOf(o, { kind: 'saveSettings', applied: { settings: settingsOf(o.resource.spec), ...accepted } });
  }

  test.each<readonly [string, Parameters<typeof observed>[0], unknown]>([
    [
      'what was held, and is confirmed: who confirmed it',
      { accepted: { generation: 1, period: 'before' }, annotations: { [annotations.confirm]: 'confirm-it' } },
      { manager: 'dora', at },
    ],
    [
      'what was saved before it was checked: who wrote it, whatever was confirmed before',
      { accepted: { generation: 1, period: 'present' }, annotations: { [annotations.confirm]: 'an earlier value' } },
      { manager: 'argocd-controller', at },
    ],
    ['what was not valid, and is now: the operator itself', { accepted: { generation: 2 } }, 'operator'],
  ])('%s', (_title, changes, requester) => {
    expect(accepting({ storedSettings: { owner: 'another' }, ...changes })).toEqual(requester);
  });

  test.each<readonly [string, Record<string, never> | undefined, unknown]>([
    ['one that is named only now: who wrote spec.deliverTo', {}, { manager: 'argocd-controller', at }],
    ['one that counted already when a policy was required: the operator itself', undefined, 'operator'],
  ])('the place of a KeyDestination, %s', (_title, places, requester) => {
    const o = world();
    const { key } = o.store;
    if (key === undefined) throw new Error('the sample has no key');
    const known = { ...key, ...(places === undefined ? {} : { places }) };
    const applied = { settings: settingsOf(o.resource.spec), places: { vault: { since: at, place: 'there' } } };
    expect(requesterOf({ ...o, store: { ...o.store, key: known } }, { kind: 'saveSettings', applied })).toEqual(requester);
  });

  test('a deletion: the API server does not say', () => {
    const deleting = world({ deleting: true });
    expect(requesterOf(deleting, { kind: 'revokeAll', detail: 'the ApiKey was deleted' })).toBe('unknown');
    expect(requesterOf(deleting, { kind: 'beginWithdrawal', deliveries: [] })).toBe('unknown');
  });

  test('nothing, where there are no managed fields: unknown', () => {
    expect(requesterOf(observed({}), saving({ suspended: true }))).toBe('unknown');
    expect(specRequester(observed({}).resource.metadata)).toBe('unknown');
  });
});
