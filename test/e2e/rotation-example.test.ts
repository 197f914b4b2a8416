import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usePostgres } from '../harness/parts.ts';
import { freePort, privateDir, tied } from '../harness/process.ts';
import { checkout, readEntry, startStandalone, type Standalone } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

const postgres = await usePostgres();
const example = join(checkout, 'examples', 'rotation');
const rotations = 5;

/** A program that runs until it is stopped, and what it printed. */
class Client {
  printed = '';
  readonly #child;
  readonly #ended: Promise<void>;

  constructor(file: string, args: readonly string[]) {
    const { command, args: all } = tied(file, args);
    this.#child = spawn(command, all, { env: { PATH: process.env['PATH'] }, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.on('data', (chunk: Buffer) => (this.printed += chunk.toString()));
    this.#ended = new Promise((resolve) => this.#child.once('close', () => resolve()));
  }

  get lines(): readonly string[] {
    return this.printed.split('\n').slice(0, -1);
  }

  /** The key ids that were allowed. */
  get allowed(): ReadonlySet<string> {
    return new Set(this.lines.flatMap((line) => (line.startsWith('allowed ') ? [line.slice(8)] : [])));
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

describe('the example rotation, as it stands', () => {
  const data = join(privateDir('rotation'), 'data');
  const clients: Client[] = [];
  let standalone: Standalone;

  beforeAll(async () => {
    const port = await freePort();
    const env = { KEYWRIGHT_DATABASE_URL: (await postgres.createDatabase()).url };
    const args = ['--manifests', join(example, 'manifests'), '--data', data, '--port', String(port)];
    standalone = startStandalone({ args, env });
    const url = await standalone.url();
    await until(() => readEntry(data, 'rotating-api-key'), { what: 'the first value', deadlineMs: 60_000 });
    clients.push(new Client(process.execPath, [join(example, 'client.mjs'), data, url]));
    clients.push(new Client('sh', [join(example, 'client.sh'), data, url]));
  }, 120_000);

  afterAll(async () => {
    await Promise.all(clients.map((client) => client.stop()));
    await standalone.killAll();
  });

  it(
    `shows ${rotations} rotations live, and neither a program nor a shell that reads its file is refused once`,
    { timeout: 180_000 },
    async () => {
      for (const client of clients) {
        await until(() => client.allowed.size > rotations || !client.lines.every((line) => line.startsWith('allowed ')), {
          what: `${rotations} rotations`,
          deadlineMs: 150_000,
        });
        expect(client.lines.filter((line) => !line.startsWith('allowed '))).toEqual([]);
        expect(client.allowed.size).toBeGreaterThan(rotations);
      }
      // The table names each version, too.
      const shown = (): ReadonlySet<string | undefined> =>
        new Set([...standalone.output().matchAll(/key=acme_demo_([0-9A-Za-z]{12}) /g)].map(([, keyId]) => keyId));
      await until(() => shown().size > rotations, { what: 'the table', deadlineMs: 30_000 });
    },
  );
});
