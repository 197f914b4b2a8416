import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ChartValues } from '../../scripts/chart/values.ts';
import { Installation } from '../harness/installation.ts';
import { noteUse, ownControlPlane } from '../harness/parts.ts';
import { privateDir } from '../harness/process.ts';
import { fingerprint } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { runShell } from '../harness/shell.ts';
import { checkout } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane({ crds: false });
const { kube } = plane;
const scene = new Scene(kube);
const values: ChartValues = {
  postgres: { enabled: true },
  secrets: { names: ['payments'] },
  operator: { leaseDuration: '5s' },
};
const asked = { host: 'shop.example.com', path: '/v1/orders' };
let here: Installation;

beforeAll(async () => {
  await noteUse('PostgreSQL 18.4 (as the chart starts it)');
  here = await Installation.open(kube, { createNamespace: false });
});

afterAll(async () => {
  await here.close();
  await kube.close();
  await plane.stop();
});

/** Who somebody is who logs in with this URL, and what he may do with the audit. */
async function databaseRole(url: URL): Promise<object | undefined> {
  const client = new Client({ connectionString: url.href.replace(url.hostname, here.postgresAddress) });
  await client.connect();
  try {
    const { rows } = await client.query<object>(
      `select current_user as user, rolsuper as superuser, rolconnlimit as limit,
         has_any_column_privilege('keywright.audit', 'insert') as audits,
         has_table_privilege('keywright.audit', 'update, delete, truncate') as erases
       from pg_roles where rolname = current_user`,
    );
    return rows[0];
  } finally {
    await client.end();
  }
}

it('comes up with the commands of the README and a database of its own to try it, which keeps its data when its Pod goes, and when the release goes', async () => {
  const readme = readFileSync(join(checkout, 'README.md'), 'utf8');
  const [, block = ''] = /^```sh\n(kubectl create namespace payments\nhelm install.*?)^```$/ms.exec(readme) ?? [];
  const said = await runShell(block, {
    cwd: checkout,
    home: privateDir('newcomer'),
    env: { KUBECONFIG: kube.kubeconfig() },
    path: [dirname(here.helm.path), dirname(kube.handle.kubectl)],
    timeoutMs: 120_000,
  });
  expect(said).toContain('apikey.keywright.dev/billing condition met');
  const value = (await scene.readSecret('payments', 'billing-api-key'))?.['api-key'] ?? '';
  const allows = async () => (await here.verify(value, asked)).allowed === true;
  expect(await allows()).toBe(true);
  // Neither program logs in as the superuser.
  for (const [component, user, limit] of [
    ['operator', 'keywright_operator_login', 40],
    ['authorizer', 'keywright_authorizer_login', 48],
  ] as const) {
    const loggedIn = new URL(await here.secretEntry(`keywright-postgres-${component}`, 'url'));
    expect(loggedIn.username).toBe(user);
    const role = { user, superuser: false, limit, audits: component === 'operator', erases: false };
    expect(await databaseRole(loggedIn)).toEqual(role);
  }
  const password = fingerprint(await here.secretEntry('keywright-postgres', 'password'));

  const [before] = here.running('postgres');
  await kube.kubectl(['delete', 'pod', 'keywright-postgres-0', '--namespace', here.namespace]);
  await until(() => here.running('postgres').some((pod) => pod !== before), { what: 'another Pod', deadlineMs: 30_000 });
  await until(() => allows().catch(() => false), { what: 'the same verdict', deadlineMs: 60_000 });

  await here.run(['uninstall', 'keywright', '--namespace', here.namespace, '--wait', '--timeout', '60s']);
  await until(() => here.kubelet.running().length === 0, { what: 'the end of all Pods', deadlineMs: 60_000 });
  await here.apply('install', values);
  expect(fingerprint(await here.secretEntry('keywright-postgres', 'password'))).toBe(password);
  await until(() => allows().catch(() => false), { what: 'the same verdict again', deadlineMs: 60_000 });
  expect(fingerprint((await scene.readSecret('payments', 'billing-api-key'))?.['api-key'] ?? '')).toBe(fingerprint(value));
});
