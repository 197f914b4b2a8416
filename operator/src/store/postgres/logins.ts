import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

import { sql } from 'kysely';
import type { Kysely } from 'kysely';

import { DatabaseFault } from './fault.ts';

/** The accounts that {@link ensureLogins} makes, and the role of each. */
const accounts = {
  operator: { name: 'keywright_operator_login', role: 'keywright_operator' },
  authorizer: { name: 'keywright_authorizer_login', role: 'keywright_authorizer' },
} as const;

type Which = keyof typeof accounts;

/** One account to create. */
export interface Login {
  /** Printable ASCII. */
  readonly password: string;
  /** Its connection limit; see {@link loginConnections}. */
  readonly connections?: number;
}

/** The accounts to create. One that is absent stays as it is. */
export type Logins = { readonly [K in Which]?: Login };

/**
 * The connection limits of the accounts: without a limit, a thief could use up those of the server. An authorizer uses at most 12
 * (ten, and those of a survey), the leading operator 16. Together, the limits leave some of PostgreSQL's 100 to
 * `keywright revoke --direct` and to migrations.
 */
export const loginConnections: Readonly<Record<Which, number>> = { operator: 40, authorizer: 48 };

/** Says which account cannot be made, and why. Never quotes a password. */
export class LoginFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LoginFault';
  }
}

/**
 * Makes the accounts that the programs log in with, as members of their roles, and sets these passwords. An existing account gets
 * the password, too, so that a new Secret takes effect, and loses its own settings: a thief may have left some, which outlive a
 * password. The roles must exist. Call it under the lock of a migration: two sessions that alter one account at the same time
 * fail. Throws {@link LoginFault}.
 */
export async function ensureLogins(db: Kysely<unknown>, logins: Logins): Promise<void> {
  for (const which of ['operator', 'authorizer'] as const) {
    const login = logins[which];
    if (login === undefined) continue;
    const { name, role } = accounts[which];
    const { password, connections = loginConnections[which] } = login;
    if (!/^[\x21-\x7e]{16,128}$/.test(password))
      throw new LoginFault(`the password of the ${which} must be 16 to 128 printable ASCII characters without a space`);
    try {
      await ensureLogin(db, { name, role, connections, verifier: scramVerifier(password) });
    } catch (error) {
      if (!(error instanceof DatabaseFault) || error.code !== '42501') throw error;
      throw new LoginFault(
        `the database user cannot create the account ${name}: it needs CREATEROLE, and ADMIN OPTION on ${role}`,
      );
    }
  }
}

interface Account {
  readonly name: string;
  readonly role: string;
  readonly connections: number;
  readonly verifier: string;
}

async function ensureLogin(db: Kysely<unknown>, { name, role, connections, verifier }: Account): Promise<void> {
  const { rows } = await sql<{ exists: boolean; database: string }>`
    select exists (select from pg_roles where rolname = ${name}) as exists, quote_ident(current_database()) as database`.execute(
    db,
  );
  const { exists = false, database = '' } = rows[0] ?? {};
  const run = (statement: string) => sql.raw(statement).execute(db);
  await run(
    `${exists ? 'alter' : 'create'} role ${name} login nosuperuser nocreatedb nocreaterole noreplication
     connection limit ${String(connections)} password '${verifier}'`,
  );
  await run(`grant ${role} to ${name}`);
  await run(`alter role ${name} reset all`);
  await run(`alter role ${name} in database ${database} reset all`);
}

/** PostgreSQL's default, see `scram_iterations`. */
const iterations = 4096;

/**
 * What PostgreSQL stores for a password (RFC 5802; "Password Authentication" and pg_authid in its documentation). The server may
 * log a statement with it: nobody can log in with it.
 */
function scramVerifier(password: string): string {
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const hmac = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(hmac('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${String(iterations)}:${salt.toString('base64')}$${stored}:${hmac('Server Key').toString('base64')}`;
}
