import { once } from 'node:events';

import { Client } from 'pg';
import type { ClientConfig } from 'pg';

import type { HostView } from '../primary.ts';
import { DatabaseFault, classifyDriverError } from './fault.ts';

/** What the hosts said, in their order, and what the last of the silent ones failed with. */
export interface HostAnswers {
  readonly views: readonly HostView[];
  readonly fault: DatabaseFault;
}

/** Once a primary answered, the others get so long to contradict it, in milliseconds. */
const patienceMs = 1_000;

/**
 * Asks all hosts at the same time, each over a connection of its own. Returns when all have answered, or a moment after the
 * first that accepts writes: a dead host must not hold up a failover.
 */
export async function askHosts(configs: readonly ClientConfig[]): Promise<HostAnswers> {
  const views: HostView[] = configs.map(() => ({ kind: 'silent' }));
  // No host accepts writes: what is said when all are standbys.
  let fault = new DatabaseFault('unavailable', '25006', true);
  const found = new AbortController();
  const asked = configs.map(async (config, index) => {
    try {
      const view = await askHost(config);
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

async function askHost(config: ClientConfig): Promise<HostView> {
  const client = new Client(config);
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
    const standby = rows[0]?.standby !== false;
    const heartbeat = await readHeartbeat(client);
    if (standby) return { kind: 'standby', ...(heartbeat === undefined ? {} : { heartbeatAt: heartbeat.at }) };
    const timeline = await readTimeline(client);
    return {
      kind: 'primary',
      timeline,
      ...(heartbeat === undefined ? {} : { heartbeatAt: heartbeat.at, heartbeatAgeMs: heartbeat.age }),
    };
  } finally {
    // `end()` would wait for the server to hang up, and one that refuses need not.
    client.connection.stream.destroy();
  }
}

/** `undefined` = there is none yet, or the schema is older. */
async function readHeartbeat(client: Client): Promise<{ readonly at: number; readonly age: number } | undefined> {
  const heartbeat = `select keywright.ms(h.at)::float8 as at, keywright.ms(keywright.keywright_now())::float8 - keywright.ms(h.at) as age
    from keywright.heartbeat h where h.at is not null`;
  try {
    return (await client.query<{ at: number; age: number }>(heartbeat)).rows[0];
  } catch {
    return undefined;
  }
}

/** The first eight digits of a WAL file's name ("WAL Internals"). 0 where a managed service does not tell it. */
async function readTimeline(client: Client): Promise<number> {
  try {
    const { rows } = await client.query<{ file: string }>('select pg_walfile_name(pg_current_wal_lsn()) as file');
    return Number.parseInt(rows[0]?.file.slice(0, 8) ?? '', 16) || 0;
  } catch {
    return 0;
  }
}
