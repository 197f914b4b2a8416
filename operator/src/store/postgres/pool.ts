import type { PostgresPool, PostgresPoolClient } from 'kysely';
import { Pool } from 'pg';
import type { ClientBase, ClientConfig, PoolClient } from 'pg';

import { systemClock } from '../../domain/time.ts';
import type { Log } from '../../telemetry/log.ts';
import { choosePrimary, surveyOf } from '../primary.ts';
import type { HostView, Lineage, PrimarySurvey } from '../primary.ts';
import { PrimaryMemory } from '../primarymemory.ts';
import { DatabaseFault, classifyDriverError } from './fault.ts';
import { hostConfigs, takeBackSettings } from './session.ts';
import type { DatabaseAddress, HostConfig, SessionLimits } from './session.ts';
import { askHosts, isStandby } from './survey.ts';

/** What the store's own transactions live under ("Store rules"). */
export const storeLimits: SessionLimits = { lockMs: 2_000, statementMs: 5_000, idleInTransactionMs: 10_000, connectMs: 5_000 };

/** What {@link WritablePool} is made of. */
export interface WritablePoolOptions {
  readonly address: DatabaseAddress;
  readonly limits: SessionLimits;
  readonly size: number;
  readonly log: Log;
  /** What is known of the hosts; absent = nothing, and nobody else needs to know. */
  readonly memory?: PrimaryMemory;
}

/**
 * Connections to the one server that accepts writes. With several hosts, it asks all whether they are out of recovery, and uses
 * the one that {@link choosePrimary} names; after a lost connection, or when a server turned read-only, it asks again. It uses none
 * that lacks what the last one had: then it waits for that one, or its successor. Throws only {@link DatabaseFault}; never hands out
 * a failed connection again.
 */
export class WritablePool implements PostgresPool {
  readonly options: object = {};
  readonly #hosts: readonly HostConfig[];
  readonly #size: number;
  readonly #log: Log;
  readonly #memory: PrimaryMemory;
  #current: Promise<Pool> | undefined;
  /** The {@link PrimaryMemory.restores} of the choice. */
  #restores: number;
  /** How many times another server was chosen, and the last one. */
  #selection = 0;
  #chosen: HostConfig | undefined;
  #lineage: Lineage | undefined;
  #isHolding = false;
  readonly #opened = new WeakMap<Pool, { readonly host: HostConfig; readonly config: ClientConfig }>();
  #closed = false;

  constructor(init: WritablePoolOptions) {
    this.#hosts = hostConfigs(init.address, init.limits);
    this.#size = init.size;
    this.#log = init.log;
    this.#memory = init.memory ?? new PrimaryMemory(systemClock);
    this.#restores = this.#memory.restores;
  }

  /** See {@link PrimarySurvey.selection}. */
  get selection(): number {
    return this.#selection;
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
    if (this.#restores !== this.#memory.restores) this.#leave();
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
    const memory = this.#memory;
    const askedMs = memory.nowMs();
    // A process that remembers nothing waits for all hosts: a slow one may be the only one that knows better.
    const willDo = (views: readonly HostView[]): boolean => {
      const remembered = memory.remembered();
      return remembered !== undefined && choosePrimary(views, remembered) !== undefined;
    };
    const { views, fault } = await askHosts(this.#hosts, willDo);
    const pool = this.#choose(memory.watched(views, askedMs), askedMs);
    if (pool === undefined) throw this.#isHolding ? new DatabaseFault('unavailable', 'behind', false) : fault;
    return pool;
  }

  /**
   * Asks all hosts whether the one in use is still the primary. Leaves it at once if it is not: a paused or isolated server
   * closes no connection. Never rejects.
   */
  async survey(): Promise<PrimarySurvey> {
    const memory = this.#memory;
    const askedMs = memory.nowMs();
    const answers = await askHosts(this.#hosts);
    const views = memory.watched(answers.views, askedMs);
    const current =
      (await this.#current?.catch(() => undefined)) ?? (this.#current === undefined ? this.#adopt(views, askedMs) : undefined);
    const host = current === undefined ? undefined : this.#opened.get(current)?.host;
    const inUse = this.#hosts.findIndex((one) => one === host);
    const survey = surveyOf(views, inUse, this.#remembered());
    if (current === undefined) return survey;
    if (survey.superseded) {
      this.#log.warn('the database server in use is not the primary any more');
      void this.#forget(current);
    } else if (this.#use(views[inUse], askedMs)) {
      // Its connections may still lead to the server before.
      void this.#forget(current);
    }
    return { ...survey, selection: this.#selection };
  }

  /** A single name fails over by itself: it may lead anywhere. */
  #remembered() {
    return this.#hosts.length === 1 ? undefined : this.#memory.remembered();
  }

  #adopt(views: readonly HostView[], askedMs: number): Pool | undefined {
    const pool = this.#closed ? undefined : this.#choose(views, askedMs);
    if (pool !== undefined) this.#current = Promise.resolve(pool);
    return pool;
  }

  /** Of the answers. What is remembered may have changed since the question. */
  #choose(views: readonly HostView[], askedMs: number): Pool | undefined {
    const chosen = choosePrimary(views, this.#remembered());
    const host = chosen === undefined ? undefined : this.#hosts[chosen];
    this.#hold(host === undefined && views.some((view) => view.kind === 'primary'));
    if (chosen === undefined || host === undefined) return undefined;
    const pool = this.#open(host);
    this.#restores = this.#memory.restores;
    this.#use(views[chosen], askedMs);
    return pool;
  }

  #hold(isHolding: boolean): void {
    if (isHolding && !this.#isHolding) {
      const { beats, at, timeline } = this.#memory.note() ?? { beats: 0, at: 0, timeline: 0 };
      const last = `heartbeat ${String(beats)} of ${new Date(at).toISOString()}, timeline ${String(timeline)}`;
      const message = `waiting for the server with ${last}, or its successor; see "A database that lacks what was written" in docs/operations.md`;
      this.#log.error('only a database server that lacks what was written to another accepts writes', { message });
    }
    this.#isHolding = isHolding;
  }

  /** Whether another server than before is behind the name of the host. */
  #use(view: HostView | undefined, askedMs: number): boolean {
    if (view?.kind !== 'primary') return false;
    const { system, timeline } = view;
    const before = this.#lineage;
    // It did not say who it is, this time: what is known of it stays.
    if (before !== undefined && ((system === '' && before.system !== '') || (timeline === 0 && before.timeline > 0)))
      return false;
    if (this.#hosts.length > 1) this.#memory.use(view, askedMs);
    const isAnother = before !== undefined && (before.system !== system || before.timeline !== timeline);
    if (isAnother) this.#selection += 1;
    this.#lineage = { system, timeline };
    return isAnother;
  }

  #open(host: HostConfig): Pool {
    const config = host.current;
    const pool = new Pool({
      ...config,
      max: this.#size,
      idleTimeoutMillis: 30_000,
      // An established connection may lead to another server than a new one, where the name of the host was moved.
      maxLifetimeSeconds: 10,
      verify: (client, done) => {
        prepare(client).then(() => {
          done();
        }, done);
      },
    });
    this.#opened.set(pool, { host, config });
    if (host !== this.#chosen) {
      this.#selection += 1;
      this.#chosen = host;
      this.#lineage = undefined;
    }
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

  #leave(): void {
    this.#restores = this.#memory.restores;
    const current = this.#current;
    this.#current = undefined;
    void current?.then((pool) => pool.end()).catch(() => {});
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

/** Before anything else on a new connection. */
async function prepare(client: ClientBase): Promise<void> {
  await takeBackSettings(client);
  // A host name may come to point to a standby, which may lag by any amount: keys revoked meanwhile would still be valid there.
  if (await isStandby(client)) throw new DatabaseFault('unavailable', '25006', true);
}
