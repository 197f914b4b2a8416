import { sql } from 'kysely';
import type { Kysely } from 'kysely';

import { DatabaseFault } from './fault.ts';
import type { Tables } from './tables.ts';

/** Fewer locks of one account are no cause: those of all our connections together. */
const many = 1_000;

/**
 * The locks of a server, which all its sessions share. While there is no room for another one, nobody can write, and nobody can
 * connect: only connections that are open can still read, and of the catalogs only those of their own database.
 */
export class LockTable {
  readonly #db: Kysely<Tables>;
  readonly #accounts: Map<number, string>;
  #looking: Promise<string | undefined> | undefined;

  /** `accounts`: their names by OID, which {@link learnAccounts} fills in. */
  constructor(db: Kysely<Tables>, accounts: Map<number, string>) {
    this.#db = db;
    this.#accounts = accounts;
  }

  /** Reads the names of all accounts, which cannot be read later, when there is no room. Never rejects. */
  async learnAccounts(): Promise<void> {
    const query = sql<{ oid: number; name: string }>`select oid, rolname as name from pg_roles`.execute(this.#db);
    const rows = await query.then((found) => found.rows).catch(() => []);
    for (const { oid, name } of rows) this.#accounts.set(Number(oid), name);
  }

  /** Says who holds most locks, and how to end that; nothing if nobody holds many, or nobody can be asked. One look at a time. */
  async hoarder(): Promise<string | undefined> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return await this.#looking;
  }

  async #look(): Promise<string | undefined> {
    try {
      // Not by pg_stat_activity, which reads catalogs that all databases share.
      const { rows } = await sql<{ account: number | null; pid: number; others: number }>`
        select a.usesysid as account, (array_agg(l.pid order by l.held desc))[1] as pid, count(*)::int - 1 as others
        from (select pid, count(*) as held from pg_locks where pid <> pg_backend_pid() group by pid) l
        left join pg_stat_get_activity(null) a on a.pid = l.pid
        group by a.usesysid having sum(l.held) > ${many} order by sum(l.held) desc limit 1`.execute(this.#db);
      const [row] = rows;
      return row === undefined ? undefined : this.#sentence(row);
    } catch (error) {
      if (!(error instanceof DatabaseFault)) throw error;
      return undefined;
    }
  }

  #sentence({ account, pid, others }: { account: number | null; pid: number; others: number }): string {
    const oid = Number(account);
    const whose = `of ${this.#accounts.get(oid) ?? `the account with OID ${String(oid)}`}`;
    const more = others === 0 ? '' : ` and ${String(others)} other sessions ${whose}`;
    return `most locks are held by pid ${String(pid)} ${whose}${more}; pg_terminate_backend(${String(pid)}) ends it`;
  }
}
