import { afterAll, describe, expect, it } from 'vitest';
import type { LeaderElection } from '../../operator/src/resources/kube/leader.ts';
import { openTestResources } from '../harness/kuberesources.ts';
import { useKube } from '../harness/parts.ts';
import { until } from '../harness/until.ts';

const kube = await useKube();
const resources = await openTestResources({ kubeconfig: kube.kubeconfig() });
afterAll(() => resources.close());

interface Lease {
  readonly spec: Readonly<Record<string, unknown>>;
}

function candidate(namespace: string, identity: string) {
  const state: { losses: number; election: LeaderElection } = {
    losses: 0,
    election: resources.elect({
      namespace,
      name: 'keywright',
      identity,
      leaseDurationMs: 3_000,
      onLost: () => (state.losses += 1),
    }),
  };
  return state;
}

describe('leader election on an API server', () => {
  it('has one leader, renews its lease, and hands over at once when asked', async () => {
    const namespace = await kube.createNamespace();
    const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/keywright`;
    const read = async () => (await kube.request('GET', path)).body as Lease;
    const [a, b] = [candidate(namespace, 'a'), candidate(namespace, 'b')];
    const abort = new AbortController();

    await a.election.acquire(abort.signal);
    const second = b.election.acquire(abort.signal);
    const first = await read();
    expect(first.spec).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 3, leaseTransitions: 0 });
    await until(async () => (await read()).spec['renewTime'] !== first.spec['renewTime']);
    expect([a.election.holds(), b.election.holds()]).toEqual([true, false]);

    await a.election.release();
    await second;
    expect((await read()).spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
    expect([a.election.holds(), b.election.holds()]).toEqual([false, true]);

    // Somebody takes the lease by force: the leader knows at its next renewal.
    await kube.request('PATCH', path, { body: { spec: { holderIdentity: 'c' } }, contentType: 'application/merge-patch+json' });
    await until(() => b.losses === 1);
    expect(b.election.holds()).toBe(false);
    expect(a.losses).toBe(0);
    await b.election.release();
    expect((await read()).spec['holderIdentity']).toBe('c');
  });
});
