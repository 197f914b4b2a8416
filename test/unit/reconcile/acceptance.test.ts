import { describe, expect, it } from 'vitest';
import type { ApiKeySpec } from '../../../operator/src/api/kinds.ts';
import { annotations } from '../../../operator/src/api/meta.ts';
import type { AdmissionState } from '../../../operator/src/reconcile/acceptance.ts';
import { Realm } from '../../builders/realm.ts';
import { catalogSpec, keySpec, policyAway, secretPath, vaultPath, World } from '../../builders/world.ts';

const hour = 3_600_000;
const key = { namespace: 'payments', name: 'billing' };
const product = {
  accessTypes: [
    { name: 'Integrations', endpoints: 'All' },
    { name: 'Management', endpoints: 'All', admin: true },
  ],
  endpoints: [
    { name: 'list-things', method: 'GET', path: '/v1/things' },
    { name: 'list-others', method: 'GET', path: '/v1/others' },
    { name: 'administer', method: 'POST', path: '/v1/admin', admin: true },
  ],
  channels: [{ slug: 'email' }, { slug: 'sms' }],
  requests: { hosts: ['api.example.com'] },
  policy: { neverExpires: 'Allowed' },
};
const admin = { method: 'POST', path: '/v1/admin' };

/** A policy that has been in force since this instant, in a period of this name. */
const inForce = (period: string, since = 0): AdmissionState => ({ kind: 'inForce', period, since });

/** A Ready key under a policy that is required and in force, and its value. */
async function guarded(spec: Partial<Record<keyof ApiKeySpec, unknown>> = {}) {
  const world = await World.open({ without: ['catalog'] });
  world.resources.create('ApiCatalog', { metadata: { name: 'default' }, spec: catalogSpec(product) });
  world.admission = inForce('first');
  world.createKey(spec);
  const realm = await Realm.over(world);
  expect(world.condition('Delivered')).toBe('True Current');
  return { realm, world, value: world.vault.value(vaultPath) };
}

type Guarded = Awaited<ReturnType<typeof guarded>>;

const edit = ({ realm }: Guarded, changes: Partial<Record<keyof ApiKeySpec, unknown>>) => realm.edit('ApiKey', key, changes);
const allowsOthers = ({ realm, value }: Guarded) => realm.ask(value, { path: '/v1/others' });

/** The policy goes, something is written, and the policy is there again. */
async function whileAway(found: Guarded, write: () => Promise<void>, next = 'second'): Promise<void> {
  found.world.admission = policyAway;
  await write();
  found.world.admission = inForce(next, found.world.clock.now());
  await found.realm.advance(70_000);
}

async function confirm({ realm, world }: Guarded): Promise<void> {
  const said = /keywright\.dev\/confirm=([0-9a-f]{16})/.exec(realm.keyMessage())?.[1];
  expect(said).toBeDefined();
  world.resources.annotate('ApiKey', key, { [annotations.confirm]: said });
  await realm.quiet();
}

describe('what is written while the admission policy is not in force', () => {
  it('widens no right, neither then nor when the policy is back, until somebody confirms it', async () => {
    const found = await guarded({ endpoints: ['list-things'] });
    expect(await allowsOthers(found)).toBe('endpoint_not_allowed');
    await whileAway(found, () => edit(found, { endpoints: ['list-things', 'list-others'] }));
    expect(found.world.condition('Ready')).toBe('False AdmissionPolicyMissing');
    expect(found.world.condition('Stalled')).toBe('True AdmissionPolicyMissing');
    expect([await allowsOthers(found), await found.realm.ask(found.value)]).toEqual(['endpoint_not_allowed', 'allowed']);
    expect(found.realm.held).toBe(1);
    await confirm(found);
    expect([await allowsOthers(found), found.world.condition('Ready')]).toEqual(['allowed', 'True Available']);
    expect(found.realm.held).toBe(0);
  });

  it('narrows at once, and the status shows what is left', async () => {
    const found = await guarded({ channels: ['email', 'sms'] });
    found.world.admission = policyAway;
    await edit(found, { endpoints: ['list-others'], channels: ['sms'] });
    expect([await found.realm.ask(found.value), await allowsOthers(found)]).toEqual(['endpoint_not_allowed', 'allowed']);
    expect(found.world.status().effective).toMatchObject({ endpoints: 1, channels: ['sms'] });
  });

  it('lifts no suspension that was itself held, nor one that came while an earlier edit was held, until it is confirmed', async () => {
    const found = await guarded();
    await whileAway(found, async () => {
      await edit(found, { suspend: true });
      await edit(found, { suspend: false });
      expect(await found.realm.ask(found.value)).toBe('key_suspended');
    });
    expect(await found.realm.ask(found.value)).toBe('key_suspended');
    await confirm(found);
    expect(await found.realm.ask(found.value)).toBe('allowed');

    const other = await guarded();
    await whileAway(other, () => edit(other, { displayName: 'Held' }));
    await edit(other, { suspend: true });
    await whileAway(other, () => edit(other, { suspend: false }), 'third');
    expect(await other.realm.ask(other.value)).toBe('key_suspended');
  });

  it('lifts nothing that an earlier held edit narrowed, says what is narrowed, and lifts all at once when it is accepted', async () => {
    const all = { endpoints: ['list-things', 'list-others'], channels: ['email', 'sms'] };
    const found = await guarded(all);
    const sends = (channel: string) => found.realm.ask(found.value, { targetChannels: [channel] });
    await whileAway(found, async () => {
      await edit(found, { endpoints: ['list-others'] });
      await edit(found, { ...all, channels: ['sms'] });
      await edit(found, all);
    });
    expect([await found.realm.ask(found.value), await allowsOthers(found)]).toEqual(['endpoint_not_allowed', 'allowed']);
    expect(found.realm.keyMessage()).toMatch(/; held changes have narrowed spec\.channels, spec\.endpoints$/);
    expect(found.world.status().effective).toMatchObject({ endpoints: 1, channels: ['sms'] });
    await confirm(found);
    expect([await found.realm.ask(found.value), await sends('email')]).toEqual(['allowed', 'allowed']);

    const other = await guarded({ channels: ['email', 'sms'] });
    await whileAway(other, async () => {
      await edit(other, { channels: ['sms'] });
      await edit(other, { channels: ['email', 'sms'] });
    });
    expect(await other.realm.ask(other.value, { targetChannels: ['email'] })).toBe('channel_not_assigned');
    expect(await other.realm.ask(other.value, { targetChannels: ['sms'] })).toBe('allowed');
  });

  it('lifts nothing that an accepted edit narrowed which is not valid', async () => {
    const found = await guarded({ channels: ['email', 'sms'] });
    await edit(found, { channels: ['sms'], rotation: { ...keySpec().rotation, overlap: '10000h' } });
    await whileAway(found, () => edit(found, { channels: ['email', 'sms'] }));
    expect(await found.realm.ask(found.value, { targetChannels: ['email'] })).toBe('channel_not_assigned');
  });

  it('suspends and revokes at once, and lifts no suspension', async () => {
    const found = await guarded({ suspend: true });
    await whileAway(found, () => edit(found, { suspend: false }));
    expect(await found.realm.ask(found.value)).toBe('key_suspended');
    const other = await guarded();
    other.world.admission = policyAway;
    await edit(other, { suspend: true });
    expect(await other.realm.ask(other.value)).toBe('key_suspended');
    await edit(other, { revoked: { reason: 'KeyCompromise' } });
    expect(await other.realm.ask(other.value)).toBe('key_invalid');
  });

  it('prolongs no life, and shortens one', async () => {
    const at = (hours: number) => new Date(Date.parse('2026-01-01T00:00:00Z') + hours * hour).toISOString().replace('.000', '');
    const found = await guarded({ expiry: { at: at(1_000) } });
    const expiresAt = async () => (await found.realm.record())?.version.expiresAt;
    const before = await expiresAt();
    await whileAway(found, () => edit(found, { expiry: { never: true } }));
    expect(await expiresAt()).toBe(before);
    found.world.admission = policyAway;
    await edit(found, { expiry: { at: at(500) } });
    expect(await expiresAt()).toBe(Date.parse(at(500)));
  });

  it('delivers nothing anywhere new', async () => {
    const found = await guarded();
    await whileAway(found, () =>
      edit(found, { deliverTo: [...keySpec().deliverTo, { name: 'mine', secret: { name: 'mine' } }] }),
    );
    expect(found.world.secret.value('payments/mine')).toBeUndefined();
    expect([found.world.vault.value(vaultPath), found.world.secret.value(secretPath)]).toEqual([found.value, found.value]);
    await confirm(found);
    expect(found.world.secret.value('payments/mine')).toBe(found.value);
  });

  it('withdraws what is taken out', async () => {
    const found = await guarded();
    found.world.admission = policyAway;
    await edit(found, { deliverTo: [{ name: 'vault', destination: 'prod-vault' }] });
    expect(found.world.secret.value(secretPath)).toBeUndefined();
  });

  it('rotates nothing by a request that nobody with the right made', async () => {
    const found = await guarded();
    await whileAway(found, async () => {
      found.world.resources.annotate('ApiKey', key, { [annotations.rotate]: 'now' });
      await found.realm.quiet();
    });
    expect(found.world.status().currentKey?.epoch).toBe(1);
    expect(found.world.condition('Ready')).toBe('False AdmissionPolicyMissing');
    await confirm(found);
    expect(found.world.status().currentKey?.epoch).toBe(2);
  });

  it('mints nothing for a key that was created meanwhile, until somebody confirms it', async () => {
    const world = await World.open();
    world.admission = policyAway;
    world.createKey();
    const realm = await Realm.over(world);
    expect(realm.keyMessage()).toMatch(/not been in force since .* \(the ValidatingAdmissionPolicy keywright does not exist\)/);
    world.admission = inForce('first', world.clock.now());
    await realm.advance(70_000);
    expect([world.condition('Ready'), world.vault.value(vaultPath)]).toEqual(['False AdmissionPolicyMissing', undefined]);
    await confirm({ realm, world, value: undefined });
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('is confirmed by no value that was there before, and by no value of another state', async () => {
    const found = await guarded({ endpoints: ['list-things'] });
    const { world, realm } = found;
    await whileAway(found, () => edit(found, { endpoints: ['list-things', 'list-others'] }));
    const said = /confirm=([0-9a-f]{16})/.exec(realm.keyMessage())?.[1];
    // The policy goes once more: who writes now knows the value, and it confirms nothing any more.
    await whileAway(
      found,
      async () => {
        world.resources.annotate('ApiKey', key, { [annotations.confirm]: said });
        await realm.quiet();
      },
      'third',
    );
    expect(await allowsOthers(found)).toBe('endpoint_not_allowed');
    expect(realm.keyMessage()).not.toContain(`confirm=${said ?? ''}`);
  });

  it('counts from when it was written: what was accepted before goes on, and is repaired', async () => {
    const found = await guarded();
    found.world.admission = policyAway;
    found.world.secret.lose(secretPath);
    found.realm.engine.listen();
    await found.realm.advance(7 * hour);
    expect(found.world.condition('Ready')).toBe('True Available');
    expect(found.world.secret.value(secretPath)).toBe(found.value);
  });
});

describe('a change under a policy that is in force', () => {
  it('is checked once after it was read, and takes effect', async () => {
    const found = await guarded({ endpoints: ['list-things'] });
    const before = found.world.admissionChecks;
    await edit(found, { endpoints: ['list-others'] });
    expect([await allowsOthers(found), found.world.admissionChecks - before]).toEqual(['allowed', 1]);
  });

  it('is held when the policy was away since the last acceptance, though no pass saw it', async () => {
    const found = await guarded({ endpoints: ['list-things'] });
    found.world.admission = inForce('second', found.world.clock.now());
    await edit(found, { endpoints: ['list-others', 'list-things'] });
    expect(await allowsOthers(found)).toBe('endpoint_not_allowed');
  });

  it('is accepted in a new period after the acceptance was carried over', async () => {
    const found = await guarded({ endpoints: ['list-things'] });
    const { world } = found;
    world.admission = inForce('second', world.clock.now());
    const metadata = world.key()?.metadata;
    const state = { uid: metadata?.uid ?? '', generation: metadata?.generation ?? 0, requests: '' };
    expect(await world.store.carryAcceptances('second', [state], world.clock.now())).toBe(1);
    await edit(found, { endpoints: ['list-others'] });
    expect(await allowsOthers(found)).toBe('allowed');
  });
});

describe('a check of the policy that does not end', () => {
  /** Five Ready keys and their values, the first with the usual name; then the checks hang. */
  async function hanging() {
    const found = await guarded();
    const names = ['a', 'b', 'c', 'd'];
    for (const name of names) {
      const spec = keySpec({ deliverTo: [{ name: 'local', secret: { name } }] });
      found.world.resources.create('ApiKey', { metadata: { namespace: 'payments', name }, spec });
    }
    await found.realm.quiet();
    found.world.admissionAnswers = false;
    const values = names.map((name) => found.world.secret.value(`payments/${name}`));
    return { ...found, names, values };
  }

  const change = ({ world }: Guarded, name: string, changes: Partial<ApiKeySpec>) =>
    world.resources.update('ApiKey', { ...key, name }, (one) => ({ ...one, spec: { ...one.spec, ...changes } }));

  it('holds up no suspension and no nearer expiry, and widens nothing meanwhile', async () => {
    const found = await hanging();
    const { world, realm, names, values } = found;
    for (const name of names) change(found, name, { suspend: true, channels: [], expiry: { at: '2026-01-01T01:00:00Z' } });
    await world.clock.advance(300);
    for (const value of values) expect(await realm.ask(value)).toBe('key_suspended');
    change(found, 'a', { suspend: false, expiry: { at: '2027-01-01T00:00:00Z' } });
    await world.clock.advance(300);
    // Nothing proves yet that somebody with the right lifted it.
    expect(await realm.ask(values[0])).toBe('key_suspended');
    const record = await world.store.findByKeyId(/_([0-9A-Za-z]{12})/.exec(values[0] ?? '')?.[1] ?? '');
    expect(record?.version.expiresAt).toBe(Date.parse('2026-01-01T01:00:00Z'));
  });

  it('holds up no revocation, although each worker of the lane waits for one', async () => {
    const found = await hanging();
    for (const name of found.names) change(found, name, { suspend: true });
    change(found, 'billing', { revoked: { reason: 'KeyCompromise' } });
    await found.world.clock.advance(300);
    expect(await found.realm.ask(found.value)).toBe('key_invalid');
  });

  it('is followed by a full pass that accepts the edit', async () => {
    const found = await guarded({ endpoints: ['list-things'] });
    found.world.admissionAnswers = false;
    change(found, 'billing', { endpoints: ['list-things', 'list-others'] });
    await found.world.clock.advance(250);
    found.world.admissionAnswers = true;
    await found.world.clock.advance(50);
    await found.realm.quiet();
    expect(await allowsOthers(found)).toBe('allowed');
  });
});

describe('[S2-1] a key that is not permitted', () => {
  const management = {
    accessTypes: [
      { name: 'Integrations', endpoints: 'All' },
      { ...product.accessTypes[1], namespaces: { names: ['platform'] } },
    ],
  };

  it('gains no right by an edit to an access type of other namespaces', async () => {
    const found = await guarded();
    await found.realm.edit('ApiCatalog', 'default', { accessTypes: catalogSpec({ ...product, ...management }).accessTypes });
    await edit(found, { accessType: 'Management' });
    expect(found.world.condition('Stalled')).toBe('True NotPermitted');
    expect(await found.realm.ask(found.value, admin)).toBe('endpoint_not_allowed');
  });

  it('is denied when the catalog begins to restrict its access type, and allowed again when it does not', async () => {
    const found = await guarded({ accessType: 'Management' });
    expect(await found.realm.ask(found.value, admin)).toBe('allowed');
    await found.realm.edit('ApiCatalog', 'default', { accessTypes: catalogSpec({ ...product, ...management }).accessTypes });
    expect([await found.realm.ask(found.value, admin), found.world.condition('Ready')]).toEqual([
      'access_type_not_allowed',
      'False NotPermitted',
    ]);
    await found.realm.edit('ApiCatalog', 'default', { accessTypes: catalogSpec(product).accessTypes });
    expect([await found.realm.ask(found.value, admin), found.world.condition('Ready')]).toEqual(['allowed', 'True Available']);
  });

  it('is denied when its owner stops allowing the namespace, keeps its value, and comes back', async () => {
    const found = await guarded();
    await found.realm.edit('KeyOwner', 'payments-team', { allowedNamespaces: { names: ['elsewhere'] } });
    expect([await found.realm.ask(found.value), found.world.status().effective?.endpoints]).toEqual([
      'access_type_not_allowed',
      0,
    ]);
    expect(found.world.vault.value(vaultPath)).toBe(found.value);
    await found.realm.edit('KeyOwner', 'payments-team', { allowedNamespaces: { names: ['payments'] } });
    expect(await found.realm.ask(found.value)).toBe('allowed');
  });

  it('is denied when the namespace loses the label that allowed it', async () => {
    const found = await guarded();
    const selector = { selector: { matchLabels: { tier: 'gold' } } };
    const label = (labels: Record<string, string>) => {
      found.world.resources.update('Namespace', { name: 'payments' }, (one) => ({
        ...one,
        metadata: { ...one.metadata, labels },
      }));
      return found.realm.quiet();
    };
    await label({ tier: 'gold' });
    await found.realm.edit('KeyOwner', 'payments-team', { allowedNamespaces: selector });
    expect(await found.realm.ask(found.value)).toBe('allowed');
    await label({ tier: 'bronze' });
    expect(await found.realm.ask(found.value)).toBe('access_type_not_allowed');
  });

  it('gains nothing by an edit that is invalid in another field', async () => {
    const found = await guarded({ endpoints: ['list-things'] });
    await edit(found, { endpoints: ['list-others', 'list-things'], rotation: { ...keySpec().rotation, overlap: '10000h' } });
    expect([await allowsOthers(found), found.world.condition('Stalled')]).toEqual(['endpoint_not_allowed', 'True InvalidSpec']);
    await edit(found, { rotation: keySpec().rotation });
    expect(await allowsOthers(found)).toBe('allowed');
  });
});

describe('a key whose ApiKey was stripped of its finalizer and created anew', () => {
  it('gives an old value only what both ApiKeys allow, until it ends', async () => {
    const found = await guarded({ endpoints: ['list-things'] });
    const { world, realm, value } = found;
    world.resources.update('ApiKey', key, (one) => ({ ...one, metadata: { ...one.metadata, finalizers: [] } }));
    world.resources.delete('ApiKey', key);
    await realm.quiet();
    await realm.advance(2_000);
    world.createKey({ accessType: 'Management' });
    await realm.quiet();
    expect(world.condition('Ready')).toBe('True Available');
    const fresh = world.vault.value(vaultPath);
    expect(fresh).not.toBe(value);
    expect([await realm.ask(fresh, admin), await realm.ask(fresh, { path: '/v1/others' })]).toEqual(['allowed', 'allowed']);
    expect([await realm.ask(value, admin), await allowsOthers(found), await realm.ask(value)]).toEqual([
      'endpoint_not_allowed',
      'endpoint_not_allowed',
      'allowed',
    ]);
  });
});
