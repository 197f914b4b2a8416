import { afterEach, describe, expect, it } from 'vitest';
import type { KubeAnswer, KubeRequest } from '../../../../operator/src/resources/kube/client.ts';
import { KubeFault } from '../../../../operator/src/resources/kube/fault.ts';
import { LeaderElection } from '../../../../operator/src/resources/kube/leader.ts';
import { silentLog, type Log } from '../../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../../harness/fakes/clock.ts';

interface Lease {
  readonly metadata: {
    readonly uid: string;
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
}
type Body = {
  readonly metadata: {
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Record<string, unknown>;
};

/** One Lease on a server, with its optimistic locking. */
class LeaseServer {
  lease: Lease | undefined;
  isDown = false;
  /** The namespace of the Lease is there. */
  hasNamespace = true;
  #version = 0;

  sendRaw(request: KubeRequest): Promise<KubeAnswer> {
    if (this.isDown) return Promise.reject(new KubeFault('refused'));
    const { lease } = this;
    if (request.verb === 'get') return answer(lease === undefined ? 404 : 200, lease);
    if (!this.hasNamespace) return answer(404);
    const body = request.body as Body;
    if (request.verb === 'create' ? lease !== undefined : body.metadata.resourceVersion !== lease?.metadata.resourceVersion)
      return answer(409);
    this.#version += 1;
    const annotations = { ...lease?.metadata.annotations, ...body.metadata.annotations };
    const metadata = { uid: 'uid', resourceVersion: String(this.#version), annotations };
    this.lease = { metadata, spec: { ...lease?.spec, ...body.spec } };
    return answer(200, this.lease);
  }

  /** As a person would, with kubectl. */
  removeAnnotations(): void {
    if (this.lease === undefined) return;
    this.#version += 1;
    this.lease = { ...this.lease, metadata: { uid: 'uid', resourceVersion: String(this.#version) } };
  }

  /** A candidate that sees the server through a door of its own, which can be shut. */
  door() {
    const door = {
      isShut: false,
      sendRaw: (request: KubeRequest) => (door.isShut ? Promise.reject(new KubeFault('timeout')) : this.sendRaw(request)),
    };
    return door;
  }
}

function answer(status: number, body?: unknown): Promise<KubeAnswer> {
  return Promise.resolve({ status, body: structuredClone(body) });
}

const abort = new AbortController();
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function candidate(server: LeaseServer, clock: FakeClock, identity: string, wallSkewMs = 0, log: Log = silentLog) {
  const door = server.door();
  const state = { leads: false, losses: 0 };
  const note = { text: undefined as string | undefined, told: [] as (string | undefined)[] };
  const election = new LeaderElection({
    client: door,
    // Another machine: the same flow of time, another idea of what time it is.
    clock: {
      now: () => clock.now() + wallSkewMs,
      monotonicMs: () => clock.monotonicMs(),
      sleep: (ms, signal) => clock.sleep(ms, signal),
    },
    log,
    random: () => 0.5,
    namespace: 'keywright-system',
    name: 'keywright',
    identity,
    note: {
      annotation: 'keywright.dev/heartbeat',
      text: () => note.text,
      taken: (text) => note.told.push(text),
      removed: () => note.told.push('removed'),
    },
    onLost: () => (state.losses += 1),
  });
  const acquire = () => election.acquire(abort.signal).then(() => (state.leads = true));
  stops.push(() => election.release());
  return { door, election, state, note, acquire };
}

describe('leader election', () => {
  it('gives the lease to one of two, and times with six decimals', async () => {
    const clock = new FakeClock();
    const server = new LeaseServer();
    const [a, b] = [candidate(server, clock, 'a'), candidate(server, clock, 'b')];
    void a.acquire();
    void b.acquire();
    await clock.advance(60_000);
    expect([a.state.leads, b.state.leads]).toEqual([true, false]);
    expect(a.election.holds()).toBe(true);
    expect(b.election.holdsUntil()).toBe(0);
    expect(server.lease?.spec).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
    expect(server.lease?.spec['renewTime']).toMatch(/^2026-01-01T00:\d\d:\d\d\.\d{6}Z$/);
  });

  it('says why nobody leads when the namespace of the Lease is missing, and leads when it is there', async () => {
    const clock = new FakeClock();
    const server = new LeaseServer();
    server.hasNamespace = false;
    const told: string[] = [];
    const log: Log = { ...silentLog, warn: (_event, fields) => told.push(fields?.message ?? '') };
    const a = candidate(server, clock, 'a', 0, log);
    void a.acquire();
    await clock.advance(5_000);
    expect(told).toContain('the namespace keywright-system does not exist');
    server.hasNamespace = true;
    await clock.advance(5_000);
    expect(a.state.leads).toBe(true);
  });

  it('takes over from a silent leader after 15 s, and not before that one knows to have lost', async () => {
    const clock = new FakeClock();
    const server = new LeaseServer();
    const [a, b] = [candidate(server, clock, 'a'), candidate(server, clock, 'b')];
    await a.acquire();
    void b.acquire();
    await clock.advance(5_000);
    a.door.isShut = true;
    for (let ms = 0; ms < 60_000 && !b.state.leads; ms += 100) {
      await clock.advance(100);
      expect(a.election.holds() && b.election.holds()).toBe(false);
    }
    expect(b.state.leads).toBe(true);
    expect(a.state.losses).toBe(1);
    expect(server.lease?.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  });

  it.each([-3_600_000, 3_600_000])('does not believe the instants in the lease (a clock that is %d ms off)', async (skewMs) => {
    const clock = new FakeClock();
    const server = new LeaseServer();
    const [a, b] = [candidate(server, clock, 'a'), candidate(server, clock, 'b', skewMs)];
    await a.acquire();
    void b.acquire();
    await clock.advance(120_000);
    expect(b.state.leads).toBe(false);
    expect(a.election.holds()).toBe(true);
  });

  it('leaves a note for the next leader, and hears once that somebody removed it', async () => {
    const clock = new FakeClock();
    const server = new LeaseServer();
    const [a, b] = [candidate(server, clock, 'a'), candidate(server, clock, 'b')];
    await a.acquire();
    await clock.advance(2_000);
    a.note.text = 'one';
    await clock.advance(2_000);
    expect(server.lease?.metadata.annotations).toEqual({ 'keywright.dev/heartbeat': 'one' });
    a.note.text = 'two';
    await clock.advance(2_000);
    // A write that failed is none that somebody took back.
    a.door.isShut = true;
    a.note.text = 'three';
    await clock.advance(4_000);
    a.door.isShut = false;
    await clock.advance(2_000);
    expect(a.note.told).toEqual([undefined]);
    void b.acquire();
    await clock.advance(5_000);
    await a.election.release();
    await clock.advance(2_400);
    expect(b.note.told).toEqual(['three']);
    server.removeAnnotations();
    await clock.advance(6_000);
    expect(b.note.told).toEqual(['three', 'removed']);
  });

  it('hands over within one try when the leader stops as asked', async () => {
    const clock = new FakeClock();
    const server = new LeaseServer();
    const [a, b] = [candidate(server, clock, 'a'), candidate(server, clock, 'b')];
    await a.acquire();
    void b.acquire();
    await clock.advance(5_000);
    await a.election.release();
    expect(a.election.holds()).toBe(false);
    await clock.advance(2_400);
    expect(b.state.leads).toBe(true);
    expect(a.state.losses).toBe(0);
  });

  it('survives a server that is away for less than the renew deadline, and says so once when it is longer', async () => {
    const clock = new FakeClock();
    const server = new LeaseServer();
    const a = candidate(server, clock, 'a');
    await a.acquire();
    server.isDown = true;
    await clock.advance(7_000);
    server.isDown = false;
    await clock.advance(5_000);
    expect(a.state.losses).toBe(0);
    expect(a.election.holds()).toBe(true);
    server.isDown = true;
    await clock.advance(60_000);
    expect(a.state.losses).toBe(1);
    expect(a.election.holds()).toBe(false);
  });

  it('gives up at once when another stands in the lease', async () => {
    const clock = new FakeClock();
    const server = new LeaseServer();
    const a = candidate(server, clock, 'a');
    await a.acquire();
    server.lease = { metadata: { uid: 'uid', resourceVersion: 'x' }, spec: { holderIdentity: 'b', leaseDurationSeconds: 15 } };
    await clock.advance(2_500);
    expect(a.state.losses).toBe(1);
    expect(a.election.holds()).toBe(false);
    expect(server.lease.spec['holderIdentity']).toBe('b');
  });

  it('starts without a server, and leads when it is there', async () => {
    const clock = new FakeClock();
    const server = new LeaseServer();
    server.isDown = true;
    const a = candidate(server, clock, 'a');
    void a.acquire();
    await clock.advance(30_000);
    expect(a.state.leads).toBe(false);
    server.isDown = false;
    await clock.advance(2_400);
    expect(a.state.leads).toBe(true);
  });
});

it.each([5_000, 7_001, 15_000, 600_000])('gives its calls whole milliseconds with a lease of %i ms', async (leaseDurationMs) => {
  const server = new LeaseServer();
  const timeouts: (number | undefined)[] = [];
  const election = new LeaderElection({
    client: {
      sendRaw: (request: KubeRequest) => {
        timeouts.push(request.timeoutMs);
        return server.sendRaw(request);
      },
    },
    clock: new FakeClock(),
    log: silentLog,
    random: () => 0.5,
    namespace: 'keywright-system',
    name: 'keywright',
    identity: 'a',
    leaseDurationMs,
    onLost: () => undefined,
  });
  stops.push(() => election.release());
  await election.acquire(abort.signal);
  expect(timeouts.length).toBeGreaterThan(0);
  expect(timeouts.every((timeoutMs) => Number.isInteger(timeoutMs))).toBe(true);
});
