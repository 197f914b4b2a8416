import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';

import { sql } from 'kysely';
import type { Kysely } from 'kysely';

import { DatabaseFault } from './fault.ts';

/** The accounts that {@link ensureLogins} makes, and the role of each. */
const accounts = {
  operator: { name: 'keywright_operator_login', role: 'keywright_operator' },
  authorizer: { name: 'keywright_authorizer_login', role: 'keywright_authorizer' },
} as const;

/** Passwords for the accounts to make: printable ASCII. An account without one stays as it is. */
export type LoginPasswords = { readonly [K in keyof typeof accounts]?: string };

/** Says which account cannot be made, and why. Never quotes a password. */
export class LoginFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LoginFault';
  }
}

/**
 * Makes the accounts that the programs log in with, as members of their roles, and sets these passwords. An existing account gets
 * the password, too, so that a new Secret takes effect. The roles must exist. Call it under the lock of a migration: two sessions
 * that alter one account at the same time fail. Throws {@link LoginFault}.
 */
export async function ensureLogins(db: Kysely<unknown>, passwords: LoginPasswords): Promise<void> {
  for (const [which, { name, role }] of Object.entries(accounts)) {
    const password = passwords[which as keyof typeof accounts];
    if (password === undefined) continue;
    if (!/^[\x21-\x7e]{16,128}$/.test(password))
      throw new LoginFault(`the password of the ${which} must be 16 to 128 printable ASCII characters without a space`);
    try {
      await ensureLogin(db, { name, role, verifier: scramVerifier(password) });
    } catch (error) {
      if (!(error instanceof DatabaseFault) || error.code !== '42501') throw error;
      throw new LoginFault(
        `the database user cannot create the account ${name}: it needs CREATEROLE, and ADMIN OPTION on ${role}`,
      );
    }
  }
}

async function ensureLogin(
  db: Kysely<unknown>,
  { name, role, verifier }: { readonly name: string; readonly role: string; readonly verifier: string },
): Promise<void> {
  const { rows } = await sql`select from pg_roles where rolname = ${name}`.execute(db);
  const verb = rows.length === 0 ? 'create' : 'alter';
  await sql
    .raw(`${verb} role ${name} login nosuperuser nocreatedb nocreaterole noreplication password '${verifier}'`)
    .execute(db);
  await sql.raw(`grant ${role} to ${name}`).execute(db);
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
