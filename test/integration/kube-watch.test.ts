import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admissionPolicyName } from '../../operator/src/api/admission/policy.ts';
import type { KubeResources } from '../../operator/src/resources/kube/resources.ts';
import type { ResourceEvent } from '../../operator/src/resources/port.ts';
import { openTestResources } from '../harness/kuberesources.ts';
import { ownControlPlane } from '../harness/parts.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane({ controllers: false });
const { kube } = plane;

async function createOwner(name: string): Promise<void> {
  const spec = { type: 'Team', displayName: name, email: 'team@example.com', allowedNamespaces: { all: true }, grants: [] };
  const body = { apiVersion: 'keywright.dev/v1alpha1', kind: 'KeyOwner', metadata: { name }, spec };
  const answer = await kube.request('POST', '/apis/keywright.dev/v1alpha1/keyowners', { body });
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
}

describe('the resources of an API server that dies', () => {
  let resources: KubeResources;
  const events: ResourceEvent[] = [];
  const verbs: string[] = [];
  const abort = new AbortController();
  const owners = () =>
    resources
      .list('KeyOwner')
      .map((metadata) => metadata.name)
      .sort();

  beforeAll(async () => {
    resources = await openTestResources({
      kubeconfig: kube.kubeconfig(),
      random: () => 0,
      onCall: (verb, kind, code) => verbs.push(`${verb} ${kind} ${code}`),
    });
    resources.subscribe((event) => events.push(event));
    await createOwner('first');
    await resources.start(abort.signal);
  });
  afterAll(async () => {
    abort.abort();
    await resources.close();
    await plane.stop();
  });

  it('are listed by WatchList, with one call for each kind', () => {
    expect(owners()).toEqual(['first']);
    expect(verbs.filter((verb) => verb.includes('KeyOwner '))).toEqual(['watch KeyOwner 200']);
    expect(verbs.filter((verb) => verb.startsWith('list'))).toEqual([]);
  });

  // On a server of its own: the policy has one name in the whole cluster.
  it('have the admission policy and its binding as they are, with the clock of the server', async () => {
    expect(await resources.readAdmission()).toMatchObject({ policy: undefined, binding: undefined });
    const root = '/apis/admissionregistration.k8s.io/v1';
    const metadata = { name: admissionPolicyName };
    // Matches a kind that nobody writes.
    const resourceRules = [{ apiGroups: ['example.com'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['none'] }];
    const policy = { metadata, spec: { matchConstraints: { resourceRules }, validations: [{ expression: 'true' }] } };
    const binding = { metadata, spec: { policyName: admissionPolicyName, validationActions: ['Deny'] } };
    expect((await kube.request('POST', `${root}/validatingadmissionpolicies`, { body: policy })).status).toBe(201);
    expect(await resources.readAdmission()).toMatchObject({
      policy: { spec: { validations: [{ expression: 'true' }] } },
      binding: undefined,
    });
    expect((await kube.request('POST', `${root}/validatingadmissionpolicybindings`, { body: binding })).status).toBe(201);
    const found = await resources.readAdmission();
    expect(found).toMatchObject({ policy: { metadata: { generation: 1 } }, binding: { metadata: { generation: 1 } } });
    const created = Date.parse((found.policy as { metadata: { creationTimestamp: string } }).metadata.creationTimestamp);
    expect(found.serverTime).toBeGreaterThanOrEqual(created);
  });

  it('are kept while the server is dead, and followed again when it is back', async () => {
    plane.apiServer.signal('SIGKILL');
    await until(() => verbs.some((verb) => verb.endsWith(' refused')), { deadlineMs: 20_000, what: 'a refused call' });
    expect(owners()).toEqual(['first']);
    await expect(resources.readLive('KeyOwner', { name: 'first' })).rejects.toMatchObject({ kind: 'transient' });
    await plane.restartApiServer();
    await createOwner('second');
    await until(() => owners().length === 2, { deadlineMs: 60_000, what: 'the second owner' });
    expect(owners()).toEqual(['first', 'second']);
    expect(events.filter((event) => event.type === 'delete')).toEqual([]);
    expect((await resources.readLive('KeyOwner', { name: 'second' }))?.metadata.name).toBe('second');
  });
});
