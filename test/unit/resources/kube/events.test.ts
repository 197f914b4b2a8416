import { describe, expect, it } from 'vitest';
import type { KubeAnswer, KubeRequest } from '../../../../operator/src/resources/kube/client.ts';
import { EventRecorder } from '../../../../operator/src/resources/kube/events.ts';
import { KubeFault } from '../../../../operator/src/resources/kube/fault.ts';
import { silentLog } from '../../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../../harness/fakes/clock.ts';

function setUp() {
  const clock = new FakeClock();
  const calls: { readonly verb: string; readonly atMs: number; readonly body: Record<string, unknown> }[] = [];
  const lost: string[] = [];
  const server = { status: 201, isDown: false };
  const client = {
    sendRaw: (request: KubeRequest): Promise<KubeAnswer> => {
      calls.push({ verb: request.verb, atMs: clock.monotonicMs(), body: request.body as Record<string, unknown> });
      return server.isDown ? Promise.reject(new KubeFault('refused')) : Promise.resolve({ status: server.status, body: {} });
    },
  };
  const recorder = new EventRecorder(client, clock, { ...silentLog, warn: (event) => lost.push(event) }, 'pod');
  const record = (name: string, message = 'the owner does not exist') => {
    const metadata = { name, namespace: 'payments', uid: `uid of ${name}`, resourceVersion: '1' };
    recorder.record('ApiKey', metadata, { type: 'Warning', reason: 'OwnerNotFound', message });
  };
  return { clock, calls, lost, server, recorder, record };
}

describe('events', () => {
  it('fold a burst into one call, and later repeats into one update a minute', async () => {
    const { clock, calls, record } = setUp();
    for (let times = 0; times < 5; times += 1) record('billing');
    await clock.advance(1_000);
    for (let second = 0; second < 30; second += 1) {
      record('billing');
      await clock.advance(1_000);
    }
    await clock.advance(60_000);
    expect(calls.map(({ verb, body }) => [verb, (body['series'] as { count: number }).count])).toEqual([
      ['create', 5],
      ['patch', 35],
    ]);
  });

  it('cost the API server ten calls a second at most', async () => {
    const { clock, calls, record } = setUp();
    for (let at = 0; at < 100; at += 1) record(`key-${String(at)}`);
    await clock.advance(5_000);
    expect(calls.length).toBeGreaterThan(40);
    expect(calls.length).toBeLessThanOrEqual(50);
    await clock.advance(10_000);
    expect(calls).toHaveLength(100);
  });

  it('are logged and dropped when the server does not take them', async () => {
    const { clock, calls, lost, server, record } = setUp();
    server.isDown = true;
    record('billing');
    await clock.advance(600_000);
    expect(calls).toHaveLength(1);
    expect(lost).toEqual(['event lost']);
  });

  it('are made anew when the server has forgotten them', async () => {
    const { clock, calls, server, record } = setUp();
    record('billing');
    await clock.advance(1_000);
    server.status = 404;
    record('billing');
    await clock.advance(60_000);
    server.status = 201;
    await clock.advance(120_000);
    expect(calls.map((call) => call.verb)).toEqual(['create', 'patch', 'create']);
  });

  it('have names in the order of what they tell, also within one moment: kubectl describe keeps the order of names', async () => {
    const { clock, calls, record } = setUp();
    const told = ['minted', 'delivered', 'in use', 'retired', 'minted again', 'expired'];
    for (const [at, message] of told.entries()) {
      record('billing', message);
      if (at % 2 === 1) await clock.advance(1);
    }
    await clock.advance(10_000);
    const events = calls.map(({ body }) => ({ note: body['note'], name: (body['metadata'] as { name: string }).name }));
    expect(events.sort((a, b) => (a.name < b.name ? -1 : 1)).map(({ note }) => note)).toEqual(told);
  });

  it('of the last moment are sent on closing', async () => {
    const { calls, recorder, record } = setUp();
    record('billing');
    await recorder.close();
    record('too late');
    expect(calls.map((call) => call.verb)).toEqual(['create']);
  });
});
