import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import pg from 'pg';
import { expect, inject } from 'vitest';
import type { AwsCall } from './aws.ts';
import { PartMissing } from './binaries.ts';
import type { PartUse, SharedPart } from './broker.ts';
import { startControlPlane } from './controlplane.ts';
import type { ControlPlane, ControlPlaneOptions } from './controlplane.ts';
import { Kube } from './kube.ts';
import type { KubeHandle } from './kube.ts';
import { callMoto } from './moto.ts';
import type { MotoHandle } from './moto.ts';
import { callOpenBao, startOpenBao } from './openbao.ts';
import type { OpenBaoHandle, OwnOpenBao } from './openbao.ts';
import { startPostgres } from './postgres.ts';
import type { OwnPostgres, PostgresHandle } from './postgres.ts';

/** A shared OpenBao server; keep to {@link uniquePath} so that suites do not meet. */
export interface OpenBao extends OpenBaoHandle {
  /** A path prefix that no other test uses, without slashes. */
  uniquePath(): string;
  /** Calls its HTTP interface as root, as `call('GET', 'secret/data/a')`; `undefined` for 404. */
  call(method: string, path: string, body?: unknown): Promise<unknown>;
}

/** A shared moto server: AWS as far as moto goes; keep to {@link uniqueName} so that suites do not meet. */
export interface Moto extends MotoHandle {
  /** The beginning of a secret's name that no other test uses. */
  uniqueName(): string;
  /** Does one operation of Secrets Manager. */
  readonly call: AwsCall;
}

/** A database of one test file. */
export interface TestDatabase {
  readonly name: string;
  /** Connects the superuser to it. */
  readonly url: string;
}

/** A shared PostgreSQL server; each test file makes its own database. */
export interface Postgres extends PostgresHandle {
  /** Makes an empty database, or (default) one with all migrations, copied from a template that is migrated once. */
  createDatabase(options?: { migrated?: boolean }): Promise<TestDatabase>;
}

/**
 * The run's API server, with kube-controller-manager and our CRDs. Keep to {@link Kube.createNamespace} and to unique
 * names of cluster resources. Like its siblings here: `const kube = await useKube();` at the top of a test file.
 *
 * @throws {PartMissing} where it cannot be had: the file is then skipped, and with CI=true it fails.
 */
export async function useKube(): Promise<Kube> {
  return new Kube((await need('kube')) as KubeHandle);
}

/** The run's OpenBao server. */
export async function useOpenBao(): Promise<OpenBao> {
  const handle = (await need('openbao')) as OpenBaoHandle;
  return {
    ...handle,
    uniquePath: () => `t${randomBytes(6).toString('hex')}`,
    call: (method, path, body) => callOpenBao(handle, method, path, body),
  };
}

/** The run's moto server. */
export async function useMoto(): Promise<Moto> {
  const handle = (await need('moto')) as MotoHandle;
  return {
    ...handle,
    uniqueName: () => `t${randomBytes(6).toString('hex')}`,
    call: (action, input) => callMoto(handle, action, input),
  };
}

/** The run's PostgreSQL server. */
export async function usePostgres(): Promise<Postgres> {
  const handle = (await need('postgres')) as PostgresHandle;
  return { ...handle, createDatabase: (options) => createDatabase(handle, options?.migrated ?? true) };
}

/** A control plane that only this suite uses, to be stopped by it. Seconds of start and 400 MB: share where you can. */
export async function ownControlPlane(options?: ControlPlaneOptions): Promise<ControlPlane> {
  const own = await startControlPlane(options);
  await noteUse(own.kube.handle.version);
  return own;
}

/** An OpenBao server that only this suite uses, to be stopped by it. */
export async function ownOpenBao(): Promise<OwnOpenBao> {
  const own = await startOpenBao();
  await noteUse(own.openbao.version);
  return own;
}

/** A PostgreSQL server that only this suite uses, to be stopped by it. */
export async function ownPostgres(): Promise<OwnPostgres> {
  const own = await startPostgres();
  await noteUse(own.postgres.version);
  return own;
}

const TEMPLATE = 'keywright_template';
// Any number: it only has to be the same in all test processes.
const TEMPLATE_LOCK = 7_239_001;

async function createDatabase(handle: PostgresHandle, migrated: boolean): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const admin = new pg.Client({ connectionString: handle.url });
  await admin.connect();
  try {
    if (migrated) {
      // Held until the copy is done: a template must have no other session.
      await admin.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK]);
      await makeTemplate(admin, handle);
    }
    await admin.query(`CREATE DATABASE ${name} TEMPLATE ${migrated ? TEMPLATE : 'template0'}`);
  } finally {
    await admin.end();
  }
  return { name, url: urlOf(handle, name) };
}

async function makeTemplate(admin: pg.Client, handle: PostgresHandle): Promise<void> {
  const known = await admin.query('SELECT FROM pg_database WHERE datname = $1 AND datistemplate', [TEMPLATE]);
  if (known.rowCount !== 0) return;
  // One that is there but no template was left by a migration that failed.
  await admin.query(`DROP DATABASE IF EXISTS ${TEMPLATE} WITH (FORCE)`);
  await admin.query(`CREATE DATABASE ${TEMPLATE} TEMPLATE template0`);
  const { migrate } = await import('../../operator/src/store/postgres/migrate.ts');
  await migrate(urlOf(handle, TEMPLATE));
  await admin.query(`ALTER DATABASE ${TEMPLATE} IS_TEMPLATE true`);
}

function urlOf(handle: PostgresHandle, database: string): string {
  return `postgres://postgres:${handle.password}@${handle.host}:${handle.port}/${database}`;
}

async function need(part: SharedPart): Promise<unknown> {
  return await callBroker('GET', `/need/${part}?suite=${encodeURIComponent(suite())}`);
}

/** Notes a real part that this suite starts in a way of its own, as `PostgreSQL 18.4 (embedded)`; it is printed beside it. */
export async function noteUse(part: string): Promise<void> {
  const use: PartUse = { suite: suite(), part };
  await callBroker('POST', '/used', use);
}

function suite(): string {
  return expect.getState().testPath ?? '';
}

/** Without a timeout: the first call may have to build the part. */
async function callBroker(method: string, path: string, body?: object): Promise<unknown> {
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const call = request(`${inject('partsUrl')}${path}`, { method, agent: false }, (response) => {
      let received = '';
      response.on('data', (chunk: Buffer) => (received += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: received }));
    });
    call.once('error', reject);
    call.end(body === undefined ? '' : JSON.stringify(body));
  });
  const parsed = JSON.parse(text) as { message?: string };
  if (status === 424) throw new PartMissing(parsed.message ?? '');
  if (status !== 200) throw new Error(parsed.message ?? text);
  return parsed;
}
