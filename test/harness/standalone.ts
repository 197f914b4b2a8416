import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findProcessesIn } from '../../operator/src/standalone/process.ts';
import { privateDir, tied, type Account } from './process.ts';
import { until } from './until.ts';

/** The root of this checkout. */
export const checkout = join(import.meta.dirname, '..', '..');

/** Folders of one test: a copy of the quickstart to play with, and where the program keeps what it makes. */
export interface Playground {
  readonly dir: string;
  readonly manifests: string;
  readonly data: string;
  /** Whether any process works in here: ours, the database's, or a shell between. */
  isDeserted(): Promise<boolean>;
  /** Waits until it is deserted, then removes it. */
  remove(): Promise<void>;
}

/** Makes one. Open to other users, as a checkout in /srv is, unless `mode` says otherwise. */
export function playground(mode = 0o755): Playground {
  const dir = privateDir('standalone');
  chmodSync(dir, mode);
  const manifests = join(dir, 'manifests');
  cpSync(join(checkout, 'examples', 'quickstart'), manifests, { recursive: true });
  const isDeserted = async (): Promise<boolean> =>
    (await findProcessesIn(dir, ['postgres', 'initdb', 'sh', 'dash', 'bash'])).length === 0;
  return {
    dir,
    manifests,
    data: join(dir, 'data'),
    isDeserted,
    remove: async () => {
      await until(isDeserted, { what: 'the end of all processes', deadlineMs: 20_000 });
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `npm start`, as it runs. */
export interface Standalone {
  /** All that it printed, standard error included. */
  readonly output: () => string;
  /** What it printed on standard error. */
  readonly errors: () => string;
  /** Where the verify API answers, once it says so. */
  readonly url: () => Promise<string>;
  /** Waits until the output holds this text. */
  readonly says: (text: string) => Promise<void>;
  readonly ended: Promise<Ended>;
  /** Waits that long; whether it ended meanwhile. */
  readonly endsWithin: (ms: number) => Promise<boolean>;
  /** As if typed; only with a keyboard. */
  readonly type: (text: string) => void;
  /** SIGINT to the whole process group, as a terminal sends it. */
  readonly ctrlC: () => Promise<Ended>;
  /** SIGKILL to the whole process group. Harmless when it is gone. */
  readonly killAll: () => Promise<Ended>;
}

/** What {@link startStandalone} and {@link runCommand} are given. */
export interface StandaloneOptions {
  /** The command; default: what `npm start` runs. */
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly cwd?: string;
  readonly home?: string;
  readonly hasKeyboard?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Only root may ask for another account than its own. */
  readonly account?: Account;
}

/** What `npm start` runs, without npm. */
export const startCommand: readonly string[] = [process.execPath, join(checkout, 'scripts', 'run.mjs'), 'up'];

/** Starts the standalone mode in a process group of its own, with a small environment. It ends with us in any case. */
export function startStandalone(options: StandaloneOptions): Standalone {
  const [file = '', ...before] = options.command ?? startCommand;
  const { command, args } = tied(file, [...before, ...(options.args ?? [])], options.account);
  const cwd = options.cwd ?? checkout;
  const child = spawn(command, args, {
    cwd,
    env: { PATH: process.env['PATH'], HOME: options.home ?? cwd, LANG: 'C', ...options.env },
    detached: true,
    // Without a keyboard none at all: from a pipe a shell would read its own settings first.
    stdio: [options.hasKeyboard === true ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  child.stdin?.on('error', () => {});
  let output = '';
  let errors = '';
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    errors += chunk.toString();
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  const waitFor = <T>(look: () => T | undefined, what: string): Promise<T> =>
    waitWhileAlive(child, look, () => `${what}; it said:\n${output}`);
  return {
    output: () => output,
    errors: () => errors,
    ended,
    url: () => waitFor(() => /(http:\/\/127\.0\.0\.1:[0-9]+)\/v1\/verify answers/.exec(output)?.[1], 'where it answers'),
    says: async (text) => void (await waitFor(() => (output.includes(text) ? true : undefined), JSON.stringify(text))),
    endsWithin: (ms) => Promise.race([ended.then(() => true), delay(ms, false)]),
    type: (text) => void child.stdin?.write(text),
    ctrlC: () => signalGroup(child, 'SIGINT', ended),
    killAll: () => signalGroup(child, 'SIGKILL', ended),
  };
}

/** Runs it to its end. */
export async function runStandalone(options: StandaloneOptions): Promise<Ended & Pick<Standalone, 'output' | 'errors'>> {
  const { output, errors, ended } = startStandalone(options);
  return { ...(await ended), output, errors };
}

async function waitWhileAlive<T>(child: ChildProcess, look: () => T | undefined, what: () => string): Promise<T> {
  const found = await until(
    () => {
      const value = look();
      if (value !== undefined) return { value };
      return child.exitCode === null && child.signalCode === null ? undefined : 'ended';
    },
    { deadlineMs: 60_000, everyMs: 20, what: 'the output' },
  );
  if (found === 'ended') throw new Error(`it ended before it said ${what()}`);
  return found.value;
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals, ended: Promise<Ended>): Promise<Ended> {
  if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    try {
      process.kill(-child.pid, signal);
    } catch {
      // It ended between the look and the signal.
    }
  }
  return ended;
}

/** The value of a Secret's entry in the standalone mode; undefined when it is not there. */
export function readEntry(data: string, secret: string, entry = 'api-key'): string | undefined {
  const path = join(data, 'secrets', 'default', secret, entry);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
