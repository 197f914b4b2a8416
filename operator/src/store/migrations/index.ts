import type { Migration } from 'kysely/migration';

import { foundation } from './0001-foundation.ts';
import { rights } from './0002-rights.ts';
import { lifecycle } from './0003-lifecycle.ts';
import { trust } from './0004-trust.ts';
import { acceptance } from './0005-acceptance.ts';
import { orphans } from './0006-orphans.ts';

/**
 * All migrations by name; the number in front is the schema's version. Rules:
 *
 * - Never edit one that was released, only add.
 * - Every one is additive, so that the program before it still runs on the schema after it.
 * - Each is one transaction, and authorizers answer meanwhile: what excludes readers of a table (`alter table`) comes last, `version`
 *   at the very end, and scans nothing. So a check on a new column is `not valid`: the rows that are there have no value in it.
 *   What scans a table in use (an index) is in another migration than what excludes its readers.
 */
export const migrations: Readonly<Record<string, Migration>> = {
  '0001-foundation': foundation,
  '0002-rights': rights,
  '0003-lifecycle': lifecycle,
  '0004-trust': trust,
  '0005-acceptance': acceptance,
  '0006-orphans': orphans,
};

/** The number in front of a migration's name; 0 for a name without one. */
export function migrationNumber(name: string): number {
  return Number(/^\d+/.exec(name)?.[0] ?? 0);
}

/** The schema version that this program needs. */
export const programSchemaVersion: number = Math.max(...Object.keys(migrations).map(migrationNumber));
