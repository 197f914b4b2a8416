import { beforeEach, describe, expect, it } from 'vitest';
import type { ApiKeySpec } from '../../../operator/src/api/kinds.ts';
import { annotations } from '../../../operator/src/api/meta.ts';
import type { AdmissionState } from '../../../operator/src/reconcile/acceptance.ts';
import { Realm } from '../../builders/realm.ts';
import { catalogSpec, keySpec, policyAway, secretPath, vaultPath, World } from '../../builders/world.ts';

const hour = 3_600_000;
const key = { namespace: 'payments', name: 'billing' };
const minute = 60_000;
const unplanned = { overlap: '10m', retireOldKey: 'AfterOverlap', maxOverlap: '1h' };
const rotation = { ...unplanned, every: '3h' };
const product = {
  accessTypes: [{ name: 'Integrations', endpoints: 'All' }],
  endpoints: [{ name: 'list-things', method: 'GET', path: '/v1/things' }],
  requests: { hosts: ['api.example.com'] },
  policy: { neverExpires: 'Allowed' },
};

type Changes = Partial<Record<keyof ApiKeySpec, unknown>>;
type Change = (realm: Realm) => void;

const edits =
  (changes: Changes): Change =>
  ({ world }) => {
    world.resources.update('ApiKey', key, (one) => ({ ...one, spec: keySpec({ rotation, ...changes }) }));
  };
const annotates =
  (name: string, value: string | undefined): Change =>
  ({ world }) => {
    world.resources.annotate('ApiKey', key, { [name]: value });
  };
const inForce = (period: string, since = 0): AdmissionState => ({ kind: 'inForce', period, since });
const instant = (at: number) => new Date(at).toISOString().replace('.000', '');

let world: World;
let realm: Realm;
let periods: number;

/** A Ready key that rotates every three hours, under a policy that is required and in force. */
async function ready(
  changes: Changes = {},
  annotation: Readonly<Record<string, string>> = {},
  feedPollMs?: number,
): Promise<void> {
  world = await World.open({ without: ['catalog'] });
  world.resources.create('ApiCatalog', { metadata: { name: 'default' }, spec: catalogSpec(product) });
  world.admission = inForce('first');
  world.resources.create('ApiKey', {
    metadata: { ...key, annotations: annotation },
    spec: keySpec({ rotation, ...changes }),
  });
  realm = await Realm.over(world, feedPollMs === undefined ? {} : { feedPollMs });
}

/** The policy goes, these are written one after the other, and the policy is there again. */
async function held(...changes: readonly Change[]): Promise<void> {
  world.admission = policyAway;
  for (const change of changes) {
    change(realm);
    await realm.quiet();
  }
  periods += 1;
  world.admission = inForce(`period ${String(periods)}`, world.clock.now());
  await realm.advance(70_000);
}

const epoch = () => world.status().currentKey?.epoch;
const confirmation = () => /keywright\.dev\/confirm=([0-9a-f]{16})/.exec(realm.keyMessage())?.[1];

async function confirm(): Promise<void> {
  expect(confirmation()).toBeDefined();
  annotates(annotations.confirm, confirmation())(realm);
  await realm.quiet();
}

beforeEach(() => {
  periods = 1;
});

describe('a change that nobody accepted', () => {
  const delaying: Readonly<Record<string, Change>> = {
    'a pause': annotates(annotations.paused, 'true'),
    'a longer time between rotations': edits({ rotation: { ...rotation, every: '8000h' } }),
    'no planned rotation': edits({ rotation: unplanned, expiry: { never: true } }),
    'a longer overlap': edits({ rotation: { ...rotation, overlap: '50m' } }),
    'a wait for the last use': edits({ rotation: { ...rotation, retireOldKey: 'WhenUnused', maxOverlap: '2000h' } }),
    'a window that comes once a year': edits({
      rotation: { ...rotation, windows: [{ schedule: '0 0 1 7 *', duration: '1m' }] },
    }),
    'an end with the expiry': edits({ rotation: { ...unplanned, onExpiry: 'Expire' } }),
    'a later expiry': edits({ expiry: { never: true } }),
    'an end in a year': edits({ rotation: unplanned, expiry: { at: '2026-12-01T00:00:00Z' } }),
    'rotation that is invalid': edits({ rotation: { ...rotation, overlap: '9000h' } }),
    'a lifetime that is invalid': edits({ expiry: { after: '1s' } }),
    'an access type that does not exist': edits({ accessType: 'Nothing' }),
    'a scope that does not exist': edits({ scopes: ['nothing'] }),
    'no contact': edits({ contactEmail: undefined }),
    'other places': edits({ deliverTo: [{ name: 'mine', secret: { name: 'mine' } }] }),
    'a place that does not exist': edits({ deliverTo: [...keySpec().deliverTo, { name: 'gone', destination: 'gone' }] }),
    'an entry that leads elsewhere': edits({
      deliverTo: [
        { name: 'vault', secret: { name: 'mine' } },
        { name: 'local', secret: { name: 'mine-too' } },
      ],
    }),
    'a workload to wait for': edits({ consumers: [{ kind: 'Deployment', name: 'nothing', restart: true }] }),
    'a request to rotate': annotates(annotations.rotate, 'now'),
  };

  it.each(Object.entries(delaying))('lets no value live longer: %s', async (_, change) => {
    await ready();
    const before = world.vault.value(vaultPath);
    await held(change);
    expect(epoch()).toBe(1);
    expect(world.condition('Stalled')).toBe('True AdmissionPolicyMissing');
    expect(world.condition('Ready')).toBe('False AdmissionPolicyMissing');
    await realm.advance(3 * hour);
    expect(epoch()).toBe(2);
    const value = world.vault.value(vaultPath);
    expect([value === before, world.secret.value(secretPath) === value, world.secret.value('payments/mine')]).toEqual([
      ...[false, true, undefined],
    ]);
    expect(await realm.ask(before)).not.toBe('key_invalid');
    await realm.advance(10 * minute);
    expect(await realm.ask(before)).toBe('key_invalid');
    expect(await realm.ask(value)).not.toBe('key_invalid');
    expect(world.condition('Stalled')).toBe('True AdmissionPolicyMissing');
    expect(realm.held).toBe(1);
  });

  it('lets no value live longer, even if the catalog does not permit the key at that moment', async () => {
    await ready();
    await realm.edit('ApiCatalog', 'default', { accessTypes: [{ ...realm.catalog().accessTypes[0], name: 'Other' }] });
    expect(world.condition('Stalled')).toBe('True InvalidSpec');
    await held(annotates(annotations.paused, 'true'));
    await realm.edit('ApiCatalog', 'default', { accessTypes: [{ ...realm.catalog().accessTypes[0], name: 'Integrations' }] });
    await realm.advance(3 * hour);
    expect(epoch()).toBe(2);
  });

  it('stops a key whose last accepted edit is not valid', async () => {
    await ready();
    edits({ accessType: 'Nothing' })(realm);
    await realm.quiet();
    expect(world.condition('Stalled')).toBe('True InvalidSpec');
    await held(edits({ displayName: 'Other' }));
    await realm.advance(4 * hour);
    expect([epoch(), world.condition('Stalled')]).toEqual([1, 'True AdmissionPolicyMissing']);
  });

  it('takes effect with its confirmation', async () => {
    await ready();
    await held(annotates(annotations.paused, 'true'), edits({ rotation: { ...rotation, every: '4h' } }));
    await confirm();
    expect([world.condition('Stalled'), world.condition('Ready')]).toEqual(['False Paused', 'True Available']);
    await realm.advance(5 * hour);
    expect(epoch()).toBe(1);
    annotates(annotations.paused, undefined)(realm);
    await realm.quiet();
    expect(epoch()).toBe(2);
  });

  it('resumes no key that was paused, and says that it is held and paused', async () => {
    await ready({}, { [annotations.paused]: 'true' });
    annotates(annotations.paused, undefined)(realm);
    await realm.quiet();
    annotates(annotations.paused, 'true')(realm);
    await realm.quiet();
    expect(world.condition('Stalled')).toBe('False Paused');
    await held(annotates(annotations.paused, undefined), edits({ displayName: 'Other' }));
    await realm.advance(4 * hour);
    expect([epoch(), world.condition('Stalled')]).toEqual([1, 'True AdmissionPolicyMissing']);
    expect(realm.keyMessage('Stalled')).toContain('paused by the annotation keywright.dev/paused');
    await confirm();
    expect(epoch()).toBe(2);
  });

  it.each(['held', 'held and paused'])('says how to confirm it in the present period, or that there is none: %s', async (how) => {
    await ready({}, how === 'held' ? {} : { [annotations.paused]: 'true' }, 1_000);
    await held(edits({ displayName: 'Other' }));
    const first = confirmation();
    world.admission = policyAway;
    await realm.advance(2_000);
    expect([confirmation(), world.condition('Stalled'), world.condition('Reconciling')]).toEqual([
      ...[undefined, 'False Progressing', 'True AdmissionPolicyMissing'],
    ]);
    world.admission = inForce('third', world.clock.now());
    await realm.advance(2_000);
    // The policy was away and is back between two looks.
    const third = confirmation();
    world.admission = inForce('fourth', world.clock.now());
    await realm.advance(2_000);
    expect(new Set([first, third, confirmation(), undefined]).size).toBe(4);
    await confirm();
    expect(world.condition('Ready')).toMatch(/Available|Minting/);
  });

  it('comes first in the status of a paused key, even of a new one, and an accepted pause stays while the policy is away', async () => {
    await ready({}, { [annotations.paused]: 'true' });
    annotates(annotations.paused, undefined)(realm);
    await realm.quiet();
    annotates(annotations.paused, 'true')(realm);
    await realm.quiet();
    world.admission = policyAway;
    await realm.advance(4 * hour);
    expect([epoch(), world.condition('Stalled'), world.condition('Ready')]).toEqual([1, 'False Paused', 'True Available']);
    edits({ displayName: 'Other' })(realm);
    await realm.quiet();
    expect([world.condition('Reconciling'), world.condition('Ready')]).toEqual([
      ...['True AdmissionPolicyMissing', 'False AdmissionPolicyMissing'],
    ]);

    world = await World.open();
    world.admission = policyAway;
    world.resources.create('ApiKey', { metadata: { ...key, annotations: { [annotations.paused]: 'true' } }, spec: keySpec() });
    realm = await Realm.over(world);
    expect(world.condition('Reconciling')).toBe('True AdmissionPolicyMissing');
  });

  it('rotates nothing when an accepted request is removed and added again', async () => {
    await ready();
    annotates(annotations.rotate, 'now')(realm);
    await realm.quiet();
    await realm.advance(hour);
    expect(epoch()).toBe(2);
    await held(annotates(annotations.rotate, undefined), annotates(annotations.rotate, 'now'));
    await realm.advance(hour);
    expect([epoch(), world.condition('Ready')]).toEqual([2, 'True Available']);
  });

  it('mints no version by ending the one before, nor by a new generation of an expired key', async () => {
    await ready();
    await held(annotates(annotations.compromised, 'all'));
    await realm.advance(4 * hour);
    expect(world.store.database.rows.versions.length).toBe(1);

    await ready({ expiry: { after: '2h' }, rotation: { ...unplanned, onExpiry: 'Expire' } });
    await realm.advance(121 * minute);
    expect(world.condition('Expired')).toBe('True Expired');
    await held(edits({ displayName: 'Other', expiry: { after: '2h' } }));
    await realm.advance(2 * hour);
    expect(world.store.database.rows.versions.length).toBe(1);
  });

  it('that was held while the key expired for good brings it back when somebody confirms it', async () => {
    const expiring = { expiry: { after: '2h' }, rotation: { ...unplanned, onExpiry: 'Expire' } };
    await ready(expiring);
    await held(edits({ ...expiring, displayName: 'Other' }));
    await realm.advance(3 * hour);
    expect(world.store.database.rows.versions.map(({ endedReason }) => endedReason)).toEqual(['expired']);
    await confirm();
    expect([world.condition('Ready'), epoch()]).toEqual(['True Available', 2]);
  });

  it('keeps a value delivered in the accepted places, except those that a held change removed', async () => {
    await ready();
    const [vault] = keySpec().deliverTo;
    await held(edits({ deliverTo: [vault] }), edits({ deliverTo: keySpec().deliverTo }));
    world.vault.lose(vaultPath);
    await realm.advance(7 * hour);
    expect(world.vault.value(vaultPath)).toBeDefined();
    expect(world.secret.value(secretPath)).toBeUndefined();
    await confirm();
    expect(world.secret.value(secretPath)).toBe(world.vault.value(vaultPath));
  });

  it('gives no version a later end than a held change has set, even when another one takes it back', async () => {
    await ready();
    const end = world.clock.now() + 4 * hour;
    await held(edits({ expiry: { at: instant(end) } }), edits({}));
    await realm.advance(3 * hour);
    expect([epoch(), (await realm.record())?.version.expiresAt]).toEqual([2, end]);
    const value = world.vault.value(vaultPath);
    await realm.advance(hour);
    expect(await realm.ask(value)).toBe('key_expired');
    await confirm();
    expect([epoch(), await realm.ask(world.vault.value(vaultPath))]).toEqual([3, 'allowed']);
  });
});
