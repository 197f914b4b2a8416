import { DatabaseError } from 'pg';

import { waiting } from '../../domain/failure.ts';
import type { Failure } from '../../domain/failure.ts';

/**
 * `unavailable`: the database or its operator must act, we wait. `conflict`: two transactions met; the same again
 * succeeds. `unique`: a unique index refused. `defect`: ours.
 */
export type FaultKind = 'unavailable' | 'conflict' | 'unique' | 'defect';

/**
 * What is kept of a driver's error: its class and SQLSTATE. Detail, hint and parameters are dropped, because PostgreSQL
 * quotes whole rows there ("Failing row contains …"), hashes included.
 */
export class DatabaseFault extends Error {
  readonly kind: FaultKind;
  /** SQLSTATE (PostgreSQL, appendix A), or Node's error code, or `no answer`, `behind`, `busy`, `closed`. */
  readonly code: string;
  readonly constraint: string | undefined;
  /** The connection is of no use any more. */
  readonly connectionLost: boolean;

  constructor(kind: FaultKind, code: string, connectionLost: boolean, constraint?: string) {
    super(`database fault ${code}${constraint === undefined ? '' : ` (${constraint})`}`);
    this.name = 'DatabaseFault';
    this.kind = kind;
    this.code = code;
    this.connectionLost = connectionLost;
    this.constraint = constraint;
  }
}

// 25006: the server is a standby, or was made read-only. 25P03: our transaction was idle too long. 3D000, 3F000, 42P01, 42883: not made or not
// migrated yet. 42501: a grant is missing. All of them are cured outside of this process.
const unavailableCodes = new Set(['25006', '25P03', '3D000', '3F000', '42P01', '42703', '42883', '42501', '55P03']);
// Connection exception, authorization, resources, operator intervention (57014 is statement_timeout), system error.
const unavailableClasses = new Set(['08', '28', '53', '57', '58']);
const lostCodes = new Set(['25006', '25P03', '57P01', '57P02', '57P03', '57P05']);

/** Sorts an error of the driver. Everything without a SQLSTATE comes from the connection, not from a statement. */
export function classifyDriverError(error: unknown): DatabaseFault {
  if (error instanceof DatabaseFault) return error;
  if (!(error instanceof DatabaseError) || error.code === undefined)
    return new DatabaseFault('unavailable', nodeCode(error), true);
  const code = error.code;
  const category = code.slice(0, 2);
  const lost = lostCodes.has(code) || category === '08' || category === '28';
  if (code === '40001' || code === '40P01') return new DatabaseFault('conflict', code, false);
  if (code === '23505') return new DatabaseFault('unique', code, false, error.constraint);
  if (unavailableCodes.has(code) || unavailableClasses.has(category)) return new DatabaseFault('unavailable', code, lost);
  return new DatabaseFault('defect', code, lost, error.constraint);
}

function nodeCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[A-Z0-9_]{1,40}$/.test(code) ? code : 'no answer';
}

const sentences: Readonly<Record<string, string>> = {
  '25006': 'no server of the database accepts writes',
  '28P01': 'the database refuses our password',
  '28000': 'the database refuses our login',
  '3D000': 'the database does not exist on its server',
  '3F000': 'the database has no Keywright schema yet',
  '42P01': 'the database has no Keywright schema yet',
  '42501': 'our database role lacks a right',
  '53100': "the database's disk is full",
  '53200': 'the database is out of memory, or its lock table is full',
  '53300': 'the database has no connection left for us',
  // Raised by our own function, see migration 0004.
  '53400': 'too many keys were revoked in this minute',
  '55P03': 'the database kept a row locked for too long',
  '57014': 'the database took too long',
  behind: 'the only database server that accepts writes lacks what was written to another one',
  busy: 'all our connections to the database are in use',
};

/** The database is there, and something in it was held: what held it ends within seconds, by its own limits. */
const briefCodes = new Set(['53200', '55P03', '57014', '40001', '40P01', 'busy']);
const briefRetryMs = 3_000;

/** The failure that callers of the store see; {@link DatabaseFault} stays inside. `more`: what else is known of the cause. */
export function storeUnavailable(fault: DatabaseFault, more?: string): Failure {
  const sentence = `${sentences[fault.code] ?? 'the database does not answer'} (${fault.code})`;
  const message = more === undefined ? sentence : `${sentence}: ${more}`;
  return waiting('StoreUnavailable', message, briefCodes.has(fault.code) ? briefRetryMs : undefined);
}
