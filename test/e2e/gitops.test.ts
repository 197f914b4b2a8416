import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { apiKinds } from '../../operator/src/api/kinds.ts';
import { docsBlock } from '../builders/guide.ts';
import { credentialMetadata } from '../builders/credential.ts';
import { askHealth } from '../harness/argohealth.ts';
import { FaultProxy } from '../harness/faultproxy.ts';
import { reconcileAsFlux } from '../harness/flux.ts';
import { kstatusOf } from '../harness/kstatus.ts';
import { obtainLua } from '../harness/lua.ts';
import { noteUse, ownControlPlane, useOpenBao, usePostgres } from '../harness/parts.ts';
import { applyPermissions, bind, withServiceAccount } from '../harness/permissions.ts';
import { makePeppersFile, startOperator, type Program } from '../harness/program.ts';
import { StatusRecorder } from '../harness/recorder.ts';
import { Scene } from '../harness/scene.ts';
import { runShell } from '../harness/shell.ts';
import { checkout } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';
import { healthFor, Watched } from '../harness/watched.ts';

const plane = await ownControlPlane({ controllers: false });
const openbao = await useOpenBao();
const postgres = await usePostgres();
const lua = await obtainLua();
await noteUse('Lua 5.1');
let { kube } = plane;
const scene = new Scene(kube);
const started: Program[] = [];
let recorder: StatusRecorder;
let outage: FaultProxy;

const examples = join(checkout, 'examples', 'gitops');
const tenant = 'system:serviceaccount:payments:deployer';
const namespaces = ['order', 'life', 'outage'] as const;
const comes = { deadlineMs: 60_000, everyMs: 50 };

beforeAll(async () => {
  recorder = await StatusRecorder.start(kube);
  await scene.prepare();
  await applyPermissions(kube);
  for (const name of [...namespaces, 'argocd']) await kube.kubectl(['create', 'namespace', name]);
  await kube.kubectl(['create', 'configmap', 'argocd-cm', '-n', 'argocd', '--from-literal=url=https://argocd.example.com']);
  await shell(docsBlock('how-to/gitops', 'sh health'));
  outage = await FaultProxy.start(openbao.address);
  const { url: databaseUrl } = await postgres.createDatabase();
  const env = {
    KEYWRIGHT_ADMISSION: 'required',
    KEYWRIGHT_LEADER_ELECTION: 'off',
    KEYWRIGHT_NAMESPACES: [...namespaces, 'payments'].join(','),
  };
  started.push(await startOperator({ databaseUrl, peppersFile: makePeppersFile(), kubeconfig: kube.kubeconfig(), env }));
});

afterAll(async () => {
  await Promise.all(started.map((one) => one.stop()));
  await outage.stop();
  await recorder.stop();
  await kube.close();
  await plane.stop();
});

/** Runs commands of the guide where its examples lie. */
async function shell(commands: string): Promise<void> {
  const { dir: home, kubectl } = kube.handle;
  const env = { KUBECONFIG: kube.kubeconfig() };
  await runShell(commands, { cwd: join(examples, 'argo-cd'), home, env, path: [dirname(kubectl)] });
}

/** Holds whatever was recorded of objects to what is promised of every status. */
async function expectSound(...watched: readonly Watched[]): Promise<void> {
  // Argo CD answers for what is being deleted before it asks a script.
  const sights = watched.flatMap(({ sights }) => sights).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  for (const { metadata, status } of sights.filter((sight) => kstatusOf(sight) === 'Current'))
    expect([status?.observedGeneration, ...(status?.conditions ?? []).map((one) => one.observedGeneration)]).toEqual(
      Array(1 + (status?.conditions?.length ?? 0)).fill(metadata.generation),
    );
  const scripts = await healthScripts();
  const answers = await askHealth(
    lua,
    sights.map((object) => ({ script: scripts(object.kind), object })),
  );
  expect(answers.map(({ status }) => status)).toEqual(sights.map(healthFor));
  for (const { message } of answers) expect(message).toMatch(/^\w.{5,}/);
}

/** As Argo CD reads them, from its ConfigMap. */
async function healthScripts(): Promise<(kind: string) => string> {
  const { body } = await kube.request('GET', '/api/v1/namespaces/argocd/configmaps/argocd-cm');
  const { data } = body as { data: Readonly<Record<string, string>> };
  return (kind) => data[`resource.customizations.health.keywright.dev_${kind}`] ?? '';
}

const gitOps = ['--server-side', '--field-manager=gitops', '-f', '-'];

async function sync(manifest: object): Promise<void> {
  await kube.kubectl(['apply', ...gitOps], { input: manifest });
}

/** What a GitOps tool would change now. */
async function difference(manifest: object, flags = gitOps): Promise<string> {
  const { stdout, stderr, code } = await kube.kubectl(['diff', ...flags], { input: manifest, allowFailure: true });
  return code === 0 ? stdout : `${stdout}${stderr}`;
}

const apiVersion = 'keywright.dev/v1alpha1';

function catalogOf(name: string): object {
  const spec = {
    key: { prefix: 'acme', environment: 'test' },
    accessTypes: [{ name: 'Integrations', endpoints: 'All' }],
    endpoints: [{ name: 'list-campaigns', method: 'GET', path: '/v1/campaigns' }],
    scopes: [{ name: 'campaigns:read', endpoints: ['list-campaigns'] }],
    requests: { hosts: [`${name}.example.com`] },
    policy: { minOverlap: '1s' },
  };
  return { apiVersion, kind: 'ApiCatalog', metadata: { name }, spec };
}

function ownerOf(name: string, changes: object = {}): object {
  const grants = [{ catalog: name, accessTypes: ['*'], scopes: ['*'], endpoints: ['*'] }];
  const spec = { type: 'Team', displayName: name, allowedNamespaces: { all: true }, grants, ...changes };
  return { apiVersion, kind: 'KeyOwner', metadata: { name }, spec };
}

const rotation = { overlap: '1s', maxOverlap: '1h', retireOldKey: 'AfterOverlap' };

/** A key of the namespace `life` with its catalog and owner, all of this name, applied and Ready. */
async function declareLife(name: string) {
  const targets = [{ name: 'local', secret: { name } }];
  const declare = (more: object = {}) => scene.key('life', name, targets, { catalog: name, owner: name, rotation, ...more });
  const manifest = declare();
  const key = new Watched(recorder, 'ApiKey', { namespace: 'life', name });
  const owner = new Watched(recorder, 'KeyOwner', { name });
  const catalog = new Watched(recorder, 'ApiCatalog', { name });
  const unchanged = async (wanted: object = manifest): Promise<void> => expect(await difference(wanted)).toBe('');
  for (const one of [catalogOf(name), ownerOf(name), manifest]) await sync(one);
  expect(await key.until('Ready=True')).toEqual(['InProgress', 'Current']);
  await unchanged();
  return { key, owner, catalog, manifest, declare, unchanged };
}

describe.concurrent('what a GitOps tool sees', () => {
  it('is never a failure while parts are missing, in whatever order they come', async () => {
    const targets = [
      { name: 'vault', destination: 'order' },
      { name: 'local', secret: { name: 'order' } },
    ];
    const vault = { address: openbao.address, mount: 'secret', auth: { token: { secretRef: { name: 'order', key: 'token' } } } };
    const parts: readonly (readonly [object, string])[] = [
      [scene.key('order', 'order', targets, { catalog: 'order', owner: 'order', rotation }), 'CatalogNotFound'],
      [ownerOf('order', { groups: ['order'] }), 'CatalogNotFound'],
      [catalogOf('order'), 'DestinationNotFound'],
      [
        { apiVersion, kind: 'KeyDestination', metadata: { name: 'order' }, spec: { allowedNamespaces: { all: true }, vault } },
        'DestinationUnavailable',
      ],
    ];
    const watched = new Map(
      apiKinds.map((kind) => [
        kind,
        new Watched(recorder, kind, { ...(kind === 'ApiKey' ? { namespace: 'order' } : {}), name: 'order' }),
      ]),
    );
    for (const [part, reason] of parts) {
      await sync(part);
      await until(async () => (await scene.verdict('order', 'order')) === `False ${reason}`, { what: reason, ...comes });
    }
    await sync({ apiVersion, kind: 'KeyOwnerGroup', metadata: { name: 'order' }, spec: { displayName: 'order' } });
    const meant = credentialMetadata('vault-token', openbao.address);
    await scene.createSecret('keywright-system', 'order', { token: openbao.rootToken }, meant);
    for (const one of watched.values()) expect(await one.until('Ready=True')).toEqual(['InProgress', 'Current']);
    await expectSound(...watched.values());
  });

  it(
    'is a key that stays current through a rotation, and whatever is done by hand makes no diff [S0-22]',
    {
      timeout: 180_000,
    },
    async () => {
      const { key, manifest, unchanged } = await declareLife('hand');
      await scene.annotate('life', 'hand', { 'keywright.dev/rotate': 'monday' });
      expect(await key.until('Rotating=True')).toEqual([]);
      await unchanged();
      expect(await key.until('Rotating=False')).toEqual([]);
      await scene.annotate('life', 'hand', { 'keywright.dev/compromised': 'all' });
      expect(await key.until('Ready=True', ({ status }) => status?.currentKey?.epoch === 3)).toEqual([]);
      await unchanged();

      await scene.changeKey('life', 'hand', { suspend: true });
      expect(await key.until('Ready=False Suspended')).toEqual(['InProgress']);
      await unchanged();
      await sync(manifest);
      expect(await scene.verdict('life', 'hand')).toBe('False Suspended');
      await scene.changeKey('life', 'hand', { suspend: false });
      expect(await key.until('Ready=True')).toEqual(['Current']);

      await scene.changeKey('life', 'hand', { revoked: { reason: 'Superseded' } });
      expect(await key.until('Stalled=True Revoked')).toEqual(['InProgress', 'Failed']);
      await unchanged();
      await expectSound(key);
      await scene.deleteKey('life', 'hand');
      await until(async () => (await scene.readKey('life', 'hand')) === undefined, { what: 'its end', ...comes });
      await until(() => key.sights.at(-1)?.metadata.deletionTimestamp !== undefined, { what: 'the sight of it', ...comes });
      expect(key.changes()).toEqual(['Terminating']);
    },
  );

  it(
    'is current for a new generation only when that was looked at, and failed when a person must act',
    {
      timeout: 180_000,
    },
    async () => {
      const { key, owner, catalog, manifest, declare, unchanged } = await declareLife('git');
      await sync(ownerOf('git', { disabled: true }));
      expect(await key.until('Ready=False OwnerDisabled')).toEqual(['InProgress']);
      await unchanged();
      await sync(ownerOf('git', { allowedNamespaces: { names: ['elsewhere'] } }));
      expect(await key.until('Ready=False NotPermitted')).toEqual(['Failed']);
      await unchanged();
      await sync(ownerOf('git'));
      expect(await key.until('Ready=True')).toEqual(['Current']);

      const narrowed = declare({ scopes: ['campaigns:read'] });
      await sync(narrowed);
      expect(await key.until('Ready=True')).toEqual(['InProgress', 'Current']);
      await unchanged(narrowed);
      const invalid = declare({ scopes: ['campaigns:write'] });
      await sync(invalid);
      expect(await key.until('Stalled=True InvalidSpec')).toEqual(['InProgress', 'Failed']);
      await unchanged(invalid);
      await sync(manifest);
      expect(await key.until('Ready=True')).toEqual(['InProgress', 'Current']);

      catalog.changes();
      await kube.kubectl(['patch', 'apicatalog', 'git', '--type=merge', '-p', '{"spec":{"endpoints":[]}}']);
      expect(await catalog.until('Stalled=True InvalidSpec')).toEqual(['InProgress', 'Failed']);
      // What is in force is the last valid one.
      expect(key.changes()).toEqual([]);
      await kube.kubectl(['apply', '--force-conflicts', ...gitOps], { input: catalogOf('git') });
      expect(await catalog.until('Ready=True')).toEqual(['InProgress', 'Current']);
      await expectSound(key, owner, catalog);
    },
  );

  it('is work under way, and no failure, while a destination is down', async () => {
    await scene.declareVault('outage', outage.address, openbao.rootToken);
    await scene.createKey('outage', 'outage', [{ name: 'vault', destination: 'outage' }]);
    const key = new Watched(recorder, 'ApiKey', { namespace: 'outage', name: 'outage' });
    const destination = new Watched(recorder, 'KeyDestination', { name: 'outage' });
    expect(await key.until('Ready=True')).toEqual(['InProgress', 'Current']);
    destination.changes();
    await outage.become({ kind: 'closed' });
    await scene.annotate('outage', 'outage', { 'keywright.dev/rotate': 'monday' });
    expect(await key.until('Reconciling=True DestinationUnavailable')).toEqual(['InProgress']);
    // An edit is probed at once.
    await scene.changeDestination('outage', { allowedNamespaces: { all: null, names: ['outage'] } });
    expect(await destination.until('Ready=False')).toEqual(['InProgress']);
    // The old value is there, and works.
    expect(await scene.verdict('outage', 'outage')).toBe('True Available');
    await outage.become({ kind: 'well' });
    await scene.changeDestination('outage', { allowedNamespaces: { names: ['outage', 'order'] } });
    expect(await key.until('Rotating=True Requested', (sight) => kstatusOf(sight) === 'Current')).toEqual(['Current']);
    expect(await destination.until('Ready=True')).toEqual(['Current']);
    await expectSound(key, destination);
  });

  it('is no change where a manifest leaves defaults out, applied in the old way', async () => {
    const old = ['--field-manager=argocd-controller', '-f', '-'];
    const lists: string[] = [];
    for (const kind of ['ApiCatalog', 'KeyOwner', 'KeyOwnerGroup', 'ApiKey']) {
      const file = join(checkout, 'crds', 'samples', `${kind.toLowerCase()}.yaml`);
      const sample = parse(readFileSync(file, 'utf8')) as { spec: object; metadata: object };
      const input = { ...sample, metadata: { name: 'sample', namespace: 'order' } };
      await kube.kubectl(['apply', ...old], { input });
      // A diff reads the object twice: the first status between the two would count as a change.
      const seen = ['get', kind, 'sample', '-n', 'order', '-o', 'jsonpath={.status.observedGeneration}'];
      await until(async () => (await kube.kubectl(seen)).stdout !== '', { what: `the status of ${kind}`, deadlineMs: 60_000 });
      expect(await difference(input, old)).toBe('');
      expect(await difference(input, ['--server-side', '--force-conflicts', ...old])).toBe('');
      const { stdout } = await kube.kubectl(['get', kind, 'sample', '-n', 'order', '-o', 'json']);
      lists.push(...defaultedLists(sample.spec, (JSON.parse(stdout) as { spec: object }).spec, kind));
    }
    // What a tool takes for a change that compares without the API server.
    expect(lists).toEqual(['ApiCatalog.accessTypes', 'ApiCatalog.endpoints', 'KeyOwner.grants', 'KeyOwnerGroup.grants']);
  });
});

describe('the tenant of the example', () => {
  const account = 'argocd-application-controller';
  const read = (file: string) => readFileSync(join(examples, 'tenant', file), 'utf8');
  const manifest = parse(read('apikey.yaml')) as Manifest;
  const edited = (name: string, spec: object): Manifest => ({
    ...manifest,
    metadata: { ...manifest.metadata, name },
    spec: { ...manifest.spec, ...spec },
  });
  const apply = (input: object, flags: readonly string[] = [`--as=${tenant}`]) =>
    kube.kubectl(['apply', '--server-side', ...flags, '-f', '-'], { input, user: account, allowFailure: true });

  beforeAll(async () => {
    await kube.kubectl(['apply', '-f', join(examples, 'tenant', 'account.yaml')]);
    await sync(ownerOf('payments-team', { grants: [{ catalog: 'default', accessTypes: ['Integrations'] }] }));
    await scene.declareVault('prod-vault', openbao.address, openbao.rootToken);
    // A controller that may write keys and be the tenant, and has none of our verbs.
    kube = await withServiceAccount(kube, 'argocd', account);
    await bind(kube, 'payments', { kind: 'ServiceAccount', name: account, namespace: 'argocd' }, [
      { apiGroups: [''], resources: ['serviceaccounts'], resourceNames: ['deployer'], verbs: ['impersonate'] },
      { apiGroups: ['keywright.dev'], resources: ['apikeys'], verbs: ['get', 'list', 'watch', 'create', 'patch'] },
    ]);
  });

  it('is whom the Application and the Kustomization name', () => {
    const project = documents('argo-cd').find(({ kind }) => kind === 'AppProject');
    const kustomization = documents('flux').find(({ kind }) => kind === 'Kustomization');
    const [accounts] = (project?.spec['destinationServiceAccounts'] ?? []) as Record<string, string>[];
    expect(`system:serviceaccount:${accounts?.['namespace'] ?? ''}:${accounts?.['defaultServiceAccount'] ?? ''}`).toBe(tenant);
    const { namespace = '' } = kustomization?.metadata ?? {};
    expect(`system:serviceaccount:${namespace}:${String(kustomization?.spec['serviceAccountName'])}`).toBe(tenant);
  });

  it('applies its key, and not one of another type, owner, destination or Secret; its controller applies none', async () => {
    expect((await apply(manifest, [])).stderr).toContain(`"system:serviceaccount:argocd:${account}" has no right to "grant"`);
    expect(await apply(manifest)).toMatchObject({ code: 0 });
    await until(() => scene.isReady('payments', 'billing-sync'), { what: 'the key of the tenant', ...comes });
    const refused: readonly (readonly [object, string])[] = [
      [{ accessType: 'Admin' }, '"grant" apicatalogs.keywright.dev/accesstypes "default:Admin"'],
      [{ catalog: 'other' }, '"grant" apicatalogs.keywright.dev/accesstypes "other:Integrations"'],
      [{ owner: 'everybody' }, '"own" keyowners.keywright.dev "everybody"'],
      [{ deliverTo: [{ name: 'a', destination: 'order' }] }, '"deliver" keydestinations.keywright.dev "order"'],
      [{ deliverTo: [{ name: 'a', secret: { name: 'x' } }] }, '"deliver" keydestinations.keywright.dev/secrets "x"'],
      [{ suspend: true }, '"revoke" apikeys.keywright.dev "other"'],
    ];
    for (const [spec, what] of refused)
      expect((await apply(edited('other', spec))).stderr).toContain(`user "${tenant}" has no right to ${what}`);
    // Nothing changes: nobody is asked for a right.
    expect(await apply(manifest, ['--force-conflicts'])).toMatchObject({ code: 0 });
  });

  it('leaves to responders what they wrote with kubectl, under Flux by the policy Merge or a name for who writes', async () => {
    const plain = { ...manifest.metadata.annotations };
    delete plain['kustomize.toolkit.fluxcd.io/ssa'];
    const unprotected = edited('unprotected', { deliverTo: [{ name: 'vault', destination: 'prod-vault' }] });
    const input = { ...unprotected, metadata: { ...unprotected.metadata, annotations: plain } };
    const protectedOne = edited('protected', { deliverTo: [{ name: 'vault', destination: 'prod-vault', path: 'merge' }] });
    const request = (name: string, value: string, ...flags: string[]) =>
      kube.kubectl(['annotate', 'apikey', name, '-n', 'payments', `keywright.dev/rotate=${value}`, '--overwrite', ...flags]);
    const requested = async (name: string) =>
      (
        await kube.kubectl([
          'get',
          'apikey',
          name,
          '-n',
          'payments',
          '-o',
          'jsonpath={.metadata.annotations.keywright\\.dev/rotate}',
        ])
      ).stdout;

    for (const one of [input, protectedOne]) await reconcileAsFlux(kube, one, tenant);
    await request('protected', 'monday');
    await reconcileAsFlux(kube, protectedOne, tenant);
    expect(await requested('protected')).toBe('monday');
    // With the words of the guide.
    await shell(docsBlock('how-to/gitops', 'sh request').replace('billing-sync', 'unprotected'));
    await reconcileAsFlux(kube, input, tenant);
    expect(await requested('unprotected')).toMatch(/^[0-9]{10}$/);
    // Otherwise Flux undoes it: an account that may not is refused, and with it all that it syncs; one that may does.
    await kube.kubectl(['patch', 'apikey', 'unprotected', '-n', 'payments', '--type=merge', '-p', '{"spec":{"suspend":true}}']);
    await expect(reconcileAsFlux(kube, input, tenant)).rejects.toThrow(`user "${tenant}" has no right to "rotate"`);
    expect(
      (await kube.kubectl(['get', 'apikey', 'unprotected', '-n', 'payments', '-o', 'jsonpath={.spec.suspend}'])).stdout,
    ).toBe('true');
  });
});

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly annotations?: Record<string, string> };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** What lies in `payments.yaml` of an example. */
function documents(folder: string): readonly Manifest[] {
  return parseAllDocuments(readFileSync(join(examples, folder, 'payments.yaml'), 'utf8')).map((one) => one.toJS() as Manifest);
}

/** The lists in whose entries the API server has put defaults. */
function defaultedLists(wanted: object, live: object, path: string): readonly string[] {
  return Object.entries(wanted).flatMap(([name, value]: [string, unknown]) => {
    const there = (live as Readonly<Record<string, unknown>>)[name];
    if (Array.isArray(value)) return isDeepStrictEqual(value, there) ? [] : [`${path}.${name}`];
    return typeof value === 'object' && value !== null ? defaultedLists(value, there as object, `${path}.${name}`) : [];
  });
}
