import { expect, it } from 'vitest';
import type { Destinations } from '../../../operator/src/destinations/port.ts';
import { transient } from '../../../operator/src/domain/failure.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import { Outages } from '../../../operator/src/reconcile/outages.ts';
import { Crowded, Traffic } from '../../../operator/src/reconcile/traffic.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

/** A pass that holds no worker. */
const worker = { away: <T>(work: () => Promise<T>): Promise<T> => work() };
const at = (path: string): Location => ({ destinationUid: 'vault-uid', path });

/** Traffic to a destination that answers when the test says so, one call at a time. */
function congested() {
  const clock = new FakeClock();
  const made: string[] = [];
  const answers: (() => void)[] = [];
  const call = (name: string) => (location: Location) => {
    made.push(`${name} ${location.path}`);
    return new Promise<unknown>((resolve) => {
      answers.push(() => {
        resolve(undefined);
      });
    });
  };
  const destination = { readMark: call('read'), write: call('write'), promote: call('promote'), withdraw: call('withdraw') };
  const destinations = { open: async () => destination, close: async () => {} } as unknown as Destinations;
  const leads = { yes: true };
  const traffic = new Traffic({
    ...{ clock, outages: new Outages(clock), concurrency: 1 },
    assertLeading: () => {
      if (!leads.yes) throw transient('ConflictRetry', 'the lease may have run out');
    },
  });
  /** The next call that was made gets its answer. */
  const answer = async (): Promise<void> => {
    answers.shift()?.();
    await clock.advance(0);
  };
  return { clock, traffic, destinations, made, answer, leads };
}

it('makes no write that has waited while the lease ran out, neither of a pass nor of a sweep', async () => {
  const { clock, traffic, destinations, made, answer, leads } = congested();
  const visit = traffic.visit(destinations, 'payments/billing', worker);
  const ours = await visit.destinations.open('vault-uid');
  const swept = await traffic.guard(destinations).open('vault-uid');
  const reading = { kind: 'foreign' } as never;
  const first = ours.readMark(at('a'));
  const late = [
    ours.write(at('b'), {} as never, {} as never, reading, ''),
    ours.promote(at('c'), {} as never, reading),
    swept.withdraw(at('d'), reading),
  ];
  const outcomes = Promise.allSettled(late);
  const read = ours.readMark(at('e'));
  await clock.advance(0);
  leads.yes = false;
  await answer();
  await answer();
  await Promise.all([first, read]);
  expect((await outcomes).map((outcome) => outcome.status === 'rejected' && (outcome.reason as Error).message)).toEqual(
    late.map(() => 'the lease may have run out'),
  );
  expect(made).toEqual(['read a', 'read e']);
});

it('invites keys that were set aside in the order in which they came, however often they try in between', async () => {
  const { clock, traffic, destinations, answer } = congested();
  const invited: string[] = [];
  traffic.onRoom((key) => invited.push(key));
  const visit = async (key: string) => {
    const guarded = traffic.visit(destinations, key, worker);
    const call = (await guarded.destinations.open('vault-uid')).readMark(at(key));
    return { call, end: () => guarded.end() };
  };
  // As many as have room.
  const inside = await Promise.all(Array.from({ length: 33 }, (_, number) => visit(`inside-${number}`)));
  const setAside = async (key: string): Promise<void> => {
    const { call, end } = await visit(key);
    const error: unknown = await call.catch((reason: unknown) => reason);
    end();
    expect(error).toBeInstanceOf(Crowded);
    traffic.park(key, error as Crowded);
  };
  for (const key of ['first', 'second', 'third']) await setAside(key);
  for (const order of [
    ['third', 'first', 'second'],
    ['second', 'third', 'first'],
  ]) {
    await clock.advance(5_000);
    for (const key of order) await setAside(key);
  }
  for (const { call, end } of inside.slice(0, 3)) {
    await answer();
    await call;
    end();
  }
  expect(invited).toEqual(['first', 'second', 'third']);
});
