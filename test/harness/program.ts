import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { freePort, privateDir, startServer, type ServerProcess } from './process.ts';

const main = join(import.meta.dirname, '..', '..', 'operator', 'src', 'main.ts');

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

/** What a process of the program is started with. */
export interface ProgramOptions {
  readonly databaseUrl: string;
  readonly peppersFile: string;
  readonly kubeconfig?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A pepper file of its own; returns its path. */
export function makePeppersFile(): string {
  const file = join(privateDir('peppers'), 'peppers.json');
  writeFileSync(file, JSON.stringify({ current: 'test', peppers: { test: randomBytes(32).toString('base64') } }), {
    mode: 0o600,
  });
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

async function start(
  command: string,
  port: number,
  options: ProgramOptions,
  env: Readonly<Record<string, string>>,
): Promise<Program> {
  const healthUrl = `http://127.0.0.1:${port}`;
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
    ready: async () => (await request(`${healthUrl}/readyz`)).statusCode === 200,
  });
  return { ...server, healthUrl, log: () => readFileSync(server.logFile, 'utf8') };
}

/** What `/v1/verify` says of a key. */
export interface VerifyAnswer {
  readonly allowed: boolean;
  readonly status?: number;
  readonly code?: string;
  readonly keyId?: string;
}

/** Asks whether a key is alive: `endpoint_not_allowed` with its key id = it is, while rights are not answered yet. */
export async function verify(url: string, key: string): Promise<VerifyAnswer> {
  const answer = await request(`${url}/v1/verify`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ key, request: { host: 'api.example.com', method: 'GET', path: '/v1/campaigns', scheme: 'https' } }),
    signal: AbortSignal.timeout(10_000),
  });
  return (await answer.body.json()) as VerifyAnswer;
}

/** A short fingerprint of a value, so that a failing assertion does not print it. */
export function fingerprint(value: string | undefined): string | undefined {
  return value === undefined ? undefined : createHash('sha256').update(value).digest('hex').slice(0, 12);
}
