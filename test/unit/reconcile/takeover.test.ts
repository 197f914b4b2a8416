import { afterEach, describe, expect, it } from 'vitest';
import type { ApiKeySpec } from '../../../operator/src/api/kinds.ts';
import { annotations } from '../../../operator/src/api/meta.ts';
import { formatInstant } from '../../../operator/src/domain/time.ts';
import { goneAfterMs } from '../../../operator/src/reconcile/orphans.ts';
import { Realm } from '../../builders/realm.ts';
import { catalogSpec, keySpec, policyAway, vaultPath, World } from '../../builders/world.ts';

type Changes = Partial<Record<keyof ApiKeySpec, unknown>>;

const key = { namespace: 'payments', name: 'billing' };
const product = {
  accessTypes: [
    { name: 'Integrations', endpoints: 'All' },
    { name: 'Closed', endpoints: 'All', namespaces: { names: ['elsewhere'] } },
  ],
  endpoints: [
    { name: 'list-things', method: 'GET', path: '/v1/things' },
    { name: 'list-others', method: 'GET', path: '/v1/others' },
  ],
  requests: { hosts: ['api.example.com'] },
};
const others = { path: '/v1/others' };
const running: Realm[] = [];

afterEach(async () => {
  for (const realm of running.splice(0)) await realm.engine.drain(1000);
});

/** A Ready key under a policy that is in force, and its value. */
async function live(spec: Changes = {}) {
  const world = await World.open({ without: ['catalog'] });
  world.resources.create('ApiCatalog', { metadata: { name: 'default' }, spec: catalogSpec(product) });
  world.admission = { kind: 'inForce', period: 'first', since: 0 };
  world.createKey(spec);
  const realm = await Realm.over(world);
  running.push(realm);
  const value = world.vault.value(vaultPath);
  expect(await realm.ask(value)).toBe('allowed');
  return { world, realm, value };
}

type Live = Awaited<ReturnType<typeof live>>;

/** Its finalizer is taken by force, and no deletion is ever seen. */
async function strip({ world, realm }: Live): Promise<void> {
  world.resources.update('ApiKey', key, (one) => ({ ...one, metadata: { ...one.metadata, finalizers: [] } }));
  world.resources.delete('ApiKey', key);
  await realm.quiet();
}

async function createAgain({ world, realm }: Live, spec: Changes, extra: object = {}): Promise<void> {
  world.resources.create('ApiKey', { metadata: { ...key, ...extra }, spec: keySpec(spec) });
  await realm.quiet();
}

const liveVersions = ({ world }: Live) => world.store.database.rows.versions.filter(({ state }) => state !== 'ended').length;

/** What keeps the later ApiKey from a version of its own. */
const blocks: Readonly<Record<string, (found: Live) => { readonly spec?: Changes; readonly metadata?: object }>> = {
  nothing: () => ({}),
  'a policy that did not judge it': ({ world }) => {
    world.admission = policyAway;
    return {};
  },
  'a policy that is back since then': ({ world }) => {
    world.admission = { kind: 'inForce', period: 'second', since: world.clock.now() + 1_000 };
    return {};
  },
  'a spec that is not valid': () => ({ spec: { accessType: 'NoSuchType' } }),
  'a spec that is not permitted': () => ({ spec: { accessType: 'Closed' } }),
  'the annotation paused': () => ({ metadata: { annotations: { [annotations.paused]: 'true' } } }),
  'a missing owner': () => ({ spec: { owner: 'nobody' } }),
  'a missing catalog': () => ({ spec: { catalog: 'nothing' } }),
  'a missing destination': () => ({ spec: { deliverTo: [{ name: 'vault', destination: 'nowhere' }] } }),
};

describe.each(Object.keys(blocks))(
  'an ApiKey that takes the name of one that was removed by force, with %s in its way,',
  (block) => {
    async function blocked(spec: Changes = {}): Promise<Live> {
      const found = await live();
      await strip(found);
      expect(await found.realm.ask(found.value)).toBe('allowed');
      const { spec: more, metadata } = blocks[block]?.(found) ?? {};
      await createAgain(found, { ...more, ...spec }, metadata);
      return found;
    }

    it('revokes the old value when it is created as revoked', async () => {
      const found = await blocked({ revoked: { reason: 'KeyCompromise' } });
      expect(await found.realm.ask(found.value)).toBe('key_invalid');
      expect(liveVersions(found)).toBe(0);
      expect(found.world.condition('Ready')).toBe('False Revoked');
    });

    it('suspends the old value when it is created as suspended', async () => {
      const found = await blocked({ suspend: true });
      expect(await found.realm.ask(found.value)).not.toBe('allowed');
    });

    it('revokes the old value when it is deleted', async () => {
      const found = await blocked();
      found.world.resources.delete('ApiKey', key);
      await found.realm.quiet();
      expect(await found.realm.ask(found.value)).toBe('key_invalid');
      expect(liveVersions(found)).toBe(0);
      expect(found.world.key()).toBeUndefined();
    });

    it('revokes the old value when it is revoked later', async () => {
      const found = await blocked();
      await found.realm.edit('ApiKey', key, { revoked: { reason: 'KeyCompromise' } });
      expect(await found.realm.ask(found.value)).toBe('key_invalid');
    });
  },
);

it('revokes the old value although a pass over the earlier ApiKey hangs in a destination', async () => {
  const { world, realm, value } = await live();
  world.vault.hang(['write']);
  world.resources.annotate('ApiKey', key, { [annotations.rotate]: 'now' });
  await turns();
  world.resources.update('ApiKey', key, (one) => ({ ...one, metadata: { ...one.metadata, finalizers: [] } }));
  world.resources.delete('ApiKey', key);
  world.resources.create('ApiKey', { metadata: key, spec: keySpec({ revoked: { reason: 'KeyCompromise' } }) });
  await turns();
  expect(world.vault.pending).toBe(1);
  expect(await realm.ask(value)).toBe('key_invalid');
  world.vault.heal();
  await realm.quiet();
  expect(world.vault.paths()).toEqual([]);
});

/** Long enough for everything that waits for nothing. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('an old value after its ApiKey was created again', () => {
  it('gains nothing, and loses what the later one does not ask for, while that one is held', async () => {
    const found = await live({ endpoints: ['list-things'] });
    const { world, realm, value } = found;
    await strip(found);
    world.admission = policyAway;
    await createAgain(found, {});
    expect([await realm.ask(value), await realm.ask(value, others)]).toEqual(['allowed', 'endpoint_not_allowed']);
    await realm.edit('ApiKey', key, { endpoints: ['list-others'] });
    expect([await realm.ask(value), await realm.ask(value, others)]).toEqual(['endpoint_not_allowed', 'endpoint_not_allowed']);
    expect(world.store.database.rows.versions).toHaveLength(1);
  });

  it('is not accepted with the state that was accepted of the earlier one, nor by a status that was written', async () => {
    const found = await live({ endpoints: ['list-things'] });
    const { world, realm, value } = found;
    await strip(found);
    world.admission = policyAway;
    await createAgain(found, { endpoints: ['list-things'] });
    world.admission = { kind: 'inForce', period: 'second', since: world.clock.now() + 1_000 };
    for (let minute = 0; minute < 5; minute += 1) await realm.advance(60_000);
    expect(world.condition('Ready')).toBe('False AdmissionPolicyMissing');
    expect(world.vault.value(vaultPath)).toBe(value);
  });

  it('is replaced at once by one of the later ApiKey, and lives on through the overlap as what it was', async () => {
    const found = await live({ endpoints: ['list-things'] });
    const { world, realm, value } = found;
    await strip(found);
    await createAgain(found, {});
    expect(world.condition('Ready')).toBe('True Available');
    const fresh = world.vault.value(vaultPath);
    expect([await realm.ask(fresh, others), await realm.ask(value, others), await realm.ask(value)]).toEqual([
      ...['allowed', 'endpoint_not_allowed', 'allowed'],
    ]);
    expect(world.status().currentKey?.epoch).toBe(2);
  });

  it.each([
    ['while that has no version of its own', 1_000, 1],
    ['beside a version of its own', 0, 2],
  ])('is not prolonged by the expiry of the later one %s', async (_, failures, versions) => {
    const found = await live({ expiry: { after: '240h' } });
    await strip(found);
    const at = formatInstant(found.world.clock.now() + 480 * 3_600_000);
    const expiresAt = found.world.store.database.rows.versions[0]?.expiresAt;
    found.world.vault.failNext({ count: failures });
    found.world.secret.failNext({ count: failures });
    await createAgain(found, { expiry: { at } });
    await found.realm.advance(60_000);
    const ends = found.world.store.database.rows.versions.map((one) => one.expiresAt);
    expect([ends.length, ends[0]]).toEqual([versions, expiresAt]);
  });

  it('leaves its owner in force when the later one names an owner that does not exist', async () => {
    const found = await live();
    await strip(found);
    await createAgain(found, { owner: 'nobody' });
    expect(found.world.condition('OwnerActive')).toBe('False OwnerNotFound');
    await strip(found);
    await createAgain(found, {});
    expect(found.world.condition('Ready')).toBe('True Available');
    expect(await found.realm.ask(found.world.vault.value(vaultPath))).toBe('allowed');
  });

  it('goes from one ApiKey to the next, whatever each of them waits for', async () => {
    const found = await live({ endpoints: ['list-things'] });
    const { world, realm, value } = found;
    for (const spec of [{}, { channels: ['nowhere'] }, { deliverTo: [{ name: 'vault', destination: 'nowhere' }] }]) {
      await strip(found);
      await createAgain(found, spec);
    }
    await strip(found);
    await createAgain(found, {});
    expect(world.condition('Ready')).toBe('True Available');
    expect([await realm.ask(value), await realm.ask(value, others)]).toEqual(['allowed', 'endpoint_not_allowed']);
    expect((await world.store.listKeys()).map(({ ref }) => ref.uid)).toEqual([world.key()?.metadata.uid]);
  });

  it('is told as the current key, and ends, when the operator crashes between the take-over and the mint', async () => {
    const found = await live();
    const { world, realm, value } = found;
    await strip(found);
    world.store.afterEffect = (operation) => {
      if (operation === 'takeOver') world.store.failNext(50);
    };
    await createAgain(found, {});
    world.store.afterEffect = undefined;
    await realm.advance(120_000);
    await realm.advance(120_000);
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.vault.value(vaultPath)).not.toBe(value);
  });
});

describe('somebody without our verbs who creates an ApiKey of the name of a removed one', () => {
  it('keeps the old value alive for no moment longer, however often', async () => {
    const found = await live();
    const { world, realm, value } = found;
    await strip(found);
    world.admission = policyAway;
    // The sweep is by the minute, and finds it gone once before somebody takes the name.
    await realm.advance(61_000);
    for (let minute = 1; minute <= 7; minute += 1) {
      await createAgain(found, { displayName: `attempt ${minute}` });
      expect(await realm.ask(value)).toBe('allowed');
      await realm.advance(60_000);
      if (minute < 7) await strip(found);
    }
    await realm.advance(goneAfterMs - 7 * 60_000 + 60_000);
    expect(await realm.ask(value)).toBe('key_invalid');
    expect(liveVersions(found)).toBe(0);
  });

  it('is answered by the time from the first look on also when the name is taken at once', async () => {
    const found = await live();
    await strip(found);
    found.world.admission = policyAway;
    await createAgain(found, {});
    for (let minute = 0; minute < 10; minute += 1) await found.realm.advance(60_000);
    expect(await found.realm.ask(found.value)).toBe('key_invalid');
    // The ApiKey itself is as it was: a confirmation brings it a version.
    expect(found.world.condition('Ready')).toBe('False AdmissionPolicyMissing');
    found.world.admission = { kind: 'inForce', period: 'second', since: found.world.clock.now() };
    await found.realm.advance(120_000);
    const said = /keywright\.dev\/confirm=([0-9a-f]{16})/.exec(found.realm.keyMessage())?.[1];
    found.world.resources.annotate('ApiKey', key, { [annotations.confirm]: said });
    await found.realm.quiet();
    expect(found.world.condition('Ready')).toBe('True Available');
    expect(await found.realm.ask(found.world.vault.value(vaultPath))).toBe('allowed');
  });

  it('gains no time by an ApiKey that is accepted and not valid, and the rightful one loses none', async () => {
    const found = await live();
    await strip(found);
    await createAgain(found, { accessType: 'NoSuchType' });
    for (let minute = 0; minute < 12; minute += 1) await found.realm.advance(60_000);
    expect(liveVersions(found)).toBe(1);
    await found.realm.edit('ApiKey', key, { accessType: 'Integrations' });
    expect(await found.realm.ask(found.value)).toBe('allowed');
  });
});
