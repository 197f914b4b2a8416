import { cpSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { docsBlock } from '../builders/guide.ts';
import { Installation } from '../harness/installation.ts';
import { Kubelet } from '../harness/kubelet.ts';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { privateDir } from '../harness/process.ts';
import { Pulumi } from '../harness/pulumi/pulumi.ts';
import { Scene } from '../harness/scene.ts';
import { runShell } from '../harness/shell.ts';
import { checkout } from '../harness/standalone.ts';

// As a newcomer has it: no CRD, no namespace of ours, no Secret.
const plane = await ownControlPlane({ crds: false });
const { kube } = plane;
const { url } = await (await usePostgres()).createDatabase({ migrated: false });
const pulumi = await Pulumi.open(kube);
const scene = new Scene(kube);
const home = privateDir('newcomer');
let here: Installation;
let workloads: Kubelet | undefined;

beforeAll(async () => {
  here = await Installation.open(kube, { createNamespace: false });
});

afterAll(async () => {
  await workloads?.stop();
  await here.close();
  await kube.close();
  await plane.stop();
});

/** Runs a block of the guide in the checkout, as it stands but for what is the reader's own. */
async function follow(block: string, own: Readonly<Record<string, string>> = {}): Promise<string> {
  const text = Object.entries(own).reduce(
    (script, [stands, is]) => {
      expect(script).toContain(stands);
      return script.replaceAll(stands, is);
    },
    docsBlock('how-to/install', `sh ${block}`),
  );
  const path = [dirname(here.helm.path), dirname(kube.handle.kubectl), ...(pulumi.env['PATH'] ?? '').split(':')];
  const env = { ...pulumi.env, KUBECONFIG: kube.kubeconfig() };
  return await runShell(text, { cwd: checkout, home, env, path, timeoutMs: 120_000 }).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}\n${here.whatHappened()}`);
  });
}

const valueOf = async (name: string) => (await scene.readSecret('payments', name))?.['api-key'] ?? '';

it('goes from an empty cluster to a key by YAML, a stack by Pulumi, and back, with the commands of the guide', async () => {
  await follow('namespaces');
  await follow('database', { 'postgres://keywright:password@postgres.example.com:5432/keywright': url });
  expect(await follow('install')).toContain('STATUS: deployed');
  await follow('backup', { 'keywright-peppers.yaml': join(home, 'keywright-peppers.yaml') });
  expect(readFileSync(join(home, 'keywright-peppers.yaml'), 'utf8')).toContain('peppers.json');

  const listed = await follow('first-key');
  expect(listed).toContain('condition met');
  expect(listed).toMatch(/billing +True +Available +payments-team +Service +shop_live_/);
  const address = here.running('authorizer')[0]?.url('http') ?? '';
  const answers = await follow('ask', { 'http://127.0.0.1:8080': address });
  expect(answers).toMatch(/"allowed":true.*"code":"endpoint_not_allowed"/s);

  // The nodes of the workloads' namespace: what is scheduled there runs.
  workloads = await Kubelet.start({ kube, namespace: 'payments', imageOf: () => undefined });
  // A stack writes its configuration beside the program: here beside a copy.
  const project = pulumi.project('quickstart');
  cpSync(join(checkout, 'examples', 'pulumi-quickstart'), project, { recursive: true });
  const own = { 'examples/pulumi-quickstart': project };
  expect(await follow('pulumi-up', own)).toMatch(/secretName *: "reports-api-key"/);
  expect(await scene.verdict('payments', 'reports-api-key')).toBe('True Available');
  const value = await valueOf('reports-api-key');
  expect(value).toMatch(/^shop_live_/);
  const uid = (await scene.readKey('payments', 'reports-api-key'))?.metadata.uid;
  await follow('pulumi-change', own);
  expect((await scene.readKey('payments', 'reports-api-key'))?.metadata.uid).toBe(uid);
  const post = { host: 'shop.example.com', method: 'POST', path: '/v1/orders' };
  expect(await here.verify(value, post)).toMatchObject({ allowed: true });
  expect(pulumi.stored()).not.toContain(value);
  await follow('pulumi-destroy', own);
  expect(await here.verify(value, post)).toMatchObject({ allowed: false, code: 'key_invalid' });

  const first = await valueOf('billing-api-key');
  await follow('end-keys');
  expect(await here.verify(first, { ...post, method: 'GET' })).toMatchObject({ allowed: false, code: 'key_invalid' });
  await follow('uninstall');
  await follow('remove-crds');
  const { stdout } = await kube.kubectl(['api-resources', '--api-group=keywright.dev', '-o', 'name']);
  expect(stdout.trim()).toBe('');
});

it('is rendered the same each time for GitOps, once its Secrets are made as the guide says', async () => {
  await kube.kubectl(['create', 'namespace', 'keywright-system'], { allowFailure: true });
  await follow('gitops-secrets');
  const rendered = await follow('gitops-render');
  expect(await follow('gitops-render')).toBe(rendered);
  expect(rendered).not.toMatch(/^kind: Secret$/m);
  const [peppers, digests] = [
    await here.secretEntry('my-peppers', 'peppers.json'),
    await here.secretEntry('my-callers', 'tokens.json'),
  ];
  expect(JSON.parse(peppers)).toMatchObject({ current: '1' });
  expect(JSON.parse(digests)).toEqual({ gateway: expect.stringMatching(/^[0-9a-f]{64}$/) as string });
});
