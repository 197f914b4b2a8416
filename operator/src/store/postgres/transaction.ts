import { sql } from 'kysely';
import type { Kysely, Transaction } from 'kysely';

import type { Clock, Instant } from '../../domain/time.ts';
import { FenceLost } from '../port.ts';
import type { Actor, AuditRow, ClaimOutcome, FeedRow, RequestedBy, WrittenRow } from '../port.ts';
import { DatabaseFault, storeUnavailable } from './fault.ts';
import type { LockTable } from './locktable.ts';
import type { CatalogModels } from './models.ts';
import { at, optionalAt } from './tables.ts';
import type { Tables } from './tables.ts';

/** A transaction of ours. */
export type Tx = Transaction<Tables>;

/** What every operation of one store instance works with. */
export interface StoreContext {
  readonly db: Kysely<Tables>;
  readonly clock: Clock;
  readonly models: CatalogModels;
  /** Asked when the server has no room for a lock. */
  readonly lockTable: LockTable;
  /** Who the audit names where the caller does not. */
  readonly actor: Actor;
  /** The fence that this instance took; `undefined` = it never led, and may not change anything. */
  readonly fence: () => number | undefined;
  /** Called after each commit that took a revision, with the last of its feed rows. */
  readonly onWritten: (row: WrittenRow) => void;
}

/** Leaves a transaction without a trace, with an outcome for the caller. */
export class Abandon extends Error {
  readonly outcome: ClaimOutcome;

  constructor(outcome: ClaimOutcome) {
    super('transaction abandoned');
    this.name = 'Abandon';
    this.outcome = outcome;
  }
}

/** One audit line of a change; instant and actor are the transaction's. */
export type AuditEntry = Pick<AuditRow, 'action'> &
  Partial<Pick<AuditRow, 'apiKeyUid' | 'keyId' | 'subjectUid' | 'detail' | 'actor'>>;

/** What a change tells the world about itself. */
export interface Change {
  /** What `revises` are uids of; ApiKeys without. */
  readonly kind?: FeedRow['kind'];
  /** Uids of those on which a verdict may depend and that changed; one feed row each. Empty: none, and no revision is taken. */
  readonly revises: readonly string[];
  readonly audit: readonly AuditEntry[];
  /** Absent = `operator`. */
  readonly requestedBy?: RequestedBy | undefined;
}

/**
 * Unique indexes that refuse when another transaction made the row first: a name, a key id, the one pending or active version. Any
 * other, such as the feed's, has a row that should not be there: that is no repetition.
 */
export const racedIndexes: ReadonlySet<string> = new Set([
  ...['apikey_pkey', 'apikey_name_in_use', 'delivery_one_per_location'],
  ...['version_pkey', 'version_key_id', 'version_one_active', 'version_one_pending'],
  ...['catalog_pkey', 'catalog_name_in_force', 'owner_pkey', 'owner_name_in_force'],
  ...['owner_group_pkey', 'owner_group_name_in_force'],
]);

/** PostgreSQL is out of memory: mostly of that for locks, which all sessions of the server share. */
const noRoom = '53200';

const attempts = 3;
/** After this no further attempt begins, so that a caller is not held for the sum of all timeouts. */
const retryWithinMs = 2_000;

/**
 * Runs a read, or something that is harmless twice, with bounded retries: a pool may hand out connections of a server
 * that has just been restarted.
 */
export async function attempt<T>(context: StoreContext, operation: string, body: () => Promise<T>): Promise<T> {
  const startedMs = context.clock.monotonicMs();
  for (let tried = 1; ; tried += 1) {
    try {
      return await body();
    } catch (error) {
      if (!(error instanceof DatabaseFault)) throw error;
      const again =
        error.kind === 'conflict' || (error.kind === 'unavailable' && error.connectionLost && !error.code.startsWith('28'));
      if (!again || tried === attempts || context.clock.monotonicMs() - startedMs > retryWithinMs)
        throw outward(error, operation, error.code === noRoom ? await context.lockTable.hoarder() : undefined);
      await context.clock.sleep(50 * tried);
    }
  }
}

/** What callers see. A defect stays an error, with its code and without the driver's text. */
function outward(fault: DatabaseFault, operation: string, more?: string): Error {
  if (fault.kind === 'unavailable' || fault.kind === 'conflict') return storeUnavailable(fault, more);
  return new Error(`the store's ${operation} failed: ${fault.message}`);
}

/**
 * One transition: READ COMMITTED, `body` locks the row of what changes first and re-checks its preconditions (throwing
 * {@link Abandon}), then the audit, and last the revision, because its row lock is the one that all writers share.
 * Not retried once `body` has begun, but after a conflict: a commit whose answer was lost may have happened.
 */
export async function transition(
  context: StoreContext,
  operation: string,
  now: Instant,
  body: (tx: Tx) => Promise<Change>,
): Promise<ClaimOutcome> {
  const fence = context.fence();
  if (fence === undefined) throw new FenceLost();
  let begun = false;
  const run = async (tx: Tx): Promise<WrittenRow | undefined> => {
    begun = true;
    const change = await body(tx);
    await writeAudit(tx, context.actor, now, change);
    if (change.revises.length === 0) await checkFence(tx, fence);
    let written: WrittenRow | undefined;
    for (const uid of change.revises) written = await takeRevision(tx, fence, change.kind ?? 'ApiKey', uid, now);
    return written;
  };
  return await attempt(context, operation, async (): Promise<ClaimOutcome> => {
    begun = false;
    try {
      const written = await context.db.transaction().setIsolationLevel('read committed').execute(run);
      if (written !== undefined) context.onWritten(written);
      return 'done';
    } catch (error) {
      if (error instanceof Abandon) return error.outcome;
      if (!(error instanceof DatabaseFault)) throw error;
      if (error.kind === 'unique' && racedIndexes.has(error.constraint ?? '')) return 'already';
      // Refused by a server that answers: nothing was committed, and nothing is tried again.
      if (begun && error.kind === 'unavailable' && error.code !== noRoom) throw storeUnavailable(error);
      throw error;
    }
  });
}

async function writeAudit(tx: Tx, actor: Actor, now: Instant, { audit, requestedBy = 'operator' }: Change): Promise<void> {
  if (audit.length === 0) return;
  const requester = requesterColumns(requestedBy);
  const rows = audit.map((entry) => ({
    ...requester,
    at: at(now),
    actor: entry.actor ?? actor,
    action: entry.action,
    apikey_uid: entry.apiKeyUid ?? null,
    key_id: entry.keyId ?? null,
    subject_uid: entry.subjectUid ?? null,
    detail: JSON.stringify(entry.detail ?? {}),
  }));
  await tx.withSchema('keywright').insertInto('audit').values(rows).execute();
}

function requesterColumns(requestedBy: RequestedBy) {
  if (requestedBy === 'operator') return { requested_by: 'operator', requested_at: null };
  if (requestedBy === 'unknown') return { requested_by: null, requested_at: null };
  return { requested_by: `manager ${requestedBy.manager}`, requested_at: optionalAt(requestedBy.at) };
}

async function checkFence(tx: Tx, fence: number): Promise<void> {
  const head = await sql<{ ours: boolean }>`select fence = ${fence} as ours from keywright.feed_head`.execute(tx);
  if (head.rows[0]?.ours !== true) throw new FenceLost();
}

/**
 * Takes the next revision under the fence and writes its feed row. A weaker `synchronous_commit` than `on`, which a role
 * or database may have as its default, is lifted for this commit: a verdict that was taken away must not come back.
 */
async function takeRevision(tx: Tx, fence: number, kind: FeedRow['kind'], subjectUid: string, now: Instant): Promise<WrittenRow> {
  const taken = await sql<WrittenRow>`
    with head as (update keywright.feed_head set rev = rev + 1 where fence = ${fence} returning rev)
    insert into keywright.feed (rev, kind, subject_uid, at, fence)
    select rev, ${kind}, ${subjectUid}, ${at(now)}, ${fence} from head
    returning rev::float8 as rev, id::text as id, case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write')
      then set_config('synchronous_commit', 'on', true) end`.execute(tx);
  const [row] = taken.rows;
  if (row === undefined) throw new FenceLost();
  return { rev: row.rev, id: row.id };
}
