import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import type { Clock } from '../domain/time.ts';
import { syncFolder } from '../resources/files/durable.ts';
import type { Log } from '../telemetry/log.ts';
import { makeCredentials, readCredentials, saveCredentials } from './credentials.ts';
import type { Credentials } from './credentials.ts';
import type { DataFolder } from './datafolder.ts';
import { StandaloneFault } from './fault.ts';
import type { Guard } from './guard.ts';
import type { Place } from './place.ts';
import { findProcessesIn, signalProcess } from './process.ts';
import type { Programs } from './programs.ts';

/** The superuser of the embedded database, made with it. */
export const user = 'keywright';

const programNames = ['postgres', 'initdb'];
/** The socket's name, seen from PostgreSQL: its number is all that is left of a port. */
export const socketNumber = 5432;
const socketFiles = [`.s.PGSQL.${socketNumber}`, `.s.PGSQL.${socketNumber}.lock`];
const orphanPatienceMs = 10_000;
const logLimitBytes = 1_000_000;

/** What all steps of a start work with. */
export interface Context {
  readonly data: DataFolder;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal | undefined;
  readonly place: Place;
  readonly programs: Programs;
  readonly guard: Guard;
}

/** Waits for the last server's processes, which end by themselves; ends those that do not. */
export async function endOrphans({ clock, log, signal, place }: Context): Promise<void> {
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
export async function removeLeftovers(place: Place): Promise<void> {
  const { base, cluster } = place;
  for (const name of await readdir(base)) {
    if (name.startsWith('new-')) await rm(join(base, name), { recursive: true, force: true });
  }
  // PostgreSQL itself would believe them when their process id has been given to another process of the same user.
  await rm(join(cluster, 'postmaster.pid'), { force: true });
  for (const name of socketFiles) await rm(join(socketFolder(place), name), { force: true });
}

/** The folder of the database's socket, which nobody enters but its user and root. */
export function socketFolder({ base }: Place): string {
  return join(base, 'socket');
}

/** Makes it where there is none. The caller closes what this returns. */
export async function openSocketFolder(place: Place): Promise<FileHandle> {
  const path = socketFolder(place);
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
  await giveTo(place, path);
  return open(path, 'r');
}

/** Makes the cluster where there is none, and a password where it was lost. */
export async function prepareCluster(context: Context): Promise<Credentials> {
  const { data, place } = context;
  const known = await readCredentials(data);
  const credentials = known ?? makeCredentials();
  if (known === undefined) await saveCredentials(data, credentials);
  if (!(await exists(place.cluster))) await initialise(context, credentials);
  else if (known === undefined) await resetPassword(context, credentials);
  return credentials;
}

async function initialise(context: Context, credentials: Credentials): Promise<void> {
  const { place, programs, log } = context;
  log.info('making the database', { file: place.cluster });
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
  const { place, programs, data, log } = context;
  log.warn('setting a new database password', {
    file: join(data.path, 'database.json'),
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
  const { signal, place, guard } = context;
  const output = await openLog(place);
  try {
    const child = guard({ file, args, cwd, identity: place.identity, outputFd: output.fd });
    const abort = (): void => void child.kill('SIGQUIT');
    signal?.addEventListener('abort', abort);
    const code = await exitOf(child);
    signal?.removeEventListener('abort', abort);
    signal?.throwIfAborted();
    if (code !== 0)
      throw new StandaloneFault(
        `the database could not be made; the end of ${logPath(place)} says why:\n${await readLogEnd(place)}`,
      );
  } finally {
    await output.close();
  }
}

export async function exitOf(child: ChildProcess): Promise<number | null> {
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

export function logPath({ base }: Place): string {
  return join(base, 'server.log');
}

export async function openLog(place: Place): Promise<FileHandle> {
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

export async function readLogEnd(place: Place): Promise<string> {
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
