import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Client } from '../harness/client.ts';
import { noteUse, usePostgres } from '../harness/parts.ts';
import { freePort } from '../harness/ports.ts';
import { privateDir } from '../harness/process.ts';
import { findPython } from '../harness/python.ts';
import { checkout, readEntry, startStandalone, type Standalone } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

const postgres = await usePostgres();
const python = findPython('the reader in Python');
await noteUse(python.version);
const example = join(checkout, 'examples', 'rotation');
const workload = join(checkout, 'examples', 'workload');
const rotations = 5;

describe('the example rotation, as it stands', () => {
  const data = join(privateDir('rotation'), 'data');
  const clients: Client[] = [];
  let standalone: Standalone;
  let listening: Client;

  beforeAll(async () => {
    const [port, apiPort] = [await freePort(), await freePort()];
    const env = { KEYWRIGHT_DATABASE_URL: (await postgres.createDatabase()).url };
    const args = ['--manifests', join(example, 'manifests'), '--data', data, '--port', String(port)];
    standalone = startStandalone({ args, env });
    const url = await standalone.url();
    await until(() => readEntry(data, 'rotating-api-key'), { what: 'the first value', deadlineMs: 60_000 });
    clients.push(new Client(process.execPath, [join(example, 'client.mjs'), data, url]));
    clients.push(new Client('sh', [join(example, 'client.sh'), data, url]));
    // The readers of a mounted Secret, with an API that they call.
    const api = new Client(process.execPath, [join(workload, 'api.mjs'), String(apiPort), url]);
    await until(() => api.lines.length > 0, { what: 'the API' });
    const reading = [join(data, 'secrets', 'default', 'rotating-api-key'), `http://127.0.0.1:${apiPort}/v1/subscribers`];
    listening = new Client(process.execPath, [join(workload, 'node', 'main.mjs'), ...reading]);
    clients.push(api, listening, new Client(python.path, [join(workload, 'python', 'main.py'), ...reading]));
  });

  afterAll(async () => {
    await Promise.all(clients.map((client) => client.stop()));
    await standalone.killAll();
  });

  it(`shows ${rotations} rotations live, and no program that reads its file is refused once: shell, Node, Python, nor the API itself refuses one`, async () => {
    for (const client of clients) {
      await until(() => client.allowed.size > rotations || client.complaints.length > 0, {
        what: `${rotations} rotations`,
        deadlineMs: 150_000,
      });
      expect(client.complaints).toEqual([]);
      expect(client.allowed.size).toBeGreaterThan(rotations);
    }
    expect(listening.lines.filter((line) => line === 'new key').length).toBeGreaterThanOrEqual(rotations);
    // The table names each version, too.
    const shown = (): ReadonlySet<string | undefined> =>
      new Set([...standalone.output().matchAll(/key=acme_demo_([0-9A-Za-z]{12}) /g)].map(([, keyId]) => keyId));
    await until(() => shown().size > rotations, { what: 'the table', deadlineMs: 30_000 });
  });
});

it('says in one sentence that the value or the server is missing', async () => {
  const data = privateDir('rotation-alone');
  const nowhere = `http://127.0.0.1:${await freePort()}`;
  const said = async (): Promise<readonly string[]> => {
    const client = new Client(process.execPath, [join(example, 'client.mjs'), data, nowhere]);
    await client.ended;
    return client.lines;
  };
  expect(await said()).toEqual([expect.stringMatching(/api-key cannot be read \(ENOENT\): is npm start running on /)]);
  const folder = join(data, 'secrets', 'default', 'rotating-api-key');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'api-key'), 'x');
  expect(await said()).toEqual([`nobody answers at ${nowhere}: run npm start, or give its address`]);
});
