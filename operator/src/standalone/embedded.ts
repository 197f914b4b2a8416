import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chown, mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';

import type { Clock } from '../domain/time.ts';
import { syncFolder } from '../resources/files/durable.ts';
import type { Log } from '../telemetry/log.ts';
import { findFreePort, isFree, makeCredentials, readCredentials, saveCredentials } from './credentials.ts';
import type { Credentials } from './credentials.ts';
import type { DataFolder } from './datafolder.ts';
import { StandaloneFault } from './fault.ts';
import { chooseGuard } from './guard.ts';
import type { Guard } from './guard.ts';
import { isRoot } from './identity.ts';
import { choosePlace } from './place.ts';
import type { Place } from './place.ts';
import { findProcessesIn, signalProcess } from './process.ts';
import { findPrograms } from './programs.ts';
import type { Programs } from './programs.ts';

/** What {@link startEmbeddedPostgres} needs. */
export interface EmbeddedInput {
  readonly data: DataFolder;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborted: the start is given up, and nothing stays behind. */
  readonly signal?: AbortSignal;
  /** Root's folder for databases of closed data folders. */
  readonly systemFolder?: string;
  /** Root's folder for copies of the programs. */
  readonly cacheFolder?: string;
  /** For tests of the guard that a machine without `setpriv` uses. */
  readonly guard?: Guard;
}

/** A running server. */
export interface EmbeddedPostgres {
  /** With the password: not for logs. */
  readonly url: string;
  readonly port: number;
  /** Resolves when the server has ended, asked or not. */
  readonly ended: Promise<void>;
  /** Ends the server in an orderly way, within 20 s at most. Twice is once. */
  stop(): Promise<void>;
}

const user = 'keywright';
const database = 'keywright';
const programNames = ['postgres', 'initdb'];
const orphanPatienceMs = 10_000;
const startPatienceMs = 60_000;
const refusalPatienceMs = 3_000;
const logLimitBytes = 1_000_000;

interface Context {
  readonly input: EmbeddedInput;
  readonly place: Place;
  readonly programs: Programs;
  readonly guard: Guard;
}

/**
 * Starts a real PostgreSQL on the data folder, made at the first start: UTF8, locale C, SCRAM, on 127.0.0.1 only.
 * Survives a kill of everything at any instant: initdb works in a temporary folder that is renamed when it is whole,
 * the server ends with us, and what the last one left is waited for. Throws {@link StandaloneFault}, or the reason of
 * the signal.
 */
export async function startEmbeddedPostgres(input: EmbeddedInput): Promise<EmbeddedPostgres> {
  const { data, log, signal } = input;
  const place = await choosePlace({ data, systemFolder: input.systemFolder ?? '/var/lib/keywright', log });
  const cacheFolder = input.cacheFolder ?? (isRoot() ? '/var/cache/keywright' : place.base);
  const programs = await findPrograms({ identity: place.identity, cacheFolder, log });
  const context: Context = { input, place, programs, guard: input.guard ?? (await chooseGuard()) };
  signal?.throwIfAborted();
  await endOrphans(context);
  await removeLeftovers(place);
  const credentials = await prepareCluster(context);
  return startServer(context, credentials);
}

/** Waits for the last server's processes, which end by themselves; ends those that do not. */
async function endOrphans({ input: { clock, log, signal }, place }: Context): Promise<void> {
  const begunMs = clock.monotonicMs();
  for (;;) {
    const orphans = await findProcessesIn(place.base, programNames);
    if (orphans.length === 0) return;
    const waitedMs = clock.monotonicMs() - begunMs;
    if (waitedMs > 2 * orphanPatienceMs) {
      throw new StandaloneFault(
        `processes of an earlier database still run in ${place.base} (${orphans.map(({ pid }) => pid).join(', ')}); end them first`,
      );
    }
    if (waitedMs > orphanPatienceMs) {
      log.warn('ending orphans', { count: orphans.length, file: place.base });
      for (const orphan of orphans) await signalProcess(orphan, waitedMs > 1.5 * orphanPatienceMs ? 'SIGKILL' : 'SIGQUIT');
    }
    await clock.sleep(50, signal);
  }
}

/** Nobody works here now: folders of an interrupted initdb and the pid file of a dead server count for nothing. */
async function removeLeftovers({ base, cluster }: Place): Promise<void> {
  for (const name of await readdir(base)) {
    if (name.startsWith('new-')) await rm(join(base, name), { recursive: true, force: true });
  }
  // PostgreSQL itself would believe it when its process id has been given to another process of the same user.
  await rm(join(cluster, 'postmaster.pid'), { force: true });
}

/** Makes the cluster where there is none, and a password where it was lost. */
async function prepareCluster(context: Context): Promise<Credentials> {
  const { input, place } = context;
  const known = await readCredentials(input.data);
  const credentials = known ?? (await makeCredentials());
  if (known === undefined) await saveCredentials(input.data, credentials);
  if (!(await exists(place.cluster))) await initialise(context, credentials);
  else if (known === undefined) await resetPassword(context, credentials);
  if (await isFree(credentials.port)) return credentials;
  return moveToFreePort(input.data, credentials);
}

async function moveToFreePort(data: DataFolder, credentials: Credentials): Promise<Credentials> {
  const moved = { ...credentials, port: await findFreePort() };
  await saveCredentials(data, moved);
  return moved;
}

async function initialise(context: Context, credentials: Credentials): Promise<void> {
  const { place, programs, input } = context;
  input.log.info('making the database', { file: place.cluster });
  const temporary = join(place.base, `new-${randomBytes(6).toString('hex')}`);
  const cluster = join(temporary, 'cluster');
  const passwordFile = join(temporary, 'password');
  await mkdir(temporary, { mode: 0o700 });
  await writeFile(passwordFile, credentials.password, { mode: 0o600 });
  await giveTo(place, temporary, passwordFile);
  const args = [
    '-D',
    cluster,
    '-U',
    user,
    '--encoding=UTF8',
    '--locale=C',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}`,
    '--no-instructions',
  ];
  try {
    await runToEnd(context, programs.initdb, args, temporary);
    await rename(cluster, place.cluster);
    await syncFolder(place.base);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** `database.json` was lost: who owns the files may set a new password, in PostgreSQL's single-user mode. */
async function resetPassword(context: Context, credentials: Credentials): Promise<void> {
  const { place, programs, input } = context;
  input.log.warn('setting a new database password', {
    file: join(input.data.path, 'database.json'),
    message: 'the file was lost',
  });
  // Passed as text to a shell of the same user, never as an argument that others can list: base64url needs no quoting.
  const statement = join(place.base, `new-${randomBytes(6).toString('hex')}`);
  await writeFile(statement, `ALTER ROLE ${user} PASSWORD '${credentials.password}'\n`, { mode: 0o600 });
  await giveTo(place, statement);
  try {
    await runToEnd(
      context,
      '/bin/sh',
      ['-c', '"$0" --single -D "$1" postgres < "$2"', programs.postgres, place.cluster, statement],
      place.base,
    );
  } finally {
    await rm(statement, { force: true });
  }
}

async function runToEnd(context: Context, file: string, args: readonly string[], cwd: string): Promise<void> {
  const { input, place, guard } = context;
  const output = await openLog(place);
  try {
    const child = guard({ file, args, cwd, identity: place.identity, outputFd: output.fd });
    const abort = (): void => void child.kill('SIGQUIT');
    input.signal?.addEventListener('abort', abort);
    const code = await exitOf(child);
    input.signal?.removeEventListener('abort', abort);
    input.signal?.throwIfAborted();
    if (code !== 0)
      throw new StandaloneFault(
        `the database could not be made; the end of ${logPath(place)} says why:\n${await readLogEnd(place)}`,
      );
  } finally {
    await output.close();
  }
}

async function startServer(context: Context, credentials: Credentials): Promise<EmbeddedPostgres> {
  for (let attempt = 1; ; attempt += 1) {
    const current = attempt === 1 ? credentials : await moveToFreePort(context.input.data, credentials);
    const child = await spawnServer(context, current);
    const server = serverOf(child, context.input.clock, current);
    try {
      if (await becomesReady(context, server, child)) return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
    // Ended at once: another program was quicker on the port, which is worth another one; else its log says why.
    if (attempt === 3 || (await isFree(current.port))) {
      throw new StandaloneFault(
        `the database did not start; the end of ${logPath(context.place)} says why:\n${await readLogEnd(context.place)}`,
      );
    }
  }
}

async function spawnServer({ input, place, programs, guard }: Context, { port }: Credentials): Promise<ChildProcess> {
  const output = await openLog(place);
  try {
    input.log.debug('starting the database', { file: place.cluster, address: `127.0.0.1:${port}` });
    const settings = [
      'listen_addresses=127.0.0.1',
      'unix_socket_directories=',
      `port=${port}`,
      'shared_buffers=32MB',
      'max_connections=60',
    ];
    const args = ['-D', place.cluster, ...settings.flatMap((setting) => ['-c', setting])];
    return guard({ file: programs.postgres, args, cwd: place.cluster, identity: place.identity, outputFd: output.fd });
  } finally {
    await output.close();
  }
}

function serverOf(child: ChildProcess, clock: Clock, { port, password }: Credentials): EmbeddedPostgres {
  const ended = exitOf(child).then(() => {});
  let stopping: Promise<void> | undefined;
  return {
    url: `postgresql://${user}:${password}@127.0.0.1:${port}/${database}`,
    port,
    ended,
    stop: () => (stopping ??= stopServer(child, ended, clock)),
  };
}

/** PostgreSQL's three ways to end, each after the one before had its time: fast (in order), immediate, kill. */
async function stopServer(child: ChildProcess, ended: Promise<void>, clock: Clock): Promise<void> {
  for (const [signal, patienceMs] of [
    ['SIGINT', 10_000],
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ] as const) {
    child.kill(signal);
    const late = new AbortController();
    const sleeping = clock.sleep(patienceMs, late.signal).then(
      () => 'late',
      () => 'ended',
    );
    const outcome = await Promise.race([ended, sleeping]);
    late.abort();
    if (outcome !== 'late') return;
  }
}

/** False when the server has ended instead. */
async function becomesReady({ input, place }: Context, server: EmbeddedPostgres, child: ChildProcess): Promise<boolean> {
  const { clock, signal } = input;
  const begunMs = clock.monotonicMs();
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return false;
    const answer = await tryConnect(server.url);
    if (answer === 'ready') return true;
    const waitedMs = clock.monotonicMs() - begunMs;
    // Not at once: another program's server on our port refuses too, while ours is about to end for want of the port.
    if (answer === 'refused' && waitedMs > refusalPatienceMs) {
      throw new StandaloneFault(
        'the database refuses the password in database.json; delete that file, and the next start sets a new one',
      );
    }
    if (waitedMs > startPatienceMs) {
      throw new StandaloneFault(
        `the database does not answer after ${startPatienceMs / 1000} s; the end of ${logPath(place)}:\n${await readLogEnd(place)}`,
      );
    }
    await clock.sleep(25, signal);
  }
}

/** Connects with our password, so a stranger's server on the port is not taken for ours, and makes our database once. */
async function tryConnect(url: string): Promise<'ready' | 'refused' | 'not yet'> {
  const admin = new URL(url);
  admin.pathname = '/postgres';
  const client = new pg.Client({ connectionString: admin.href, connectionTimeoutMillis: 2_000, query_timeout: 30_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
    if (rowCount === 0) await client.query(`CREATE DATABASE ${database}`);
    return 'ready';
  } catch (error) {
    // 28P01 = invalid_password; all else: it starts, or recovers.
    return error instanceof pg.DatabaseError && error.code === '28P01' ? 'refused' : 'not yet';
  } finally {
    await client.end().catch(() => {});
  }
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  } catch {
    // It could not be started at all.
    return null;
  }
}

async function giveTo({ identity }: Place, ...paths: readonly string[]): Promise<void> {
  if (identity === undefined) return;
  for (const path of paths) await chown(path, identity.uid, identity.gid);
}

function logPath({ base }: Place): string {
  return join(base, 'server.log');
}

async function openLog(place: Place): Promise<FileHandle> {
  const path = logPath(place);
  if ((await sizeOf(path)) > logLimitBytes) await rename(path, `${path}.1`);
  return open(path, 'a', 0o600);
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch {
    return 0;
  }
}

async function readLogEnd(place: Place): Promise<string> {
  return (await readFile(logPath(place), 'utf8')).split('\n').slice(-8).join('\n').trim();
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
