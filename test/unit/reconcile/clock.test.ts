import { describe, expect, it } from 'vitest';
import { plan } from '../../../operator/src/reconcile/plan.ts';
import { WorkQueue } from '../../../operator/src/queue/queue.ts';
import { observed, type ObservedCase } from '../../builders/observed.ts';
import { World } from '../../builders/world.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const day = 86_400_000;

/** The step of a plan that is made while the time is not known, or what it waits for. */
function whileWrong(given: ObservedCase): string | undefined {
  const found = plan({ ...observed(given), clockWrong: true });
  return found.action?.kind ?? found.blocker?.reason;
}

const two: ObservedCase = {
  versions: [
    { epoch: 1, state: 'retiring', notAfter: '-1s' },
    { epoch: 2, state: 'active' },
  ],
  deliveries: [
    { at: 'vault', holds: 'K2' },
    { at: 'local', holds: 'K2' },
  ],
};

describe('while the clock is wrong', () => {
  it('nothing is minted, and the status says why', async () => {
    const world = await World.open();
    world.clockIsRight = false;
    world.createKey();
    expect(await world.pass()).toMatchObject({ kind: 'at', at: world.clock.now() + 60_000 });
    expect(world.condition('Ready')).toBe('False ClockWrong');
    expect(world.condition('Reconciling')).toBe('True ClockWrong');
    expect(world.store.database.rows.versions).toEqual([]);
    world.clockIsRight = true;
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('nothing is retired, and nothing expires in the store', () => {
    expect(whileWrong(two)).toBe('ClockWrong');
    const expired: ObservedCase = { versions: [{ epoch: 1, state: 'active', expires: '-1s' }] };
    expect(whileWrong({ ...expired, sights: { vault: 'K1', local: 'K1' } })).toBe('ClockWrong');
    expect(plan(observed(two)).action?.kind).toBe('endVersions');
  });

  it('a version whose end has come holds up no withdrawal and no copy', () => {
    const moved: ObservedCase = { ...two, spec: { deliverTo: [{ name: 'vault', destination: 'prod-vault' }] } };
    expect(whileWrong(moved)).toBe('beginWithdrawal');
    const lost: ObservedCase = { ...two, compare: 'all', sights: { vault: 'K2', local: 'absent' } };
    expect(whileWrong(lost)).toBe('copy');
  });

  it('a version on its way is not activated', () => {
    const given: ObservedCase = {
      versions: [
        { epoch: 1, state: 'active' },
        { epoch: 2, state: 'pending' },
      ],
      deliveries: [
        { at: 'vault', holds: 'K2' },
        { at: 'local', holds: 'K2' },
      ],
      sights: { vault: 'K2', local: 'K2' },
    };
    expect(plan(observed(given)).action?.kind).toBe('activate');
    expect(whileWrong(given)).toBe('ClockWrong');
  });

  it('a key stays Ready, is revoked, suspended and deleted as ever', async () => {
    const world = await World.open();
    world.createKey();
    await world.pass();
    world.clockIsRight = false;
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    world.updateKey({ suspend: true });
    await world.pass();
    expect(world.condition('Ready')).toBe('False Suspended');
    world.updateKey({ revoked: { reason: 'KeyCompromise' } });
    await world.pass();
    expect(world.condition('Ready')).toBe('False Revoked');
    expect(world.vault.paths()).toEqual([]);
    world.resources.delete('ApiKey', world.name);
    await world.pass();
    expect(world.key()).toBeUndefined();
  });

  it('a lost value is copied from its sibling', async () => {
    const world = await World.open();
    world.createKey();
    await world.pass();
    world.clockIsRight = false;
    const value = world.vault.value('secret/keywright/payments/billing');
    world.vault.lose('secret/keywright/payments/billing');
    await world.pass({ drift: true });
    expect(world.vault.value('secret/keywright/payments/billing')).toBe(value);
  });
});

describe('a machine that slept for a day', () => {
  it('works off a thousand keys that are due as few at a time as ever, from a minute after waking', async () => {
    const clock = new FakeClock();
    let running = 0;
    let most = 0;
    const done = new Set<string>();
    const queue = new WorkQueue<string>({
      clock,
      concurrency: 5,
      handle: async (key) => {
        running += 1;
        most = Math.max(most, running);
        await clock.sleep(10);
        running -= 1;
        done.add(key);
        return { kind: 'awaitChange' };
      },
      onError: () => {},
    });
    for (let n = 0; n < 1_000; n += 1) queue.add(`key-${n}`, { at: clock.now() + 3_600_000 + n * 60_000 });
    queue.start();
    await clock.advance(1_000);
    clock.jump(day);
    await clock.advance(62_000);
    expect([done.size, most]).toEqual([1_000, 5]);
    await queue.drain(1_000);
  });
});
