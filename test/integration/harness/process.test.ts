import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isAlive, privateDir, startServer, sweepDirs, tied, which } from '../../harness/process.ts';
import { until } from '../../harness/until.ts';

const HARNESS = join(import.meta.dirname, '..', '..', 'harness');

/** Runs a program that starts a real PostgreSQL, tells its process id and folder, and then waits to be killed. */
async function startKillable(parent: string): Promise<{ runner: number; server: number; dir: string }> {
  const program = `
    import { startPostgres } from ${JSON.stringify(join(HARNESS, 'postgres.ts'))};
    const own = await startPostgres();
    console.log(JSON.stringify({ server: own.server.pid, dir: own.server.dir }));
    setInterval(() => undefined, 1000);
  `;
  const { command, args } = tied(process.execPath, ['--input-type=module', '-e', program]);
  const child = spawn(command, args, { env: { ...process.env, TMPDIR: parent }, stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { runner: child.pid ?? 0, ...(JSON.parse(line.toString()) as { server: number; dir: string }) };
}

test.skipIf(which('setpriv') === undefined)('a killed run leaves no server, and the next one removes its files', async () => {
  // A folder of its own: other runs sweep the machine's.
  const parent = privateDir('killed');
  chmodSync(parent, 0o755);
  const { runner, server, dir } = await startKillable(parent);
  expect(isAlive(server)).toBe(true);
  process.kill(runner, 'SIGKILL');
  await until(() => !isAlive(server), { what: 'the end of the server' });
  await until(() => !isAlive(runner), { what: 'the end of the runner' });
  expect(existsSync(dir)).toBe(true);
  sweepDirs(parent);
  expect(existsSync(dir)).toBe(false);
  rmSync(parent, { recursive: true });
});

test('the files of a run that lives stay', () => {
  const dir = privateDir('kept');
  sweepDirs();
  expect(existsSync(dir)).toBe(true);
});

test('a server that does not start shows the end of its log', async () => {
  const dir = privateDir('broken');
  const starting = startServer({
    name: 'broken',
    command: '/bin/sh',
    args: ['-c', 'echo the disk is on fire >&2; exit 3'],
    dir,
    ready: () => Promise.resolve(false),
  });
  await expect(starting).rejects.toThrow(/broken did not start: it ended with 3\n.*the disk is on fire/s);
});

test('until tells what it saw last', async () => {
  await expect(
    until(() => Promise.reject(new Error('refused')), { deadlineMs: 100, isExact: true, what: 'the answer' }),
  ).rejects.toThrow(/the answer did not come within 100 ms; last seen: Error: refused/);
});
