import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { freePort } from './ports.ts';
import { privateDir, startServer, tied, type ServerProcess } from './process.ts';

/** The bundle where the run of the tests has built one (scripts/test.ts), else the sources. */
const main = process.env['KEYWRIGHT_TEST_PROGRAM'] ?? join(import.meta.dirname, '..', '..', 'operator', 'src', 'main.ts');

/** A process of the program under test. */
export interface Program extends ServerProcess {
  /** Everything that it logged. */
  log(): string;
  /** Where `/healthz`, `/readyz` and `/metrics` are. */
  readonly healthUrl: string;
}

/** An authorizer, and where it answers. */
export interface AuthorizerProgram extends Program {
  readonly url: string;
}

/** A standalone process: where it answers, and what it keeps. */
export interface UpProgram extends ServerProcess {
  readonly url: string;
  readonly manifests: string;
  readonly data: string;
  /** Everything that it printed. */
  printed(): string;
}

/** What a process of the program is started with. */
export interface ProgramOptions {
  readonly databaseUrl: string;
  readonly peppersFile: string;
  readonly kubeconfig?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What the start waits for. Default `ready`; `alive` for one whose database or cluster is away. */
  readonly waitFor?: 'ready' | 'alive';
}

/** A pepper file of its own; returns its path. */
export function makePeppersFile(id = 'test'): string {
  const file = join(privateDir('peppers'), 'peppers.json');
  writeFileSync(file, JSON.stringify({ current: id, peppers: { [id]: randomBytes(32).toString('base64') } }), { mode: 0o600 });
  return file;
}

/** Starts `keywright operator` and waits until it is ready. */
export async function startOperator(options: ProgramOptions): Promise<Program> {
  const port = await freePort();
  return start('operator', port, options, {
    KEYWRIGHT_ADMISSION: 'off',
    ...(options.kubeconfig === undefined ? {} : { KUBECONFIG: options.kubeconfig }),
  });
}

/** Starts `keywright authorizer` and waits until it is ready. */
export async function startAuthorizer(options: ProgramOptions): Promise<AuthorizerProgram> {
  const [port, listenPort] = [await freePort(), await freePort()];
  const program = await start('authorizer', port, options, { KEYWRIGHT_LISTEN_ADDRESS: `127.0.0.1:${listenPort}` });
  return { ...program, url: `http://127.0.0.1:${listenPort}` };
}

/** Starts `keywright up` over manifests of the caller's (file name → text), with a database of its own in the data folder. */
export async function startUp(
  files: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<UpProgram> {
  const dir = privateDir('up');
  // Root's database runs as another user, who has to pass through.
  chmodSync(dir, 0o711);
  const manifests = privateDir('manifests');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(manifests, name), text);
  const data = join(dir, 'data');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = await startServer({
    name: 'up',
    command: process.execPath,
    args: [main, 'up', '--manifests', manifests, '--data', data, '--port', String(port)],
    dir,
    env: { ...env },
    ready: async () => (await request(url)).statusCode === 404,
    deadlineMs: 60_000,
  });
  return { ...server, url, manifests, data, printed: () => readFileSync(server.logFile, 'utf8') };
}

async function start(
  command: string,
  port: number,
  options: ProgramOptions,
  env: Readonly<Record<string, string>>,
): Promise<Program> {
  const healthUrl = `http://127.0.0.1:${port}`;
  const path = options.waitFor === 'alive' ? '/healthz' : '/readyz';
  const server = await startServer({
    name: command,
    command: process.execPath,
    args: [main, command],
    dir: privateDir(command),
    env: {
      KEYWRIGHT_DATABASE_URL: options.databaseUrl,
      KEYWRIGHT_PEPPERS_FILE: options.peppersFile,
      KEYWRIGHT_METRICS_ADDRESS: `127.0.0.1:${port}`,
      KEYWRIGHT_LOG_LEVEL: 'debug',
      ...env,
      ...options.env,
    },
    ready: async () => (await request(`${healthUrl}${path}`)).statusCode === 200,
    // The first period of the admission policy takes a few seconds more, and a loaded machine starts slowly.
    deadlineMs: 60_000,
  });
  return { ...server, healthUrl, log: () => readFileSync(server.logFile, 'utf8') };
}

/** How a command ended, and what it said. */
export interface Ended {
  /** `null` when it had to be killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program until it ends by itself; killed after 30 s. Its environment is only what is given. */
export async function runProgram(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ended> {
  const { command, args: all } = tied(process.execPath, [main, ...args]);
  const dir = privateDir('run');
  const child = spawn(command, all, {
    cwd: dir,
    env: { PATH: process.env['PATH'], HOME: dir, LANG: 'C', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, stdout, stderr };
}

/** What `/v1/verify` says of a key. */
export interface VerifyAnswer {
  readonly allowed: boolean;
  readonly status?: number;
  readonly code?: string;
  readonly keyId?: string;
}

/** Asks about `GET /v1/campaigns`, or another request. An answer with a key id means that the key is known and its value right. */
export async function verify(url: string, key: string, asked: Readonly<Record<string, string>> = {}): Promise<VerifyAnswer> {
  const about = { host: 'api.example.com', method: 'GET', path: '/v1/campaigns', scheme: 'https', ...asked };
  const answer = await request(`${url}/v1/verify`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ key, request: about }),
    signal: AbortSignal.timeout(10_000),
  });
  return (await answer.body.json()) as VerifyAnswer;
}

/** A short fingerprint of a value, so that a failing assertion does not print it. */
export function fingerprint(value: string | undefined): string | undefined {
  return value === undefined ? undefined : createHash('sha256').update(value).digest('hex').slice(0, 12);
}
