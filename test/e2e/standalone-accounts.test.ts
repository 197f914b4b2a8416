import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findProcessesIn } from '../../operator/src/standalone/process.ts';
import { noteUse } from '../harness/parts.ts';
import { fingerprint } from '../harness/program.ts';
import { checkout, playground, readEntry, runStandalone, type Playground } from '../harness/standalone.ts';

const isRoot = process.getuid?.() === 0;
/** In no password file of its own right, and owner of nothing: a plain user. */
const user = { uid: 65_534, gid: 65_534 };
let place: Playground;
let outside: string | undefined;

beforeAll(() => noteUse('PostgreSQL 18.4 (embedded)'));
afterEach(async () => {
  await place.remove();
  if (outside !== undefined) rmSync(outside, { recursive: true, force: true });
});

async function runTwice(options: Partial<Parameters<typeof runStandalone>[0]>): Promise<string> {
  const args = ['--manifests', place.manifests, '--data', place.data, '--port', '0', '--once'];
  const first = await runStandalone({ ...options, args });
  outside = /^the database lies in (\S+)$/m.exec(first.output())?.[1];
  expect({ code: first.code, output: first.output() }).toMatchObject({ code: 0 });
  const value = readEntry(place.data, 'billing-api-key');
  expect(value).toMatch(/^acme_live_/);
  const second = await runStandalone({ ...options, args });
  expect({ code: second.code, output: second.output() }).toMatchObject({ code: 0 });
  expect(fingerprint(readEntry(place.data, 'billing-api-key'))).toBe(fingerprint(value));
  return first.output();
}

/** This checkout, or a copy of it, where that user can read it. */
function readableCheckout(): string {
  const reads = spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, '--version']);
  if (reads.status === 0) return checkout;
  const copy = join(place.dir, 'keywright');
  mkdirSync(copy);
  const names = ['package.json', 'package-lock.json', 'operator', 'scripts', 'examples', 'node_modules'];
  const sources = names.map((name) => join(checkout, name));
  // Links where the file system allows: the packages are large.
  if (spawnSync('cp', ['-al', ...sources, copy]).status !== 0) spawnSync('cp', ['-a', ...sources, copy]);
  return copy;
}

// A plain user's own run is what all other tests are then.
describe('npm start', () => {
  if (!isRoot) {
    it('runs as a plain user', async () => {
      place = playground();
      await runTwice({});
      expect(statSync(join(place.data, 'postgres', 'cluster')).uid).toBe(process.getuid?.());
    });
    return;
  }

  it('runs as a plain user, who owns all that is made', async () => {
    place = playground();
    chownSync(place.dir, user.uid, user.gid);
    const home = readableCheckout();
    const node = process.execPath.replace(checkout, home);
    await runTwice({ account: user, command: [node, join(home, 'scripts', 'run.mjs'), 'up'], cwd: place.dir });
    for (const name of ['postgres/cluster', 'status', 'secrets', 'pepper.json'])
      expect(statSync(join(place.data, name)).uid, name).toBe(user.uid);
  });

  it('runs as root under a home that is closed to others, and says in one line where its database lies', async () => {
    place = playground(0o700);
    const output = await runTwice({ home: place.dir, cwd: place.dir });
    expect(output.match(/^the database lies in .*$/gm)).toEqual([expect.stringMatching(/ \/var\/lib\/keywright\/[0-9a-f]{16}$/)]);
    expect(existsSync(join(outside ?? '', 'cluster'))).toBe(true);
    expect(existsSync(join(place.data, 'postgres'))).toBe(false);
    expect(await findProcessesIn(outside ?? '', ['postgres'])).toEqual([]);
  });
});
