import { readFile } from 'node:fs/promises';

import type { ClientBase, ClientConfig } from 'pg';
import { parseIntoClientConfig } from 'pg-connection-string';

import type { DatabaseFault } from './fault.ts';
import { splitHosts } from './hosts.ts';

/** How to reach the database. */
export interface DatabaseAddress {
  /** `postgres://user:password@host:port[,host:port…]/database?sslmode=…` */
  readonly url: string;
  /** Holds the password; read at every new connection, so that a changed one works without a restart. */
  readonly passwordFile?: string;
}

/** The limits of one session, in milliseconds. */
export interface SessionLimits {
  readonly lockMs: number;
  readonly statementMs: number;
  readonly idleInTransactionMs: number;
  readonly connectMs: number;
}

/**
 * Settings that each of our sessions sets itself. Every login may change its own defaults (`alter role … set`), and they outlive
 * its password: a thief who had it for a minute could stop us with them. The settings that a client sends when it connects
 * override them. For `role` and `default_transaction_read_only` see {@link takeBackSettings}.
 */
const pinned: Readonly<Record<string, string>> = {
  // Other names would be looked up first, and statements would fail, or end the session.
  search_path: 'pg_catalog',
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  idle_session_timeout: '0',
  // A connection would end at the first lost packet.
  tcp_user_timeout: '0',
  exit_on_error: 'off',
  // A missing library would end every connection.
  local_preload_libraries: '',
  // The meaning of our values, in both directions.
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  array_nulls: 'on',
  extra_float_digits: '1',
  bytea_output: 'hex',
  DateStyle: 'ISO',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  client_min_messages: 'warning',
  // Hundreds of kilobytes in the server's log for each statement.
  debug_print_parse: 'off',
  debug_print_rewritten: 'off',
  debug_print_plan: 'off',
  trace_notify: 'off',
  trace_sort: 'off',
  // Compiling takes longer than our statements.
  jit: 'off',
};

/** Since PostgreSQL 17. */
const newer: Readonly<Record<string, string>> = { transaction_timeout: '0' };

/** PostgreSQL's error for a setting that it does not know. */
const unknownSetting = '42704';

/** How to connect to one host of the URL. */
export class HostConfig {
  readonly #full: ClientConfig;
  readonly #older: ClientConfig;
  #isOlder = false;

  constructor(config: ClientConfig) {
    this.#full = { ...config, options: optionsOf(config.options, { ...pinned, ...newer }) };
    this.#older = { ...config, options: optionsOf(config.options, pinned) };
  }

  get current(): ClientConfig {
    return this.#isOlder ? this.#older : this.#full;
  }

  /** Whether it is worth trying again, because the server is too old for one of the settings in `used`. */
  learns(used: ClientConfig, fault: DatabaseFault): boolean {
    if (fault.code !== unknownSetting || used !== this.#full) return false;
    this.#isOlder = true;
    return true;
  }

  /** After a lost connection: the server that answers next may be newer. */
  unlearn(): void {
    this.#isOlder = false;
  }
}

/**
 * Takes back settings that a thief may have left with a login, and that cannot be set when we connect, because an administrator may
 * have meant them. No statement of ours needs them before this one.
 *
 * - `default_transaction_read_only = on` of the login, or of a database that it owns. That of the server, or of somebody else's
 *   database, stays: so an administrator, or a service whose disk is full, stops all writers.
 * - A `role` that may do less with our tables and functions than the login. One that may do as much stays: it may own what a
 *   migration makes, and a login that inherits nothing needs it.
 */
export async function takeBackSettings(client: ClientBase): Promise<void> {
  await client.query(`select set_config(s.name, 'off', false) from pg_settings s
    where s.name = 'default_transaction_read_only' and s.setting = 'on' and (s.source in ('user', 'database user')
      or (s.source = 'database' and (select pg_has_role(session_user, d.datdba, 'member') from pg_database d where d.datname = current_database())))
    union all
    select set_config('role', 'none', false) where session_user <> current_user and (exists (
      select from pg_class c, unnest(array['select', 'insert', 'update']) p where c.relnamespace = to_regnamespace('keywright')
        and c.relkind = 'r' and has_any_column_privilege(session_user, c.oid, p) and not has_any_column_privilege(current_user, c.oid, p)
    ) or exists (
      select from pg_proc f where f.pronamespace = to_regnamespace('keywright')
        and has_function_privilege(session_user, f.oid, 'execute') and not has_function_privilege(current_user, f.oid, 'execute')))`);
}

/** Those of the URL first: if a setting is given twice, the later one counts. */
function optionsOf(own: string | undefined, settings: Readonly<Record<string, string>>): string {
  const stated = Object.entries(settings).map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`);
  return [...(own === undefined ? [] : [own]), ...stated].join(' ');
}

/** One for each host of the URL, in their order. Throws a TypeError for an invalid URL. */
export function hostConfigs(address: DatabaseAddress, limits: SessionLimits): readonly HostConfig[] {
  const urls = splitHosts(address.url);
  if (urls === undefined) throw new TypeError('the database URL is not of the form postgres://user@host:port/database');
  const { passwordFile } = address;
  return urls.map(
    (url) =>
      new HostConfig({
        ...parseIntoClientConfig(url),
        ...(passwordFile === undefined ? {} : { password: async () => (await readFile(passwordFile, 'utf8')).trimEnd() }),
        application_name: 'keywright',
        keepAlive: true,
        connectionTimeoutMillis: limits.connectMs,
        lock_timeout: limits.lockMs,
        statement_timeout: limits.statementMs,
        idle_in_transaction_session_timeout: limits.idleInTransactionMs,
        // The server's own limit comes first; this one is for a server that has stopped answering altogether.
        query_timeout: limits.statementMs + 3_000,
      }),
  );
}
