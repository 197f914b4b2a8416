import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { lstat, open, readFile, readdir, rename, rm, rmdir, stat, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { systemCode } from '../domain/systemcode.ts';
import type { Clock } from '../domain/time.ts';
import { syncFolder } from '../resources/files/durable.ts';
import type { Log } from '../telemetry/log.ts';
import { makeCredentials, readCredentials, saveCredentials } from './credentials.ts';
import type { Credentials } from './credentials.ts';
import type { DataFolder } from './datafolder.ts';
import { StandaloneFault } from './fault.ts';
import { makeFolder, writeFileFor } from './folders.ts';
import type { Guard } from './guard.ts';
import { requireName, succeeds } from './identity.ts';
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

/** Nobody works here now: folders of an interrupted initdb, and pid and lock files of a dead server count for nothing. */
export async function removeLeftovers(place: Place): Promise<void> {
  for (const name of await readdir(place.base)) {
    if (name.startsWith('new-')) await removeTree(place, join(place.base, name));
  }
  // PostgreSQL itself would believe them when their process id has been given to another process of the same user.
  await removeEntry(join(place.cluster, 'postmaster.pid'));
  for (const name of socketFiles) await removeEntry(join(socketFolder(place), name));
}

/**
 * Removes what lies in our own folder. Its user removes what that user may have changed: root follows no path in there,
 * because a folder of it can become a link between two steps.
 */
async function removeTree({ identity }: Place, path: string): Promise<void> {
  if (identity === undefined) {
    await rm(path, { recursive: true, force: true });
    return;
  }
  const names = (await lstat(path)).isDirectory() ? await readdir(path) : [];
  const paths = [...names.map((name) => join(path, name)), path];
  await succeeds('/bin/sh', ['-c', 'rm -rf -- "$@"', 'sh', ...paths], identity);
  for (const one of paths) await removeEntry(one);
}

/** A file, a link, or an empty folder; anything else stays. */
async function removeEntry(path: string): Promise<void> {
  try {
    await unlink(path).catch(() => rmdir(path));
  } catch {
    // Not there; or PostgreSQL says what is in its way.
  }
}

/** The folder of the database's socket, which nobody enters but its user and root. */
export function socketFolder({ base }: Place): string {
  return join(base, 'socket');
}

/** Makes it where there is none. The caller closes what this returns. */
export function openSocketFolder(place: Place): Promise<FileHandle> {
  return makeFolder(socketFolder(place), { mode: 0o700, owner: place.identity });
}

/** Makes the cluster where there is none, and a password where it was lost. */
export async function prepareCluster(context: Context): Promise<Credentials> {
  const { data, place } = context;
  const known = await readCredentials(data);
  const isThere = await exists(place.cluster);
  // Both initdb and the single-user mode look their user up; a server that runs does not.
  if (place.identity === undefined && (!isThere || known === undefined)) requireName();
  const credentials = known ?? makeCredentials();
  if (known === undefined) await saveCredentials(data, credentials);
  if (!isThere) await initialise(context, credentials);
  else if (known === undefined) await resetPassword(context, credentials);
  return credentials;
}

async function initialise(context: Context, credentials: Credentials): Promise<void> {
  const { place, programs, log } = context;
  log.info('making the database', { file: place.cluster });
  const temporary = join(place.base, `new-${randomBytes(6).toString('hex')}`);
  const cluster = join(temporary, 'cluster');
  const passwordFile = join(temporary, 'password');
  // As the base: ours, and open to its user.
  await (await makeFolder(temporary, { mode: place.identity === undefined ? 0o700 : 0o710, gid: place.identity?.gid })).close();
  await writeFileFor(place.identity, passwordFile, credentials.password);
  await (await makeFolder(cluster, { mode: 0o700, owner: place.identity })).close();
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
    await removeTree(place, temporary);
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
  await writeFileFor(place.identity, statement, `ALTER ROLE ${user} PASSWORD '${credentials.password}'\n`);
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

export function logPath({ base }: Place): string {
  return join(base, 'server.log');
}

/** Our own file in our own folder: what PostgreSQL's user gets of it is this handle. */
export async function openLog(place: Place): Promise<FileHandle> {
  const path = logPath(place);
  if ((await sizeOf(path)) > logLimitBytes) await rename(path, `${path}.1`);
  try {
    return await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    const code = systemCode(error) ?? 'error';
    const why = code === 'ELOOP' ? 'is a link' : `cannot be opened (${code})`;
    throw new StandaloneFault(`${path} ${why}; remove it, and start again`);
  }
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await lstat(path)).size;
  } catch {
    return 0;
  }
}

/** For a terminal: the server's user decides what stands there. */
export async function readLogEnd(place: Place): Promise<string> {
  const text = await readFile(logPath(place), { encoding: 'utf8', flag: constants.O_RDONLY | constants.O_NOFOLLOW });
  const lines = text.trim().split('\n').slice(-8);
  return lines.map((line) => line.replace(/\p{C}/gu, '?')).join('\n');
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}
