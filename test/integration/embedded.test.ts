import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../operator/src/domain/time.ts';
import { succeeds } from '../../operator/src/standalone/identity.ts';
import type { Identity } from '../../operator/src/standalone/identity.ts';
import { findProcessesIn } from '../../operator/src/standalone/process.ts';
import { findNativeFolder, findPrograms } from '../../operator/src/standalone/programs.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { noteUse } from '../harness/parts.ts';

const program = fileURLToPath(new URL('./embedded.program.ts', import.meta.url));
const isRoot = process.getuid?.() === 0;
const somebody: Identity = { uid: 65_534, gid: 65_534, name: 'nobody' };
/** The user case needs a checkout that another user can read. */
const openCheckout = isRoot && (await succeeds(process.execPath, ['--check', program], somebody));

let folder = '';
let children: ChildProcess[] = [];

beforeAll(() => noteUse('PostgreSQL 18.4 (embedded)'));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keywright-embedded-'));
  // Open to the server's user, as /tmp or a checkout in /srv would be.
  await chmod(folder, 0o755);
  children = [];
});

afterEach(async () => {
  for (const child of children) killGroup(child);
  await expect.poll(() => runningIn(folder), { timeout: 15_000, interval: 50 }).toBe(0);
  await rm(folder, { recursive: true, force: true });
});

interface Started {
  readonly child: ChildProcess;
  /** `ready <rows>` or `fault …`. */
  readonly answer: Promise<string>;
  readonly lines: readonly string[];
}

function start(options: { readonly data?: string; readonly guard?: string; readonly as?: Identity } = {}): Started {
  const args = [
    program,
    options.data ?? join(folder, 'data'),
    join(folder, 'system'),
    join(folder, 'cache'),
    options.guard ?? 'best',
  ];
  const child = spawn(process.execPath, args, {
    // Its own process group, as a shell gives one to a command.
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(options.as === undefined ? {} : { uid: options.as.uid, gid: options.as.gid }),
  });
  children.push(child);
  const lines: string[] = [];
  const answer = new Promise<string>((resolve) => {
    const reader = createInterface({ input: child.stdout });
    reader.on('line', (line) => {
      lines.push(line);
      if (line.startsWith('ready ') || line.startsWith('fault ')) resolve(line);
    });
    reader.on('close', () => resolve('closed'));
  });
  return { child, answer, lines };
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  process.kill(-child.pid, 'SIGKILL');
}

async function stop({ child }: Started): Promise<void> {
  child.kill('SIGTERM');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

async function runningIn(place: string): Promise<number> {
  return (await findProcessesIn(place, ['postgres', 'initdb', 'setpriv', 'dash', 'sh'])).length;
}

function rowsOf(answer: string): number {
  expect(answer).toMatch(/^ready /);
  return Number(answer.split(' ')[1]);
}

/** As any other program connects: by the folder of the socket, and the password of database.json. */
async function clientOf(data: string, more: pg.ClientConfig = {}): Promise<pg.Client> {
  const { password } = JSON.parse(await readFile(join(data, 'database.json'), 'utf8')) as { password: string };
  const host = join(data, 'postgres', 'socket');
  return new pg.Client({ host, port: 5432, user: 'keywright', database: 'keywright', password, ...more });
}

/** What a command prints and says as that user. */
function runAs(user: Identity, file: string, ...args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(file, args, { uid: user.uid, gid: user.gid, encoding: 'utf8', cwd: '/' });
  return stdout + stderr;
}

describe('the embedded database', () => {
  it('starts on an empty folder, and again on the same data', async () => {
    const first = start();
    expect(rowsOf(await first.answer)).toBe(1);
    await stop(first);
    // The watcher sees the end of its program a moment after it.
    await expect.poll(() => runningIn(folder), { timeout: 10_000, interval: 50 }).toBe(0);
    const second = start();
    expect(rowsOf(await second.answer)).toBe(2);
    await stop(second);
    expect((await stat(join(folder, 'data', 'database.json'))).mode & 0o777).toBe(0o600);
  });

  it('speaks UTF8 and locale C, listens on no port but on a socket that only its user can enter, and wants the password', async () => {
    const server = start();
    await server.answer;
    const data = join(folder, 'data');
    const client = await clientOf(data);
    await client.connect();
    const setting = async (name: string): Promise<unknown> =>
      (await client.query<{ value: unknown }>(`SELECT current_setting($1) AS value`, [name])).rows[0]?.value;
    expect(await setting('server_encoding')).toBe('UTF8');
    expect(await setting('listen_addresses')).toBe('');
    expect((await stat(join(data, 'postgres', 'socket'))).mode & 0o777).toBe(0o700);
    const { rows } = await client.query<{ datcollate: string }>(`SELECT datcollate FROM pg_database WHERE datname = 'keywright'`);
    expect(rows).toEqual([{ datcollate: 'C' }]);
    await client.end();
    const stranger = await clientOf(data, { password: 'guess' });
    await expect(stranger.connect()).rejects.toMatchObject({ code: '28P01' });
    await stop(server);
  });

  it('refuses a second start on the same data folder, and names the first', async () => {
    const first = start();
    await first.answer;
    const second = await start().answer;
    expect(second).toContain(`process ${first.child.pid} already runs on the data folder`);
    expect(second).toContain('--data');
    await stop(first);
    expect(rowsOf(await start().answer)).toBe(2);
  });

  it('gives the lock of a dead process no weight, also when its id is in use again', async () => {
    await mkdir(join(folder, 'data'), { mode: 0o711 });
    // Process 1 lives, but it did not start then.
    await writeFile(join(folder, 'data', 'up.lock'), JSON.stringify({ pid: 1, startTicks: '999999999', bootId: 'another' }));
    expect(rowsOf(await start().answer)).toBe(1);
  });

  for (const guard of ['death-signal', 'watcher']) {
    it(`leaves nothing running after a kill of our process alone (${guard})`, async () => {
      const first = start({ guard });
      await first.answer;
      expect(await runningIn(folder)).toBeGreaterThan(0);
      first.child.kill('SIGKILL');
      await expect.poll(() => runningIn(folder), { timeout: 10_000, interval: 50 }).toBe(0);
      expect(rowsOf(await start({ guard }).answer)).toBe(2);
    });

    it(`continues after kills of the whole process group at random instants of the first start (${guard})`, async () => {
      let rows = 0;
      for (let round = 0; round < 4; round += 1) {
        const killed = start({ guard });
        const delayMs = Math.floor(Math.random() * 1_500);
        const answer = await Promise.race([killed.answer, systemClock.sleep(delayMs).then(() => 'killed early')]);
        if (answer.startsWith('ready')) rows = rowsOf(answer);
        expect(answer, `round ${round}, after ${delayMs} ms`).not.toMatch(/^fault/);
        killGroup(killed.child);
      }
      const last = start({ guard });
      // A row may have been written just before a kill, and its answer lost.
      expect(rowsOf(await last.answer)).toBeGreaterThan(rows);
      await stop(last);
    });
  }

  it('leaves nothing behind when the first start is given up, and starts afterwards', async () => {
    const first = start();
    await expect
      .poll(() => first.lines.some((line) => line.startsWith('log making the database')), { timeout: 10_000, interval: 5 })
      .toBe(true);
    first.child.kill('SIGINT');
    expect(await first.answer).toBe('fault Error: given up');
    await expect.poll(() => runningIn(folder), { timeout: 10_000, interval: 50 }).toBe(0);
    expect(rowsOf(await start().answer)).toBe(1);
  });

  it('starts where the path of its socket is longer than a socket may have', async () => {
    const data = join(folder, 'a'.repeat(120), 'data');
    await mkdir(data, { recursive: true, mode: 0o711 });
    const first = start({ data });
    expect(rowsOf(await first.answer)).toBe(1);
    killGroup(first.child);
    expect(rowsOf(await start({ data }).answer)).toBe(2);
  });

  it('starts over the socket of a server that was killed, also when the id in its lock is in use again', async () => {
    const first = start();
    await first.answer;
    await stop(first);
    const socket = join(folder, 'data', 'postgres', 'socket', '.s.PGSQL.5432');
    await writeFile(socket, '');
    // Process 1 lives, but it is no server of ours.
    await writeFile(`${socket}.lock`, `1\n${join(folder, 'data', 'postgres', 'cluster')}\n0\n5432\n../socket\n`);
    expect(rowsOf(await start().answer)).toBe(2);
  });

  it('is started again on the same socket when the server alone is killed', async () => {
    const first = start();
    await first.answer;
    const [postmaster] = (await readFile(join(folder, 'data', 'postgres', 'cluster', 'postmaster.pid'), 'utf8')).split('\n');
    process.kill(Number(postmaster), 'SIGKILL');
    const count = async (): Promise<string | undefined> => {
      // A server that is starting may take a connection and never answer it.
      const client = await clientOf(join(folder, 'data'), { connectionTimeoutMillis: 1_000, query_timeout: 1_000 });
      client.on('error', () => {});
      try {
        await client.connect();
        return (await client.query<{ count: string }>('SELECT count(*) FROM starts')).rows[0]?.count;
      } catch {
        return undefined;
      } finally {
        // Not waited for: after a refusal ("the database system is starting up") it may never resolve.
        void client.end().catch(() => {});
      }
    };
    await expect.poll(() => first.lines.some((line) => line.startsWith('log database ended')), { timeout: 10_000 }).toBe(true);
    await expect.poll(count, { timeout: 20_000, interval: 100 }).toBe('1');
    await stop(first);
    // The watcher sees the end of its program a moment after it.
    await expect.poll(() => runningIn(folder), { timeout: 10_000, interval: 50 }).toBe(0);
  });

  it('sets a new password when database.json was lost', async () => {
    const first = start();
    await first.answer;
    await stop(first);
    await writeFile(join(folder, 'data', 'pepper.json'), '{}');
    await rm(join(folder, 'data', 'database.json'));
    expect(rowsOf(await start().answer)).toBe(2);
  });
});

describe.runIf(isRoot)('the embedded database as root', () => {
  it('lies in the data folder when its user can reach it', async () => {
    const server = start();
    await server.answer;
    expect(await readdir(join(folder, 'data', 'postgres'))).toContain('cluster');
    await stop(server);
  });

  it('lies in the system folder when the data folder is closed to its user, says so in one line, and is found again', async () => {
    const closed = join(folder, 'home', 'data');
    await mkdir(join(folder, 'home'), { mode: 0o700 });
    const first = start({ data: closed });
    expect(rowsOf(await first.answer)).toBe(1);
    expect(
      first.lines.filter((line) => line.includes(join(folder, 'system')) && line.includes('is closed to the user')),
    ).toHaveLength(1);
    await stop(first);
    const second = start({ data: closed });
    expect(rowsOf(await second.answer)).toBe(2);
    await stop(second);
  });

  it('begins anew after the data folder was removed, and keeps the old database aside', async () => {
    const closed = join(folder, 'home', 'data');
    await mkdir(join(folder, 'home'), { mode: 0o700 });
    const first = start({ data: closed });
    await first.answer;
    await stop(first);
    await rm(closed, { recursive: true });
    const second = start({ data: closed });
    expect(rowsOf(await second.answer)).toBe(1);
    expect(await readdir(join(folder, 'system'))).toHaveLength(2);
    await stop(second);
  });

  it('runs from a copy when its user cannot reach the installed programs', async () => {
    const closed = join(folder, 'closed');
    await mkdir(closed, { mode: 0o700 });
    await cp(join(findNativeFolder(), '..'), closed, { recursive: true, verbatimSymlinks: true });
    const cacheFolder = join(folder, 'cache');
    const programs = await findPrograms({ identity: somebody, cacheFolder, log: silentLog, installed: join(closed, 'native') });
    expect(programs.postgres.startsWith(cacheFolder)).toBe(true);
    expect(await succeeds(programs.postgres, ['--version'], somebody)).toBe(true);
  });
});

describe.runIf(isRoot)('the user that runs the database for root', () => {
  const data = (): string => join(folder, 'data');
  const base = (): string => join(data(), 'postgres');
  /** What an earlier version made: the whole folder of the database belongs to its user. */
  const giveAway = async (): Promise<Identity> => {
    const first = start();
    expect(rowsOf(await first.answer)).toBe(1);
    await stop(first);
    const { uid, gid } = await stat(join(base(), 'cluster'));
    await chown(base(), uid, gid);
    await chmod(base(), 0o700);
    return { uid, gid, name: 'service' };
  };

  it('can make, replace and list nothing beside the cluster and the socket, and no other user can enter', async () => {
    const server = start();
    await server.answer;
    const { uid, gid } = await stat(join(base(), 'cluster'));
    const service = { uid, gid, name: 'service' };
    expect(uid).not.toBe(0);
    for (const path of [base(), join(base(), 'server.log')]) expect((await stat(path)).uid, path).toBe(0);
    const words = [
      ['touch', join(base(), 'new')],
      ['mv', join(base(), 'cluster'), join(base(), 'moved')],
      ['rmdir', join(base(), 'socket')],
      ['ln', '-sf', '/etc/passwd', join(base(), 'server.log')],
      ['ls', base()],
    ] as const;
    for (const [file, ...args] of words) expect(runAs(service, file, ...args), file).toContain('Permission denied');
    const other = { uid: 12_345, gid: 12_345, name: 'other' };
    expect(runAs(other, 'ls', join(base(), 'socket'))).toContain('Permission denied');
    const connect = `require('node:net').connect(process.argv[1]).on('error', (e) => console.log(e.code))`;
    const socket = join(base(), 'socket', '.s.PGSQL.5432');
    expect(runAs(other, process.execPath, '-e', connect, socket)).toBe('EACCES\n');
    await stop(server);
  });

  it('gets no file of root’s by a link that it put in the place of the log, the socket’s folder, or a new file', async () => {
    const service = await giveAway();
    const target = join(folder, 'target');
    await mkdir(target, { mode: 0o700 });
    await writeFile(join(target, 'kept'), 'kept');
    const links = [
      [join(target, 'log'), 'server.log'],
      [join(target, 'kept'), 'server.log.1'],
      [target, 'new-1'],
    ] as const;
    expect(runAs(service, 'rm', '-rf', join(base(), 'server.log'), join(base(), 'socket'))).toBe('');
    for (const [to, name] of links) expect(runAs(service, 'ln', '-s', to, join(base(), name))).toBe('');
    expect(runAs(service, 'ln', '-s', target, join(base(), 'socket'))).toBe('');
    expect(runAs(service, 'mkdir', '-p', join(base(), 'new-2', 'cluster'))).toBe('');
    expect(runAs(service, 'ln', '-s', target, join(base(), 'new-2', 'cluster', 'pg_wal'))).toBe('');
    const server = start();
    expect(rowsOf(await server.answer)).toBe(2);
    await stop(server);
    expect(await readdir(target)).toEqual(['kept']);
    expect(await readFile(join(target, 'kept'), 'utf8')).toBe('kept');
    for (const path of [target, join(target, 'kept')]) expect((await stat(path)).uid, path).toBe(0);
    expect((await readdir(base())).sort()).toEqual(['cluster', 'server.log', 'socket']);
    expect((await stat(base())).uid).toBe(0);
  });

  it('gets no folder of root’s by a link that root finds in its own folder', async () => {
    const first = start();
    await first.answer;
    await stop(first);
    const target = join(folder, 'target');
    await mkdir(target, { mode: 0o700 });
    for (const name of ['socket', 'server.log']) {
      await rm(join(base(), name), { recursive: true });
      await symlink(name === 'socket' ? target : join(target, 'log'), join(base(), name));
      expect(await start().answer, name).toMatch(/^fault /);
      await rm(join(base(), name));
    }
    expect(await readdir(target)).toEqual([]);
    expect((await stat(target)).uid).toBe(0);
  });
});

describe.runIf(openCheckout)('the embedded database as a plain user', () => {
  it('lies in the data folder and continues there', async () => {
    const home = join(folder, 'home');
    await mkdir(home, { mode: 0o700 });
    await chown(home, somebody.uid, somebody.gid);
    const data = join(home, 'data');
    const first = start({ data, as: somebody });
    expect(rowsOf(await first.answer)).toBe(1);
    expect((await stat(join(data, 'postgres', 'cluster'))).uid).toBe(somebody.uid);
    first.child.kill('SIGKILL');
    const second = start({ data, as: somebody });
    expect(rowsOf(await second.answer)).toBe(2);
    await stop(second);
  });

  it('is refused for a user without a name, with a cure', async () => {
    const unnamed: Identity = { uid: 12_345, gid: 12_345, name: '12345' };
    const home = join(folder, 'home');
    await mkdir(home, { mode: 0o700 });
    await chown(home, unnamed.uid, unnamed.gid);
    expect(await start({ data: join(home, 'data'), as: unnamed }).answer).toMatch(
      /^fault StandaloneFault: PostgreSQL cannot create a database for the user 12345, .* add a line .* or set KEYWRIGHT_DATABASE_URL/,
    );
  });
});
