import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findProcessesIn } from '../../operator/src/standalone/process.ts';
import { badManifests } from '../builders/badmanifests.ts';
import { noteUse } from '../harness/parts.ts';
import { verify } from '../harness/program.ts';
import { playground, readEntry, startStandalone, type Playground, type Standalone } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

let place: Playground;
let program: Standalone;
let socket: Server;
let url = '';
const at = (name: string): string => join(place.manifests, name);
const key = (secret: string): string => readEntry(place.data, secret) ?? '';
const answerFor = async (value: string): Promise<string | undefined> => (await verify(url, value)).code;

/** The most memory that the program had so far, in MiB: proc(5), VmHWM. */
async function peakMiB(): Promise<number> {
  const peaks = (await findProcessesIn(place.dir, ['node'])).map(({ pid }) => {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
  });
  return Math.max(0, ...peaks);
}

beforeAll(async () => {
  void noteUse('PostgreSQL 18.4 (embedded)');
  place = playground();
  program = startStandalone({ args: ['--manifests', place.manifests, '--data', place.data, '--port', '0'], cwd: place.dir });
  url = await program.url();
  await program.says('default/billing-sync  READY=True');
  await program.says('default/newsletter-tests  READY=True');
  execFileSync('mkfifo', [at('fifo.yaml')]);
  socket = createServer();
  await new Promise<void>((resolve) => socket.listen(at('socket.yaml'), resolve));
  symlinkSync('/dev/tty', at('device.yaml'));
  symlinkSync('/dev/zero', at('zero.yaml'));
  const bad = badManifests(1_000_000);
  for (const [file, name] of [
    ['bad1.yaml', 'unknown fields'],
    ['bad2.yaml', 'unclosed nesting'],
    ['bad3.yaml', 'billion laughs'],
  ] as const)
    writeFileSync(at(file), bad[name] ?? '');
  symlinkSync('/', at('all'));
  mkdirSync(at('aaa'));
  // Fewer than the limit, so that all have their place but the last of the large ones, in whatever order they are found.
  for (let file = 0; file < 9_900; file += 1) writeFileSync(at(`aaa/${file}.yaml`), '# nothing');
  for (let file = 0; file < 20; file += 1) {
    writeFileSync(at(`aaa/large${file}.yaml`), '');
    truncateSync(at(`aaa/large${file}.yaml`), 3_999_999);
  }
});

afterAll(async () => {
  socket.close();
  await program.killAll();
  await place.remove();
});

describe('npm start, with a FIFO, a socket, devices, a link to /, thousands of files, and the worst manifests in its folder', () => {
  it('names each once, with twenty messages a file at most, and its status table stays small', async () => {
    for (const name of ['device.yaml', 'fifo.yaml', 'socket.yaml', 'zero.yaml'])
      await program.says(`! ${name} is not a regular file`);
    await until(() => /^! bad1\.yaml and [0-9,]+ more$/m.test(program.output()), {
      what: 'the count of the rest',
      deadlineMs: 90_000,
    });
    expect(program.output().match(/^! bad1\.yaml/gm)).toHaveLength(21);
    expect(program.output().length).toBeLessThan(30_000);
    expect(statSync(join(place.data, 'keywright.log')).size).toBeLessThan(200_000);
  });

  it('answers for a living key all the while', async () => {
    expect(await answerFor(key('billing-api-key'))).toBe('endpoint_not_allowed');
  });

  it('follows the edit of another file', async () => {
    const path = at('billing-sync.yaml');
    const text = readFileSync(path, 'utf8');
    const value = key('billing-api-key');
    writeFileSync(path, `${text.trimEnd()}\n  suspend: true\n`);
    await until(async () => (await answerFor(value)) === 'key_suspended', { what: 'the suspension', deadlineMs: 10_000 });
    writeFileSync(path, text);
    await until(async () => (await answerFor(value)) === 'endpoint_not_allowed', { what: 'its end', deadlineMs: 10_000 });
  });

  it('revokes a key whose manifest is deleted', async () => {
    const value = key('newsletter-api-key');
    rmSync(at('newsletter-tests.yaml'));
    await until(async () => (await answerFor(value)) === 'key_invalid', { what: 'the revocation', deadlineMs: 30_000 });
    expect(await answerFor(key('billing-api-key'))).toBe('endpoint_not_allowed');
  });

  it('takes no more memory than its bounds, and ends on Ctrl-C', async () => {
    expect(await peakMiB()).toBeLessThan(1_000);
    expect(await program.ctrlC()).toEqual({ code: 0, signal: null });
  });
});
