import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, describeRow, exampleNames, manifestsOf, rowsOf } from '../harness/examples.ts';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { freePort } from '../harness/ports.ts';
import { privateDir, startServer, type ServerProcess } from '../harness/process.ts';
import {
  makePeppersFile,
  runProgram,
  startAuthorizer,
  startOperator,
  type AuthorizerProgram,
  type Program,
} from '../harness/program.ts';

const main = join(import.meta.dirname, '..', '..', 'operator', 'src', 'main.ts');
const postgres = await usePostgres();
const plane = await ownControlPlane();

afterAll(async () => {
  await plane.kube.close();
  await plane.stop();
});

describe.each(exampleNames)('the example %s, standalone', (name) => {
  const data = join(privateDir('examples'), 'data');
  let url: string;
  let up: ServerProcess;

  beforeAll(async () => {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const env = { KEYWRIGHT_DATABASE_URL: (await postgres.createDatabase({ migrated: false })).url };
    const args = ['up', '--manifests', manifestsOf(name), '--data', data, '--port', String(port)];
    const once = await runProgram([...args, '--once'], env);
    // 0 = every ApiKey is Ready.
    expect([once.code, once.code === 0 ? '' : once.stdout + once.stderr]).toEqual([0, '']);
    up = await startServer({
      name: 'up',
      command: process.execPath,
      args: [main, ...args],
      dir: privateDir('up'),
      env,
      ready: async () => (await request(url)).statusCode === 404,
      deadlineMs: 60_000,
    });
  });

  afterAll(async () => {
    await up.stop();
  });

  it.each(rowsOf(name).map((row) => [describeRow(row), row] as const))('%s', async (_title, row) => {
    const value = row.key === undefined ? undefined : readFileSync(join(data, 'secrets/default', row.key, 'api-key'), 'utf8');
    expect(await ask(url, row, value)).toMatchObject(row.answer);
  });
});

describe('the examples in a cluster', () => {
  const { kube } = plane;
  let operator: Program;
  let authorizer: AuthorizerProgram;

  beforeAll(async () => {
    const options = {
      databaseUrl: (await postgres.createDatabase({ migrated: false })).url,
      peppersFile: makePeppersFile(),
      kubeconfig: kube.kubeconfig(),
    };
    await kube.kubectl(['create', 'namespace', 'keywright-system']);
    operator = await startOperator(options);
    authorizer = await startAuthorizer(options);
    for (const name of exampleNames) await kube.kubectl(['apply', '-f', manifestsOf(name)]);
    await kube.kubectl(['wait', '--for=condition=Ready', 'apikeys', '--all', '-n', 'default', '--timeout=60s']);
    await kube.kubectl(['wait', '--for=condition=Ready', 'apicatalogs,keyowners,keyownergroups', '--all', '--timeout=30s']);
  });

  afterAll(async () => {
    await operator.stop();
    await authorizer.stop();
  });

  it.each(exampleNames.flatMap((name) => rowsOf(name).map((row) => [`${name}: ${describeRow(row)}`, row] as const)))(
    '%s',
    async (_title, row) => {
      const secret =
        row.key === undefined ? undefined : await kube.request('GET', `/api/v1/namespaces/default/secrets/${row.key}`);
      const encoded = (secret?.body as { data: Record<string, string> } | undefined)?.data['api-key'];
      const value = encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString();
      expect(await ask(authorizer.url, row, value)).toMatchObject(row.answer);
    },
  );
});
