import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { CACHE, PartMissing, TOOLS, toStderr, underLock } from './binaries.ts';
import { freePort } from './ports.ts';
import { privateDir, startServer, tied } from './process.ts';
import { findPython } from './python.ts';

/** What a test needs to reach a moto server; plain data. */
export interface MotoHandle {
  /** As `moto 5.2.5`. */
  readonly version: string;
  /** `http://127.0.0.1:<port>`, for every AWS service. */
  readonly endpoint: string;
  readonly region: string;
  /** It believes every signature. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** A server that was started. Its data is in memory. */
export interface OwnMoto {
  readonly moto: MotoHandle;
  readonly stop: () => Promise<void>;
}

const LABEL = 'moto 5.2.5';
const REQUIREMENTS = join(TOOLS, 'moto', 'requirements.txt');

/**
 * Starts moto_server.
 *
 * @throws {PartMissing} when it cannot be had.
 */
export async function startMoto(): Promise<OwnMoto> {
  const python = await obtainMoto();
  const dir = privateDir('moto');
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  try {
    const server = await startServer({
      name: 'moto',
      command: python,
      dir,
      args: ['-m', 'moto.server', '-H', '127.0.0.1', '-p', String(port)],
      // Otherwise it asks the cloud's metadata address for credentials of its own.
      env: { AWS_EC2_METADATA_DISABLED: 'true', AWS_ACCESS_KEY_ID: 'moto', AWS_SECRET_ACCESS_KEY: 'moto' },
      ready: async () => (await fetch(`${endpoint}/moto-api/data.json`, { signal: AbortSignal.timeout(1000) })).ok,
      deadlineMs: 60_000,
    });
    const stop = async (): Promise<void> => {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    };
    // Those of the examples in AWS's documentation: any will do, in the right form.
    const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
    return { moto: { version: LABEL, endpoint, region: 'eu-west-1', credentials }, stop };
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
}

/** Does one operation of Secrets Manager on it; rejects with the error's class and moto's words. */
export async function callMoto(moto: MotoHandle, action: string, input: Readonly<Record<string, unknown>>): Promise<object> {
  const answer = await fetch(moto.endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `secretsmanager.${action}`,
      // It reads the region from it, and nothing else.
      authorization: `AWS4-HMAC-SHA256 Credential=moto/20260101/${moto.region}/secretsmanager/aws4_request`,
    },
    body: JSON.stringify(input),
    signal: AbortSignal.timeout(10_000),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`moto ${action}: ${answer.status} ${text}`);
  return text === '' ? {} : (JSON.parse(text) as object);
}

/** The path of a Python that has moto: from the cache, or installed now from the pinned list. */
async function obtainMoto(progress: (line: string) => void = toStderr): Promise<string> {
  const system = findPython(LABEL);
  const hash = createHash('sha256')
    .update(readFileSync(REQUIREMENTS))
    .update(JSON.stringify([system.version, platform(), arch()]));
  const dir = join(CACHE, `moto-${hash.digest('hex').slice(0, 12)}`);
  const python = join(dir, 'venv', 'bin', 'python');
  if (existsSync(python)) return python;
  mkdirSync(dir, { recursive: true });
  return await underLock(join(dir, 'lock'), LABEL, progress, async () => {
    if (!existsSync(python)) await install(system.path, dir, progress);
    return python;
  });
}

/** Into a folder beside, renamed when it is whole: the scripts that name their old folder are not used. */
async function install(system: string, dir: string, progress: (line: string) => void): Promise<void> {
  const venv = join(dir, `venv.building-${process.pid}`);
  progress(`installing ${LABEL} (once; a minute)`);
  try {
    await run(system, ['-m', 'venv', venv], 'is the venv module of Python installed (Debian: python3-venv)?');
    const pip = ['-m', 'pip', 'install', '--quiet', '--only-binary', ':all:', '--no-deps', '-r', REQUIREMENTS];
    await run(join(venv, 'bin', 'python'), pip, 'is the package index of pip within reach?');
    renameSync(venv, join(dir, 'venv'));
  } finally {
    rmSync(venv, { recursive: true, force: true });
  }
}

async function run(program: string, programArgs: readonly string[], cure: string): Promise<void> {
  const { command, args } = tied(program, programArgs);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      said += error.message;
      resolve(null);
    });
    child.once('close', resolve);
  });
  if (code !== 0) throw PartMissing.of(LABEL, `${cure}\n${said.trimEnd().split('\n').slice(-15).join('\n')}`);
}
