import type { ChildProcess } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { relative } from 'node:path';
import pg from 'pg';

import type { Clock } from '../domain/time.ts';
import type { Log } from '../telemetry/log.ts';
import {
  endOrphans,
  exitOf,
  logPath,
  openLog,
  openSocketFolder,
  prepareCluster,
  readLogEnd,
  removeLeftovers,
  socketFolder,
  socketNumber,
  user,
} from './cluster.ts';
import type { Context } from './cluster.ts';
import type { Credentials } from './credentials.ts';
import type { DataFolder } from './datafolder.ts';
import { StandaloneFault } from './fault.ts';
import { chooseGuard } from './guard.ts';
import type { Guard } from './guard.ts';
import { isRoot } from './identity.ts';
import { choosePlace } from './place.ts';
import { findPrograms } from './programs.ts';

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

/** A server that runs until it is stopped: one that ends by itself (killed for want of memory) is started again. */
export interface EmbeddedPostgres {
  /** For this process alone, with the password: not for logs. Stays the same over restarts. */
  readonly url: string;
  /** Where it lies. */
  readonly folder: string;
  /** Ends the server in an orderly way, within 20 s at most. Twice is once. */
  stop(): Promise<void>;
}

/** How to reach the server. */
interface Access {
  readonly credentials: Credentials;
  /** Its socket's folder, open. */
  readonly socket: FileHandle;
}

interface Server {
  readonly child: ChildProcess;
  /** Resolves when it has ended, asked or not. */
  readonly ended: Promise<void>;
}

const database = 'keywright';
const startPatienceMs = 60_000;
const restartPauseMs = 500;

/**
 * Starts a real PostgreSQL on the data folder, made at the first start: UTF8, locale C, SCRAM. It listens on a Unix
 * socket in a folder that only its user and root enter, and on no port: another user of the machine could listen on that
 * port before it, and be told the password.
 *
 * Survives a kill of everything at any instant: initdb works in a temporary folder that is renamed when it is whole,
 * the server ends with us, and what the last one left is waited for. Throws {@link StandaloneFault}, or the reason of
 * the signal.
 */
export async function startEmbeddedPostgres(input: EmbeddedInput): Promise<EmbeddedPostgres> {
  const { data, clock, log, signal } = input;
  const place = await choosePlace({ data, systemFolder: input.systemFolder ?? '/var/lib/keywright', log });
  const cacheFolder = input.cacheFolder ?? (isRoot() ? '/var/cache/keywright' : place.base);
  const programs = await findPrograms({ identity: place.identity, cacheFolder, log });
  const guard = input.guard ?? (await chooseGuard());
  const context: Context = { data, clock, log, signal, place, programs, guard };
  signal?.throwIfAborted();
  await endOrphans(context);
  await removeLeftovers(place);
  const credentials = await prepareCluster(context);
  const socket = await openSocketFolder(place);
  try {
    const access: Access = { credentials, socket };
    const server = await startServer(context, access);
    if (server === undefined) throw await notStarted(context);
    return keepRunning(context, access, server);
  } catch (error) {
    await socket.close();
    throw error;
  }
}

function keepRunning(context: Context, access: Access, first: Server): EmbeddedPostgres {
  const { clock, log, place } = context;
  const stopping = new AbortController();
  let server: Server = first;
  const restart = async (): Promise<void> => {
    log.warn('database ended', { file: logPath(place), retryInMs: restartPauseMs, message: 'it is started again' });
    await clock.sleep(restartPauseMs, stopping.signal);
    const restarting: Context = { ...context, signal: stopping.signal };
    await endOrphans(restarting);
    await removeLeftovers(place);
    server = (await startServer(restarting, access)) ?? server;
  };
  const keeping = (async () => {
    for (;;) {
      await server.ended;
      if (stopping.signal.aborted) return;
      // Tried again until it runs or we stop; the store waits meanwhile, as for any database.
      await restart().catch(() => {});
      // It may have come up just when we were stopped.
      if (stopping.signal.aborted) return stopServer(server, clock);
    }
  })();
  return {
    url: urlOf(access, database),
    folder: place.base,
    stop: async () => {
      stopping.abort(new Error('the database is being stopped'));
      await stopServer(server, clock);
      await keeping;
      await access.socket.close();
    },
  };
}

/** Undefined when it ended instead of answering. Throws when it does neither, or when the signal says so. */
async function startServer(context: Context, access: Access): Promise<Server | undefined> {
  const child = await spawnServer(context);
  const server: Server = { child, ended: exitOf(child).then(() => {}) };
  try {
    return (await becomesReady(context, access, server)) ? server : undefined;
  } catch (error) {
    await stopServer(server, context.clock);
    throw error;
  }
}

async function notStarted({ place }: Context): Promise<StandaloneFault> {
  return new StandaloneFault(`the database did not start; the end of ${logPath(place)} says why:\n${await readLogEnd(place)}`);
}

/**
 * The address of a socket has room for 107 bytes. From its own folder PostgreSQL reaches it in a few; we do so by the open
 * folder, wherever it lies.
 */
function urlOf({ credentials, socket }: Access, name: string): string {
  const query = `host=/proc/self/fd/${socket.fd}&port=${socketNumber}&sslmode=disable`;
  return `postgresql://${user}:${credentials.password}@/${name}?${query}`;
}

async function spawnServer({ log, place, programs, guard }: Context): Promise<ChildProcess> {
  const output = await openLog(place);
  try {
    log.debug('starting the database', { file: place.cluster, address: socketFolder(place) });
    const settings = [
      'listen_addresses=',
      `unix_socket_directories=${relative(place.cluster, socketFolder(place))}`,
      `port=${socketNumber}`,
      'shared_buffers=32MB',
      'max_connections=60',
    ];
    const args = ['-D', place.cluster, ...settings.flatMap((setting) => ['-c', setting])];
    return guard({ file: programs.postgres, args, cwd: place.cluster, identity: place.identity, outputFd: output.fd });
  } finally {
    await output.close();
  }
}

/** PostgreSQL's three ways to end, each after the one before had its time: fast (in order), immediate, kill. */
async function stopServer({ child, ended }: Server, clock: Clock): Promise<void> {
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
async function becomesReady({ clock, signal, place }: Context, access: Access, { child }: Server): Promise<boolean> {
  const begunMs = clock.monotonicMs();
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return false;
    const answer = await tryConnect(urlOf(access, 'postgres'));
    if (answer === 'ready') return true;
    if (answer === 'refused') {
      throw new StandaloneFault(
        'the database refuses the password in database.json; delete that file, and the next start sets a new one',
      );
    }
    if (clock.monotonicMs() - begunMs > startPatienceMs) {
      throw new StandaloneFault(
        `the database does not answer after ${startPatienceMs / 1000} s; the end of ${logPath(place)}:\n${await readLogEnd(place)}`,
      );
    }
    await clock.sleep(25, signal);
  }
}

/** Connects, and makes our database once. */
async function tryConnect(url: string): Promise<'ready' | 'refused' | 'not yet'> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000, query_timeout: 30_000 });
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
    // `end()` would wait for the server to hang up, which one that refuses, or is killed, may never do.
    client.connection.stream.destroy();
  }
}
