import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { freePort } from '../harness/ports.ts';
import { privateDir } from '../harness/process.ts';
import { makePeppersFile, runProgram, startAuthorizer, startOperator, type Ended } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane({ controllers: false });
const postgres = await usePostgres();
const scene = new Scene(plane.kube);
const peppersFile = makePeppersFile();
let url: string;
let environment: Readonly<Record<string, string>>;

async function start(command: string, changes: Readonly<Record<string, string | undefined>>): Promise<Ended> {
  const merged = { ...environment, KEYWRIGHT_METRICS_ADDRESS: `127.0.0.1:${await freePort()}`, ...changes };
  return runProgram(
    [command],
    Object.fromEntries(Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== undefined)),
  );
}

/** What a person reads: the lines that are no log lines. */
function sentences({ stderr }: Ended): string {
  return stderr
    .split('\n')
    .filter((line) => !line.startsWith('{'))
    .join('\n');
}

beforeAll(async () => {
  await scene.prepare();
  url = (await postgres.createDatabase()).url;
  environment = { KEYWRIGHT_DATABASE_URL: url, KEYWRIGHT_PEPPERS_FILE: peppersFile, KUBECONFIG: plane.kube.kubeconfig() };
});

afterAll(async () => {
  await plane.kube.close();
  await plane.stop();
});

describe('bad configuration ends the start with 2 and a sentence for people', () => {
  it('names all faults in one message: a missing variable, an unknown one, one of the wrong form', async () => {
    for (const command of ['operator', 'authorizer']) {
      const ended = await start(command, {
        KEYWRIGHT_DATABASE_URL: undefined,
        KEYWRIGHT_PEPPERS_FILE: '',
        KEYWRIGHT_CONCURENCY: '8',
        KEYWRIGHT_LEASE_DURATION: '1 week',
      });
      expect(ended.code).toBe(2);
      expect(ended.stdout).toBe('');
      expect(ended.stderr).toMatch(/^keywright: the configuration has 4 faults:\n( {2}KEYWRIGHT_[A-Z_]+: .+\n){4}$/);
      for (const name of [
        'DATABASE_URL: must be set',
        'PEPPERS_FILE: must be set',
        'CONCURENCY: there is no such',
        'LEASE_DURATION: must be',
      ]) {
        expect(ended.stderr).toContain(`KEYWRIGHT_${name}`);
      }
    }
  });

  it('tells a wrong pepper under a known id, from the operator and from the authorizer', async () => {
    expect(
      await startOperator({ databaseUrl: url, peppersFile, kubeconfig: plane.kube.kubeconfig() }).then(async (one) => {
        await one.stop();
        return one.exited;
      }),
    ).toBe(0);
    for (const command of ['operator', 'authorizer']) {
      const ended = await start(command, {
        KEYWRIGHT_PEPPERS_FILE: makePeppersFile(),
        KEYWRIGHT_LISTEN_ADDRESS: `127.0.0.1:${await freePort()}`,
      });
      expect(ended.code).toBe(2);
      expect(sentences(ended)).toMatch(/^keywright: .*pepper.*"?test"?.*\n$/);
    }
  });

  it('tells a pepper file that is missing, or no pepper file', async () => {
    const missing = await start('operator', { KEYWRIGHT_PEPPERS_FILE: '/nowhere/peppers.json' });
    expect([missing.code, sentences(missing)]).toEqual([2, expect.stringMatching(/^keywright: .*\/nowhere\/peppers\.json.*\n$/)]);
    const file = join(privateDir('peppers'), 'peppers.json');
    writeFileSync(file, '{"current":"a","peppers":{"a":"c2hvcnQ="}}');
    const short = await start('operator', { KEYWRIGHT_PEPPERS_FILE: file });
    expect([short.code, sentences(short)]).toEqual([2, expect.stringMatching(/^keywright: .*less than 32 bytes\n$/)]);
  });

  it('tells a cluster that cannot be reached by configuration: a kubeconfig that is missing, or broken', async () => {
    const file = join(privateDir('kubeconfig'), 'config');
    writeFileSync(file, '{ not: [yaml');
    for (const kubeconfig of ['/nowhere/config', file]) {
      const ended = await start('operator', { KUBECONFIG: kubeconfig });
      expect([ended.code, sentences(ended)]).toEqual([
        2,
        expect.stringMatching(/^keywright: KUBECONFIG=\S+ cannot be used.*\n$/),
      ]);
    }
    const none = await start('operator', { KUBECONFIG: undefined });
    expect([none.code, sentences(none)]).toEqual([2, expect.stringMatching(/^keywright: there is no cluster to work on.*\n$/)]);
  });

  it('tells an address that is taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', () => resolve()));
    const address = `127.0.0.1:${(taken.address() as AddressInfo).port}`;
    try {
      const sentence = `keywright: cannot listen on ${address}: another process does\n`;
      for (const [command, variable] of [
        ['operator', 'METRICS'],
        ['authorizer', 'METRICS'],
        ['authorizer', 'LISTEN'],
      ] as const) {
        const ended = await start(command, { [`KEYWRIGHT_${variable}_ADDRESS`]: address });
        expect([ended.code, sentences(ended)]).toEqual([2, sentence]);
      }
    } finally {
      taken.close();
    }
  });

  it('refuses the database of another cluster, until an administrator hands it over', async () => {
    const other = (await postgres.createDatabase()).url;
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: other });
    await client.connect();
    await client.query(`update keywright.installation set cluster_uid = 'another'`);
    await client.end();
    const refused = await start('operator', { KEYWRIGHT_DATABASE_URL: other });
    expect([refused.code, sentences(refused)]).toEqual([
      2,
      expect.stringMatching(/^keywright: .*another cluster.*--adopt-cluster.*\n$/),
    ]);
    const adopted = await runProgram(['migrate', '--adopt-cluster'], { KEYWRIGHT_DATABASE_URL: other });
    expect([adopted.code, sentences(adopted)]).toEqual([0, '']);
    const operator = await startOperator({ databaseUrl: other, peppersFile, kubeconfig: plane.kube.kubeconfig() });
    await operator.stop();
    expect(await operator.exited).toBe(0);
  });
});

describe('what is only away is waited for', () => {
  it('starts without its database, is alive and not ready, and goes on when the database comes', async () => {
    const { url: template, name } = await postgres.createDatabase();
    const late = `${name}_late`;
    const lateUrl = template.replace(name, late);
    const options = { databaseUrl: lateUrl, peppersFile, kubeconfig: plane.kube.kubeconfig(), waitFor: 'alive' as const };
    const [operator, authorizer] = [await startOperator(options), await startAuthorizer(options)];
    try {
      for (const program of [operator, authorizer]) {
        const answer = await fetch(`${program.healthUrl}/readyz`);
        expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining('[-] store')]);
        await until(() => program.log().includes('the database does not exist on its server'), { what: 'the log line' });
      }
      const { default: pg } = await import('pg');
      const client = new pg.Client({ connectionString: template });
      await client.connect();
      await client.query(`create database ${late} template template0`);
      await client.end();
      for (const program of [operator, authorizer]) {
        await until(async () => (await fetch(`${program.healthUrl}/readyz`)).status === 200, { what: `${program.name} ready` });
      }
    } finally {
      await operator.stop();
      await authorizer.stop();
    }
    expect([await operator.exited, await authorizer.exited]).toEqual([0, 0]);
  });
});

describe('a CRD that is deleted under a running operator', () => {
  it('makes the operator not ready, which names the kind, until the CRD is there again', async () => {
    const operator = await startOperator({ databaseUrl: url, peppersFile, kubeconfig: plane.kube.kubeconfig() });
    const readiness = async (): Promise<string> => (await fetch(`${operator.healthUrl}/readyz`)).text();
    const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const path = `${crds}/keyownergroups.keywright.dev`;
    const { apiVersion, kind, metadata, spec } = (await plane.kube.request('GET', path)).body as Readonly<Record<string, object>>;
    try {
      await until(async () => !(await readiness()).includes('[-]'), { what: 'ready', deadlineMs: 30_000 });
      await plane.kube.request('DELETE', path);
      await until(async () => (await readiness()).includes('[-] crds'), { what: 'not ready', deadlineMs: 60_000 });
      expect(operator.log()).toMatch(/"kind":"KeyOwnerGroup".*"failure":"404"|"failure":"404".*"kind":"KeyOwnerGroup"/);
    } finally {
      const { name } = metadata as { readonly name: string };
      await until(async () => (await plane.kube.request('GET', path)).status === 404, {
        what: 'the end of the CRD',
        deadlineMs: 30_000,
      });
      await plane.kube.request('POST', crds, { body: { apiVersion, kind, metadata: { name }, spec } });
    }
    await until(async () => (await readiness()).includes('[+] crds'), { what: 'ready again', deadlineMs: 90_000 });
    await operator.stop();
  });
});
