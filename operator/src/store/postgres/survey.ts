import { once } from 'node:events';

import { Client } from 'pg';
import type { ClientBase } from 'pg';

import type { HostView, LastBeat, Lineage } from '../primary.ts';
import { DatabaseFault, classifyDriverError } from './fault.ts';
import { takeBackSettings } from './session.ts';
import type { HostConfig } from './session.ts';

/** What the hosts said, in order, and the error of the last one that did not let us in. */
export interface HostAnswers {
  readonly views: readonly HostView[];
  readonly fault: DatabaseFault;
}

/** How long the other hosts have to contradict a primary that will do, in milliseconds. */
const patienceMs = 1_000;
/** How long one host may take for all of its answers, in milliseconds: heartbeats wait for them, and authorizers for heartbeats. */
const hostMs = 8_000;

/**
 * Asks all hosts at the same time, each over its own connection. Returns when all have answered or their time to connect is up, or
 * a moment after the answers contain a primary that will do: a dead host must not delay a failover, and a slow one is not dead.
 */
export async function askHosts(
  hosts: readonly HostConfig[],
  willDo: (views: readonly HostView[]) => boolean = () => false,
): Promise<HostAnswers> {
  const views: HostView[] = hosts.map(() => ({ kind: 'silent' }));
  // The error if all hosts are standbys: no host accepts writes.
  let fault = new DatabaseFault('unavailable', '25006', true);
  const found = new AbortController();
  const asked = hosts.map(async (host, index) => {
    try {
      views[index] = await askHost(host, AbortSignal.timeout(hostMs));
      if (willDo(views)) found.abort();
    } catch (error) {
      fault = classifyDriverError(error);
      if (isRefusal(fault)) views[index] = { kind: 'refusing' };
    }
  });
  const patience = once(found.signal, 'abort').then(() => once(AbortSignal.timeout(patienceMs), 'abort'));
  await Promise.race([Promise.all(asked), patience]);
  return { views: [...views], fault };
}

/** No resources (no connection is left), or no authorization: anybody with a stolen login can cause both. */
function isRefusal({ code }: DatabaseFault): boolean {
  return /^(?:28|53)/.test(code);
}

async function askHost(host: HostConfig, late: AbortSignal): Promise<HostView> {
  const config = host.current;
  const client = new Client(config);
  client.on('error', () => {});
  const hangUp = (): void => void client.connection.stream.destroy();
  late.addEventListener('abort', hangUp);
  try {
    await client.connect();
  } catch (error) {
    hangUp();
    if (!late.aborted && host.learns(config, classifyDriverError(error))) return await askHost(host, late);
    throw error;
  }
  try {
    await takeBackSettings(client);
    const standby = await isStandby(client);
    const last = await readLastBeat(client);
    // In microseconds: no two servers have the same, except for copies of a running machine.
    const server = await readText(client, 'select pg_postmaster_start_time()::text as text');
    const seen = { ...(last === undefined ? {} : { last }), ...(server === '' ? {} : { server }) };
    if (standby) return { kind: 'standby', ...seen };
    return { kind: 'primary', ...(await readLineage(client)), ...seen };
  } finally {
    late.removeEventListener('abort', hangUp);
    // `end()` would wait until the server hangs up, which a server that refuses us need not do.
    hangUp();
  }
}

/** Whether the server is in recovery, and so follows a primary, with any delay. */
export async function isStandby(client: ClientBase): Promise<boolean> {
  const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
  return rows[0]?.standby !== false;
}

/** `undefined` = there is no heartbeat yet, or the schema is too old. */
async function readLastBeat(client: Client): Promise<LastBeat | undefined> {
  const heartbeat = `select h.beats::float8 as beats, keywright.ms(h.at)::float8 as at,
      keywright.ms(keywright.keywright_now())::float8 - keywright.ms(h.at) as "ageMs"
    from keywright.heartbeat h where h.at is not null`;
  try {
    return (await client.query<LastBeat>(heartbeat)).rows[0];
  } catch (error) {
    if (!isOf(error, noSchema)) throw error;
    return undefined;
  }
}

/** No table, schema, function or column, or no right to it: there is nothing to read. Anything else is no answer. */
const noSchema: ReadonlySet<string> = new Set(['42P01', '3F000', '42883', '42703', '42501']);
/** No right, no such function, or not supported. */
const notShown: ReadonlySet<string> = new Set(['42501', '42883', '0A000']);

function isOf(error: unknown, codes: ReadonlySet<string>): boolean {
  return codes.has(classifyDriverError(error).code);
}

async function readLineage(client: Client): Promise<Lineage> {
  // The first eight digits of a WAL file's name are the timeline ("WAL Internals").
  const file = await readText(client, 'select pg_walfile_name(pg_current_wal_lsn()) as text');
  const system = await readText(client, 'select system_identifier::text as text from pg_control_system()');
  return { system, timeline: Number.parseInt(file.slice(0, 8), 16) || 0 };
}

/** Empty if a managed service does not show it. */
async function readText(client: Client, query: string): Promise<string> {
  try {
    return (await client.query<{ text: string }>(query)).rows[0]?.text ?? '';
  } catch (error) {
    if (!isOf(error, notShown)) throw error;
    return '';
  }
}
