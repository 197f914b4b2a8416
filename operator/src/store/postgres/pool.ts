import type { PostgresPool, PostgresPoolClient } from 'kysely';
import { Pool } from 'pg';
import type { ClientConfig, PoolClient } from 'pg';

import type { Log } from '../../telemetry/log.ts';
import { choosePrimary, surveyOf } from '../primary.ts';
import type { PrimarySurvey } from '../primary.ts';
import { DatabaseFault, classifyDriverError } from './fault.ts';
import { allowWrites, hostConfigs } from './session.ts';
import type { DatabaseAddress, HostConfig, SessionLimits } from './session.ts';
import { askHosts } from './survey.ts';

/** What the store's own transactions live under ("Store rules"). */
export const storeLimits: SessionLimits = { lockMs: 2_000, statementMs: 5_000, idleInTransactionMs: 10_000, connectMs: 5_000 };

/** What {@link WritablePool} is made of. */
export interface WritablePoolOptions {
  readonly address: DatabaseAddress;
  readonly limits: SessionLimits;
  readonly size: number;
  readonly log: Log;
}

/**
 * Connections to the one server that accepts writes. With several hosts, it asks all whether they are out of recovery, and uses
 * the one that {@link choosePrimary} names; after a lost connection, or when a server turned read-only, it asks again. Throws only
 * {@link DatabaseFault}; never hands out a failed connection again.
 */
export class WritablePool implements PostgresPool {
  readonly options: object = {};
  readonly #hosts: readonly HostConfig[];
  readonly #size: number;
  readonly #log: Log;
  #current: Promise<Pool> | undefined;
  readonly #opened = new WeakMap<Pool, { readonly host: HostConfig; readonly config: ClientConfig }>();
  #closed = false;

  constructor(init: WritablePoolOptions) {
    this.#hosts = hostConfigs(init.address, init.limits);
    this.#size = init.size;
    this.#log = init.log;
  }

  async connect(): Promise<PostgresPoolClient> {
    const pool = await this.#writable();
    try {
      return this.#guard(await pool.connect(), pool);
    } catch (error) {
      // The pool's own answer when every connection stayed borrowed: says nothing about the server.
      if (pool.totalCount - pool.idleCount >= this.#size) throw new DatabaseFault('unavailable', 'busy', false);
      const fault = this.#failed(error, pool);
      const opened = this.#opened.get(pool);
      if (opened === undefined || !opened.host.learns(opened.config, fault)) throw fault;
      await this.#forget(pool);
      return await this.connect();
    }
  }

  async end(): Promise<void> {
    this.#closed = true;
    const current = this.#current;
    this.#current = undefined;
    const pool = await current?.catch(() => undefined);
    await pool?.end();
  }

  async #writable(): Promise<Pool> {
    if (this.#closed) throw new DatabaseFault('unavailable', 'closed', true);
    const selection = (this.#current ??= this.#select());
    try {
      return await selection;
    } catch (error) {
      if (this.#current === selection) this.#current = undefined;
      throw error;
    }
  }

  async #select(): Promise<Pool> {
    const [only] = this.#hosts;
    if (only !== undefined && this.#hosts.length === 1) return this.#open(only);
    const { views, fault } = await askHosts(this.#hosts);
    const chosen = choosePrimary(views);
    const host = chosen === undefined ? undefined : this.#hosts[chosen];
    if (host === undefined) throw fault;
    return this.#open(host);
  }

  /**
   * Asks all hosts whether the one in use is still the primary. Leaves it at once if it is not: a paused or isolated server
   * closes no connection. Never rejects.
   */
  async survey(): Promise<PrimarySurvey> {
    const { views } = await askHosts(this.#hosts);
    const current = await this.#current?.catch(() => undefined);
    const host = current === undefined ? undefined : this.#opened.get(current)?.host;
    const inUse = current === undefined ? choosePrimary(views) : this.#hosts.findIndex((one) => one === host);
    const survey = surveyOf(views, inUse ?? -1);
    if (survey.superseded && current !== undefined) {
      this.#log.warn('the database server in use is not the primary any more');
      void this.#forget(current);
    }
    return survey;
  }

  #open(host: HostConfig): Pool {
    const config = host.current;
    const pool = new Pool({
      ...config,
      max: this.#size,
      idleTimeoutMillis: 30_000,
      verify: (client, done) => {
        allowWrites(client).then(() => {
          done();
        }, done);
      },
    });
    this.#opened.set(pool, { host, config });
    // Without these listeners a server that goes away ends the process: an 'error' event nobody hears is thrown.
    pool.on('error', (error) => {
      this.#failed(error, pool);
    });
    pool.on('connect', (client) => {
      client.on('error', () => {});
    });
    return pool;
  }

  /** Classifies, and forgets a pool whose server is gone or not writable, so that the next caller selects anew. */
  #failed(error: unknown, pool: Pool): DatabaseFault {
    const fault = classifyDriverError(error);
    if (fault.connectionLost) {
      for (const host of this.#hosts) host.unlearn();
      if (this.#hosts.length > 1 || !this.#isUpToDate(pool)) void this.#forget(pool);
    }
    this.#log.debug('database connection failed', { failure: fault.code });
    return fault;
  }

  /** Whether its connections state what the host is known to understand. */
  #isUpToDate(pool: Pool): boolean {
    const opened = this.#opened.get(pool);
    return opened?.config === opened?.host.current;
  }

  async #forget(pool: Pool): Promise<void> {
    const current = this.#current;
    if (current === undefined || (await current.catch(() => undefined)) !== pool) return;
    if (this.#current === current) this.#current = undefined;
    // Ends once the last borrowed connection is back.
    if (!pool.ending) await pool.end().catch(() => {});
  }

  #guard(client: PoolClient, pool: Pool): PostgresPoolClient {
    let lost: DatabaseFault | undefined;
    const query = async (text: unknown, parameters: unknown): Promise<unknown> => {
      // After a loss the only statement to come is `rollback`: sending it would wait for the same dead server again.
      if (lost !== undefined) throw lost;
      try {
        return await client.query(text as string, parameters as unknown[]);
      } catch (error) {
        const fault = this.#failed(error, pool);
        if (fault.connectionLost) lost = fault;
        throw fault;
      }
    };
    return {
      query: query as PostgresPoolClient['query'],
      release: (destroy) => {
        client.release(destroy === true || lost !== undefined);
      },
    };
  }
}
