import { describe, expect, it } from 'vitest';
import { carryOver } from '../../../operator/src/commands/acceptances.ts';
import { Realm } from '../../builders/realm.ts';
import { catalogSpec, policyAway, World } from '../../builders/world.ts';

const endpoints = ['things', 'others'].map((what) => ({ name: `list-${what}`, method: 'GET', path: `/v1/${what}` }));
const product = { endpoints, requests: { hosts: ['api.example.com'] }, policy: { neverExpires: 'Allowed' } };
const wider = { endpoints: ['list-things', 'list-others'] };

/** A Ready key with the right to `list-things` alone; the operator that accepted it has ended. */
async function accepted() {
  const world = await World.open({ without: ['catalog'] });
  world.resources.create('ApiCatalog', { metadata: { name: 'default' }, spec: catalogSpec(product) });
  world.admission = { kind: 'inForce', period: 'zeroth', since: 0 };
  world.createKey({ endpoints: ['list-things'] });
  const realm = await Realm.over(world);
  await realm.engine.drain(1_000);
  const value = world.vault.value('secret/keywright/payments/billing');
  return { world, realm, others: () => realm.ask(value, { path: '/v1/others' }) };
}

type Accepted = Awaited<ReturnType<typeof accepted>>;

/** An operator starts; the policy is in force in this period, or away. */
async function start({ world, realm }: Accepted, period: string | undefined): Promise<void> {
  if (period === undefined) world.admission = policyAway;
  else {
    world.admission = { kind: 'inForce', period, since: world.clock.now() };
    await carryOver(world, period);
  }
  await realm.restart();
  await realm.advance(70_000);
}

const edit = ({ world }: Accepted) => world.updateKey(wider);
const held = ['endpoint_not_allowed', 'False AdmissionPolicyMissing'];

describe('the start of an operator', () => {
  it('goes on with a key that nobody edited, and accepts its next edit', async () => {
    const found = await accepted();
    await start(found, 'first');
    expect(found.world.condition('Ready')).toBe('True Available');
    edit(found);
    await found.realm.quiet();
    expect([await found.others(), found.world.condition('Ready')]).toEqual(['allowed', 'True Available']);
  });

  it('goes on with a key that nobody edited also while the policy is away, and afterwards', async () => {
    const found = await accepted();
    await start(found, undefined);
    expect(found.world.condition('Ready')).toBe('True Available');
    await start(found, 'first');
    edit(found);
    await found.realm.quiet();
    expect(await found.others()).toBe('allowed');
  });

  it('takes no status for a proof: an edit while the policy is away stays held, in every period, however often it starts', async () => {
    const found = await accepted();
    await start(found, undefined);
    edit(found);
    await found.realm.quiet();
    expect(found.world.status().observedGeneration).toBe(2);
    for (const period of [undefined, 'first', 'second']) {
      await start(found, period);
      expect([await found.others(), found.world.condition('Ready')]).toEqual(held);
    }
  });

  it('holds an edit that was made after the last pass of the one before it', async () => {
    const found = await accepted();
    edit(found);
    await start(found, 'first');
    await found.realm.restart();
    expect([await found.others(), found.world.condition('Ready')]).toEqual(held);
  });

  it('holds an edit whose first pass failed', async () => {
    const found = await accepted();
    await start(found, undefined);
    found.world.store.failNext();
    edit(found);
    await found.realm.quiet();
    await start(found, 'first');
    expect(await found.others()).toBe('endpoint_not_allowed');
  });
});
