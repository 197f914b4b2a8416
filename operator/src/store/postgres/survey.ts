import { once } from 'node:events';

import { Client } from 'pg';

import type { HostView, LastBeat } from '../primary.ts';
import { DatabaseFault, classifyDriverError } from './fault.ts';
import type { HostConfig } from './session.ts';

/** What the hosts said, in order, and the error of the last silent one. */
export interface HostAnswers {
  readonly views: readonly HostView[];
  readonly fault: DatabaseFault;
}

/** How long the other hosts have to contradict the first primary that answers, in milliseconds. */
const patienceMs = 1_000;

/**
 * Asks all hosts at the same time, each over its own connection. Returns when all have answered, or a moment after the first that
 * accepts writes: a dead host must not delay a failover.
 */
export async function askHosts(hosts: readonly HostConfig[]): Promise<HostAnswers> {
  const views: HostView[] = hosts.map(() => ({ kind: 'silent' }));
  // The error if all hosts are standbys: no host accepts writes.
  let fault = new DatabaseFault('unavailable', '25006', true);
  const found = new AbortController();
  const asked = hosts.map(async (host, index) => {
    try {
      const view = await askHost(host);
      views[index] = view;
      if (view.kind === 'primary') found.abort();
    } catch (error) {
      fault = classifyDriverError(error);
    }
  });
  const patience = once(found.signal, 'abort').then(() => once(AbortSignal.timeout(patienceMs), 'abort'));
  await Promise.race([Promise.all(asked), patience]);
  return { views: [...views], fault };
}

async function askHost(host: HostConfig): Promise<HostView> {
  const config = host.current;
  const client = new Client(config);
  client.on('error', () => {});
  try {
    await client.connect();
  } catch (error) {
    client.connection.stream.destroy();
    if (host.learns(config, classifyDriverError(error))) return await askHost(host);
    throw error;
  }
  try {
    const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    const last = await readLastBeat(client);
    const seen = last === undefined ? {} : { last };
    if (rows[0]?.standby !== false) return { kind: 'standby', ...seen };
    return { kind: 'primary', timeline: await readTimeline(client), ...seen };
  } finally {
    // `end()` would wait until the server hangs up, which a server that refuses us need not do.
    client.connection.stream.destroy();
  }
}

/** `undefined` = there is no heartbeat yet, or the schema is too old. */
async function readLastBeat(client: Client): Promise<LastBeat | undefined> {
  const heartbeat = `select h.beats::float8 as beats, keywright.ms(h.at)::float8 as at,
      keywright.ms(keywright.keywright_now())::float8 - keywright.ms(h.at) as "ageMs"
    from keywright.heartbeat h where h.at is not null`;
  try {
    return (await client.query<LastBeat>(heartbeat)).rows[0];
  } catch {
    return undefined;
  }
}

/** The first eight digits of a WAL file's name ("WAL Internals"). 0 if a managed service does not show it. */
async function readTimeline(client: Client): Promise<number> {
  try {
    const { rows } = await client.query<{ file: string }>('select pg_walfile_name(pg_current_wal_lsn()) as file');
    return Number.parseInt(rows[0]?.file.slice(0, 8) ?? '', 16) || 0;
  } catch {
    return 0;
  }
}
