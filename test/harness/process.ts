import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const DIR_PREFIX = 'keywright-test-';

/**
 * A new private directory. Its name carries our process id: a later run removes what a killed one left
 * ({@link sweepDirs}).
 */
export function privateDir(purpose: string): string {
  return mkdtempSync(join(tmpdir(), `${DIR_PREFIX}${process.pid}-${purpose}-`));
}

/** Removes the private directories of runs that do not live any more. */
export function sweepDirs(parent = tmpdir()): void {
  for (const entry of readdirSync(parent)) {
    const pid = /^keywright-test-(\d+)-/.exec(entry)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    try {
      releaseSharedMemory(join(parent, entry));
      rmSync(join(parent, entry), { recursive: true, force: true });
    } catch {
      // Another user's: theirs to remove.
    }
  }
}

/** A killed PostgreSQL leaves its segment of shared memory; the seventh line of its pid file names key and id. */
function releaseSharedMemory(dir: string): void {
  const pidFile = join(dir, 'data', 'postmaster.pid');
  const ipcrm = which('ipcrm');
  if (ipcrm === undefined || !existsSync(pidFile)) return;
  const id = readFileSync(pidFile, 'utf8').split('\n')[6]?.trim().split(/\s+/)[1];
  if (id !== undefined) spawnSync(ipcrm, ['-m', id]);
}

/** Whether a process of this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The path of a program on PATH, or `undefined`. */
export function which(program: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(':')
    .map((dir) => join(dir, program))
    .find((path) => existsSync(path));
}

/** A system account to run a server under. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** What a server is started with. */
export interface ServerOptions {
  /** For messages and the log file's name. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Its working directory and HOME; the log file lies in it. */
  readonly dir: string;
  /** Added to a minimal environment (PATH, HOME, TMPDIR, LANG). */
  readonly env?: Readonly<Record<string, string>>;
  /** Only root may ask for another account than its own. */
  readonly account?: Account;
  /** Asked until it answers true; a throw is "not yet". */
  readonly ready: () => Promise<boolean>;
  /** How long the start may take, in milliseconds. Default 30,000. */
  readonly deadlineMs?: number;
  /** What asks it to stop. Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
}

/** A server that runs. */
export interface ServerProcess {
  readonly name: string;
  readonly pid: number;
  readonly dir: string;
  readonly logFile: string;
  /** Resolves when it ends, however it ends, with its exit code; `null` when a signal ended it. */
  readonly exited: Promise<number | null>;
  /** The end of its log, for a failure's message. */
  logTail(lines?: number): string;
  /** Asks it to stop, and kills it after ten seconds. Harmless when it is gone. */
  stop(): Promise<void>;
  /** SIGKILL to this one process; resolves when it is gone. */
  kill(): Promise<void>;
  /** Sends another signal, such as SIGSTOP and SIGCONT to freeze and thaw it. */
  signal(signal: NodeJS.Signals): void;
}

/**
 * Starts a server and waits until it is ready. It dies with us even when we are killed (`setpriv --pdeathsig`, where the
 * machine has it). A start that fails shows the end of the log.
 */
export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  const logFile = join(options.dir, `${options.name}.log`);
  const child = spawnTied(options, logFile);
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => resolve(code));
    child.once('error', () => resolve(null));
  });
  const running = asServerProcess(options, child, logFile, exited);
  try {
    await becomeReady(options, child);
    return running;
  } catch (error) {
    await running.stop();
    throw new Error(`${options.name} did not start: ${(error as Error).message}\n${running.logTail()}`, { cause: error });
  }
}

/** The command that ends together with the process that starts it, as far as the machine offers that. */
export function tied(command: string, args: readonly string[], account?: Account): { command: string; args: string[] } {
  const setpriv = which('setpriv');
  if (setpriv === undefined) return { command, args: [...args] };
  const own = ['--pdeathsig', 'KILL', command, ...args];
  if (account === undefined) return { command: setpriv, args: own };
  // Two steps: a change of the account clears the death signal.
  return { command: setpriv, args: [`--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups', setpriv, ...own] };
}

function spawnTied(options: ServerOptions, logFile: string): ChildProcess {
  const log = openSync(logFile, 'a', 0o644);
  try {
    const { command, args } = tied(options.command, options.args, options.account);
    const spawnOptions: SpawnOptions = {
      cwd: options.dir,
      env: { PATH: process.env['PATH'], HOME: options.dir, TMPDIR: options.dir, LANG: 'C', ...options.env },
      stdio: ['ignore', log, log],
      // Without setpriv the account is changed by Node itself.
      ...(options.account !== undefined && which('setpriv') === undefined ? options.account : {}),
    };
    return spawn(command, args, spawnOptions);
  } finally {
    closeSync(log);
  }
}

async function becomeReady(options: ServerOptions, child: ChildProcess): Promise<void> {
  const end = performance.now() + (options.deadlineMs ?? 30_000);
  let failed: Error | undefined;
  child.once('error', (error) => (failed = error));
  for (;;) {
    if (failed !== undefined) throw failed;
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`it ended with ${child.exitCode ?? child.signalCode}`);
    if (await options.ready().catch(() => false)) return;
    if (performance.now() > end) throw new Error(`it was not ready after ${options.deadlineMs ?? 30_000} ms`);
    await delay(50);
  }
}

function asServerProcess(
  options: ServerOptions,
  child: ChildProcess,
  logFile: string,
  exited: Promise<number | null>,
): ServerProcess {
  const isGone = (): boolean => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  const end = async (signal: NodeJS.Signals, graceMs: number): Promise<void> => {
    if (isGone()) return;
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await exited;
    clearTimeout(timer);
  };
  return {
    name: options.name,
    pid: child.pid ?? -1,
    dir: options.dir,
    logFile,
    exited,
    logTail: (lines = 40) => tail(logFile, lines),
    stop: () => end(options.stopSignal ?? 'SIGTERM', 10_000),
    kill: () => end('SIGKILL', 10_000),
    signal: (signal) => void child.kill(signal),
  };
}

function tail(file: string, lines: number): string {
  if (!existsSync(file)) return '';
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
}
