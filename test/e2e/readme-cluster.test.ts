import { cpSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { freePort } from '../harness/ports.ts';
import { checkout, playground, startStandalone, type Standalone } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane({ crds: false });
const { kube } = plane;
const { url: databaseUrl } = await (await usePostgres()).createDatabase({ migrated: false });
const place = playground();
let operator: Standalone | undefined;
let authorizer: Standalone | undefined;

afterAll(async () => {
  await authorizer?.killAll();
  await operator?.killAll();
  await place.remove();
  await kube.close();
  await plane.stop();
});

/** What a newcomer has: a home with a kubeconfig, and kubectl on the path. */
async function newcomer(): Promise<Readonly<Record<string, string>>> {
  mkdirSync(join(place.dir, '.kube'));
  cpSync(kube.kubeconfig(), join(place.dir, '.kube', 'config'));
  return {
    PATH: [dirname(kube.handle.kubectl), process.env['PATH']].join(delimiter),
    // Its own default may be taken on this machine.
    KEYWRIGHT_METRICS_ADDRESS: `127.0.0.1:${await freePort()}`,
  };
}

/** Starts the authorizer beside the operator, with the README's commands but free ports, and waits until it is ready. */
async function answers(readme: string): Promise<void> {
  const [, block = ''] = /^```sh\n(export KEYWRIGHT_DATABASE_URL=[^`]*? authorizer\n)^```$/ms.exec(readme) ?? [];
  expect(block).toContain('KEYWRIGHT_METRICS_ADDRESS=127.0.0.1:9091');
  const metrics = `127.0.0.1:${await freePort()}`;
  const script = block.replace('postgres://…', databaseUrl).replace('127.0.0.1:9091', metrics);
  const env = { KEYWRIGHT_LISTEN_ADDRESS: `127.0.0.1:${await freePort()}` };
  authorizer = startStandalone({ command: ['/bin/bash', '-euc', script], cwd: checkout, home: place.dir, env });
  await until(async () => (await fetch(`http://${metrics}/readyz`).catch(() => undefined))?.ok === true, {
    what: 'an authorizer that is ready',
    deadlineMs: 60_000,
  });
  expect((await authorizer.ctrlC()).code).toBe(0);
}

it('runs in a cluster with the commands that the README gives', async () => {
  const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
  const [, block = ''] = /^```sh\n(kubectl create namespace keywright-system.*?)^```$/ms.exec(readme) ?? [];
  expect(block).toContain('KEYWRIGHT_DATABASE_URL=postgres://…');
  const script = block.replace('postgres://…', databaseUrl);
  operator = startStandalone({ command: ['/bin/bash', '-euc', script], cwd: checkout, home: place.dir, env: await newcomer() });
  await operator.says('customresourcedefinition.apiextensions.k8s.io/apikeys.keywright.dev');
  await operator.says('validatingadmissionpolicybinding.admissionregistration.k8s.io/keywright');

  await kube.kubectl(['apply', '-f', join(checkout, 'crds', 'samples', 'apicatalog.yaml')]);
  await kube.kubectl(['apply', '-f', '-'], {
    input: {
      apiVersion: 'keywright.dev/v1alpha1',
      kind: 'KeyOwner',
      metadata: { name: 'ana' },
      spec: {
        type: 'User',
        displayName: 'Ana',
        email: 'ana@example.com',
        allowedNamespaces: { all: true },
        grants: [{ catalog: 'default', accessTypes: ['Integrations'], scopes: ['*'] }],
      },
    },
  });
  const namespace = await kube.createNamespace('readme');
  // A key that is written before the proof that the policy acts is held; the README says what to wait for.
  const [, sign = ''] = /Wait until the operator logs `([^`]+)`/.exec(readme) ?? [];
  expect(sign).not.toBe('');
  await operator.says(sign);
  await kube.kubectl(['apply', '-f', '-'], {
    input: {
      apiVersion: 'keywright.dev/v1alpha1',
      kind: 'ApiKey',
      metadata: { name: 'first', namespace },
      spec: {
        displayName: 'First',
        catalog: 'default',
        owner: 'ana',
        contactEmail: 'ana@example.com',
        accessType: 'Integrations',
        deliverTo: [{ name: 'local', secret: { name: 'first' } }],
      },
    },
  });
  const waited = kube.kubectl(['wait', '--for=condition=Ready', 'apikey/first', '-n', namespace, '--timeout=40s'], {
    allowFailure: true,
  });
  expect((await waited).stdout, operator.output()).toContain('condition met');
  expect(statSync(join(place.dir, 'keywright-peppers.json')).mode & 0o777).toBe(0o600);
  await answers(readme);
  expect((await operator.ctrlC()).code).toBe(0);
  await until(() => operator?.output().includes('"drained"') === true, { what: 'an orderly end' });
});
