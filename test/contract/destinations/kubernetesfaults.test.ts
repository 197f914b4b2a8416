import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parse } from 'yaml';
import { openKubernetesDestination } from '../../../operator/src/destinations/kubernetes/kubernetes.ts';
import type { Destination } from '../../../operator/src/destinations/port.ts';
import type { Failure } from '../../../operator/src/domain/failure.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import { type KubeResources } from '../../../operator/src/resources/kube/resources.ts';
import { openTestResources } from '../../harness/kuberesources.ts';
import type { Kube } from '../../harness/kube.ts';
import { useKube } from '../../harness/parts.ts';
import { bind, withServiceAccount } from '../../harness/permissions.ts';
import { until } from '../../harness/until.ts';
import { createOwner } from './kubeowner.ts';
import { put, version, write, written, type KeyRef } from './version.ts';

/** The Role that docs/destinations/kubernetes.md asks for. */
const page = readFileSync(new URL('../../../docs/destinations/kubernetes.md', import.meta.url), 'utf8');
const role = parse(/^```yaml role\n(.*?)^```$/ms.exec(page)?.[1] ?? '') as { rules: { resources: string[]; verbs: string[] }[] };

const kube = await useKube();
const opened: KubeResources[] = [];
let namespace = '';
let destination: Destination;
let count = 0;
const fresh = (where = namespace): Location => ({ destinationUid: 'secret', path: `${where}/place-${(count += 1)}` });
let owner: KeyRef;
const one = (epoch: number) => version(owner, epoch);
const url = (location: Location) => `/api/v1/namespaces/${location.path.replace('/', '/secrets/')}`;

async function open(as: Kube, user: string): Promise<Destination> {
  const kubeconfig = as.kubeconfig(user);
  const resources = await openTestResources({ kubeconfig });
  opened.push(resources);
  return openKubernetesDestination(resources.secrets);
}

async function under(name: string, verbs: readonly string[] | undefined): Promise<Destination> {
  const account = await withServiceAccount(kube, namespace, name);
  const rules = role.rules.map((rule) => ({ apiGroups: [''], ...rule, verbs: verbs ?? rule.verbs }));
  await bind(kube, namespace, { kind: 'ServiceAccount', name, namespace }, rules);
  return open(account, name);
}

const failureOf = (work: Promise<unknown>): Promise<Failure> =>
  work.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: Failure) => error,
  );

/** A Secret as somebody else may leave it: with our marks, and unlike ours in something. */
async function plant(location: Location, change: object): Promise<void> {
  const mark = { installation: 'i', ...owner, 'key-id': 'k', epoch: '1', envelope: 'e' };
  const annotations = Object.fromEntries(Object.entries(mark).map(([key, text]) => [`keywright.dev/${key}`, text]));
  const metadata = { name: location.path.split('/')[1], annotations };
  const body = { apiVersion: 'v1', kind: 'Secret', metadata, data: { 'api-key': 'eA==' }, ...change };
  const answer = await kube.request('POST', `/api/v1/namespaces/${namespace}/secrets`, { body });
  expect(answer.status).toBe(201);
}

beforeAll(async () => {
  namespace = await kube.createNamespace();
  owner = await createOwner(kube, namespace);
  destination = await open(kube, 'admin');
});
afterAll(async () => {
  for (const resources of opened) await resources.close();
});

it('needs no more rights than the documentation asks for', async () => {
  const ours = await under('documented', undefined);
  const location = fresh();
  const first = written(await put(ours, location, await ours.readMark(location), one(1)));
  const second = written(await put(ours, location, first, one(2)));
  expect((await ours.readValue(location))?.apiKey?.reveal()).toBe(one(2).token);
  expect(await ours.withdraw(location, second)).toBe('withdrawn');
});

it.each(['get', 'create', 'patch', 'delete'])('says so in our words where the right to %s is missing', async (missing) => {
  const verbs = (role.rules[0]?.verbs ?? []).filter((verb) => verb !== missing);
  expect(verbs).toHaveLength(5);
  const poor = await under(`without-${missing}`, verbs);
  const [there, empty] = [fresh(), fresh()];
  const first = written(await put(destination, there, await destination.readMark(there), one(1)));
  const work: Record<string, () => Promise<unknown>> = {
    get: () => poor.readMark(there),
    create: () => write(poor, empty, { kind: 'absent', revision: 'absent' }, one(1)),
    patch: () => write(poor, there, first, one(2)),
    delete: () => poor.withdraw(there, first),
  };
  const failure = await failureOf((work[missing] ?? (() => Promise.resolve()))());
  expect(failure).toMatchObject({ kind: 'waiting', reason: 'DestinationUnavailable' });
  expect(failure.message).toMatch(/^the API server does not let us \w+ Secret \(403\): look at our role$/);
});

it.each<[string, object, RegExp]>([
  ['immutable', { immutable: true }, /^the Secret is immutable: delete it/],
  ['of another type', { type: 'Opaque' }, /^the Secret was made anew with another type: delete it/],
])('says what to do about a Secret with our mark that is %s', async (_how, change, message) => {
  const location = fresh();
  await plant(location, { type: 'servicebinding.io/api-key', ...change });
  const failure = await failureOf(write(destination, location, await destination.readMark(location), one(1)));
  expect(failure).toMatchObject({ kind: 'stalled', reason: 'DestinationUnavailable' });
  expect(failure.message).toMatch(message);
});

it('takes a Secret of another type without our mark for somebody else’s', async () => {
  const location = fresh();
  await plant(location, { metadata: { name: location.path.split('/')[1] }, type: 'Opaque' });
  const foreign = await destination.readMark(location);
  expect(foreign.kind).toBe('unmarked');
  expect(await failureOf(write(destination, location, foreign, one(1)))).toMatchObject({ reason: 'ForeignValue' });
  expect((await kube.request('GET', url(location))).body).toMatchObject({ type: 'Opaque', data: { 'api-key': 'eA==' } });
});

it('says that the quota of the namespace is used up', async () => {
  const full = await kube.createNamespace();
  const quotas = `/api/v1/namespaces/${full}/resourcequotas`;
  const spec = { hard: { secrets: '0' } };
  await kube.request('POST', quotas, { body: { metadata: { name: 'none' }, spec } });
  // What the quota controller would fill in.
  const body = {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'none' },
    spec,
    status: { ...spec, used: { secrets: '0' } },
  };
  expect((await kube.request('PUT', `${quotas}/none/status`, { body })).status).toBe(200);
  const failure = await failureOf(write(destination, fresh(full), { kind: 'absent', revision: 'absent' }, one(1)));
  expect(failure).toMatchObject({ kind: 'waiting', reason: 'DestinationUnavailable' });
  expect(failure.message).toBe('the quota of the namespace leaves no room to create Secret');
});

it('writes nothing into a namespace that is going, or gone', async () => {
  const going = await kube.createNamespace();
  const holder = { metadata: { name: 'holder', finalizers: ['keywright.dev/test'] } };
  await kube.request('POST', `/api/v1/namespaces/${going}/configmaps`, { body: holder });
  await kube.request('DELETE', `/api/v1/namespaces/${going}`);
  const attempt = (where: string) => failureOf(write(destination, fresh(where), { kind: 'absent', revision: 'absent' }, one(1)));
  expect(await attempt(going)).toMatchObject({ kind: 'waiting', message: 'the namespace is being deleted' });
  const contentType = 'application/merge-patch+json';
  const free = { body: { metadata: { finalizers: null } }, contentType };
  await kube.request('PATCH', `/api/v1/namespaces/${going}/configmaps/holder`, free);
  await until(async () => (await kube.request('GET', `/api/v1/namespaces/${going}`)).status === 404, {
    what: 'the end of the namespace',
  });
  expect(await attempt(going)).toMatchObject({ kind: 'waiting', message: 'the namespace of the Secret does not exist' });
});
