import { Client } from 'pg';
import { systemClock } from '../../operator/src/domain/time.ts';
import type { Store } from '../../operator/src/store/port.ts';
import { openPostgresStore, type PostgresStoreOptions } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { ownPostgres } from './parts.ts';
import type { OwnPostgres } from './postgres.ts';
import { isAlive } from './process.ts';
import { until } from './until.ts';

/** A PostgreSQL server of one test file, which may be killed. */
export class StoreScene {
  readonly own: OwnPostgres;
  readonly url: string;

  private constructor(own: OwnPostgres) {
    this.own = own;
    this.url = own.postgres.url;
  }

  static async open(): Promise<StoreScene> {
    return new StoreScene(await ownPostgres());
  }

  readonly open = (options: Partial<PostgresStoreOptions> = {}): Store =>
    openPostgresStore({ url: this.url, clock: systemClock, log: silentLog, ...options });

  /** A session of somebody else, ended with the work. */
  readonly session = async <T>(work: (client: Client) => Promise<T>, address = this.url): Promise<T> => {
    const client = new Client({ connectionString: address });
    client.on('error', () => {});
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  };

  /** Kills the server, and waits for the orphaned sessions to notice: they may still answer for a moment. */
  readonly kill = async (): Promise<void> => {
    const client = new Client({ connectionString: this.url });
    const gone = new Promise<void>((resolve) => {
      client.on('error', () => {
        resolve();
      });
    });
    await client.connect();
    const pids = (await client.query<{ pid: number }>("select pid from pg_stat_activity where backend_type = 'client backend'"))
      .rows;
    await this.own.server.kill();
    await gone;
    await until(() => pids.every(({ pid }) => !isAlive(pid)), { what: 'the end of the orphans' });
  };

  /** Starts the killed server again: its last orphan may still hold the shared memory for a moment. */
  readonly restart = async (): Promise<void> => {
    await until(() => this.own.restart(), { deadlineMs: 20_000, what: 'the restart' });
  };
}
