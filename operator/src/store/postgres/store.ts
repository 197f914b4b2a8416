import { Kysely, PostgresDialect } from 'kysely';

import type { Clock } from '../../domain/time.ts';
import type { Log } from '../../telemetry/log.ts';
import type { Actor, Store, WrittenRow } from '../port.ts';
import type { PrimarySurvey } from '../primary.ts';
import { PrimaryMemory } from '../primarymemory.ts';
import { carryAcceptances, readAdmission, saveAdmission } from './admission.ts';
import { deleteCatalog, deleteGroup, deleteOwner, saveCatalog, saveGroup, saveOwner } from './cluster.ts';
import { beginWithdrawal, confirmDeliveries, finishWithdrawal, intend, releaseKey, takeOver } from './deliveries.ts';
import { confirmMissing, listMissing, noteMissing } from './missing.ts';
import { bringForward, endVersions, revokeAll, revokeDirect, revokeProven, setExpiry } from './ends.ts';
import {
  beat,
  checkPepper,
  claimCluster,
  databaseNow,
  installationId,
  lastBeatAt,
  schemaVersion,
  takeFence,
} from './identity.ts';
import { activate, mint, saveHandled, saveSettings } from './keys.ts';
import { LockTable } from './locktable.ts';
import { CatalogModels } from './models.ts';
import { WritablePool, storeLimits } from './pool.ts';
import type { DatabaseAddress, SessionLimits } from './session.ts';
import { prune } from './prune.ts';
import {
  countKeys,
  countWithdrawing,
  findByKeyId,
  findByKeyIds,
  findCatalog,
  findCatalogs,
  latestRevision,
  listInForce,
  listKeys,
  listUnserved,
  listWithdrawing,
  readAudit,
  readFeed,
  readKey,
} from './reads.ts';
import type { Tables } from './tables.ts';
import type { StoreContext } from './transaction.ts';
import { readUsageHorizon, recordUse, reportReplica, signOffReplica } from './use.ts';

/** What {@link openPostgresStore} needs. */
export interface PostgresStoreOptions extends DatabaseAddress {
  readonly clock: Clock;
  readonly log: Log;
  /** Who the audit names; `operator` without. */
  readonly actor?: Actor;
  /** Connections at most; 10 without. */
  readonly poolSize?: number;
  /** Other limits than {@link storeLimits}: for tests that make the database slow. */
  readonly limits?: SessionLimits;
}

/**
 * The store on PostgreSQL. Connects when first used, so that a database that is down at the start is waited for like one
 * that goes down later. Throws a TypeError for a URL that is none. The schema must be there: see `migrate`.
 */
export function openPostgresStore(options: PostgresStoreOptions): Store {
  return storeOver(contextOf(options, newFence(), new PrimaryMemory(options.clock)));
}

/** How many connections {@link openPostgresStores} reserves for the store `apart`. */
const apartSize = 4;

/**
 * The store twice, under one fence: `apart` has its own connections, so that its callers wait for nobody else. A survey through
 * either surveys the connections of both, so that neither stays with an old primary. Both go by one `memory`. Close both.
 */
export function openPostgresStores(options: PostgresStoreOptions): PostgresStores {
  const fence = newFence();
  const memory = new PrimaryMemory(options.clock);
  const main = contextOf(options, fence, memory);
  const other = contextOf({ ...options, poolSize: apartSize }, fence, memory);
  return {
    memory,
    store: { ...storeOver(main), surveyPrimary: () => surveyBoth(main, other) },
    apart: { ...storeOver(other), surveyPrimary: () => surveyBoth(other, main) },
  };
}

/** What {@link openPostgresStores} opens. */
export interface PostgresStores {
  readonly store: Store;
  readonly apart: Store;
  readonly memory: PrimaryMemory;
}

/** What the first one's survey says; the second one leaves an old primary, too. */
async function surveyBoth(one: FencedContext, other: FencedContext): Promise<PrimarySurvey> {
  const [survey] = await Promise.all([one.pool.survey(), other.pool.survey()]);
  return survey;
}

/**
 * The fence, shared by several stores: a fence taken through one counts for all, and so does what is written under it, and what was
 * learned with it.
 */
interface Fence {
  current: number | undefined;
  written: WrittenRow | undefined;
  readonly accounts: Map<number, string>;
}

function newFence(): Fence {
  return { current: undefined, written: undefined, accounts: new Map() };
}

interface FencedContext extends StoreContext {
  readonly pool: WritablePool;
  readonly taken: Fence;
}

function contextOf(options: PostgresStoreOptions, fence: Fence, memory: PrimaryMemory): FencedContext {
  const { url, passwordFile, clock, log, limits = storeLimits, poolSize = 10, actor = 'operator' } = options;
  const address: DatabaseAddress = { url, ...(passwordFile === undefined ? {} : { passwordFile }) };
  const pool = new WritablePool({ address, limits, size: poolSize, log, memory });
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
  // Also a lower revision than before: a failover may have lost some.
  const onWritten = (row: WrittenRow): void => {
    fence.written = row;
  };
  const models = new CatalogModels();
  return {
    db,
    pool,
    clock,
    models,
    lockTable: new LockTable(db, fence.accounts),
    actor,
    fence: () => fence.current,
    onWritten,
    taken: fence,
  };
}

function storeOver(context: FencedContext): Store {
  return {
    installationId: () => installationId(context),
    schemaVersion: () => schemaVersion(context),
    claimCluster: (clusterUid) => claimCluster(context, clusterUid),
    checkPepper: (pepperId, check) => checkPepper(context, pepperId, check),
    takeFence: async () => {
      await context.lockTable.learnAccounts();
      return (context.taken.current = await takeFence(context));
    },
    now: () => databaseNow(context),
    beat: () => beat(context),
    lastBeatAt: () => lastBeatAt(context),
    surveyPrimary: () => context.pool.survey(),
    primarySelection: () => context.pool.selection,
    readKey: (uid, name) => readKey(context, uid, name),
    listKeys: () => listKeys(context),
    listUnserved: (namespaces, limit) => listUnserved(context, namespaces, limit),
    listWithdrawing: (limit, destinationUid) => listWithdrawing(context, limit, destinationUid),
    noteMissing: (look, now) => noteMissing(context, look, now),
    listMissing: () => listMissing(context),
    confirmMissing: (uids, actor) => confirmMissing(context, uids, actor),
    countWithdrawing: () => countWithdrawing(context),
    mint: (request) => mint(context, request),
    intend: (ref, keyId, targets, now) => intend(context, ref, keyId, targets, now),
    confirmDeliveries: (uid, held, now) => confirmDeliveries(context, uid, held, now),
    activate: (uid, keyId, oldNotAfter, now) => activate(context, uid, keyId, oldNotAfter, now),
    bringForward: (uid, ends, now) => bringForward(context, uid, ends, now),
    setExpiry: (uid, expiries, now, by) => setExpiry(context, uid, expiries, now, by),
    endVersions: (uid, keyIds, reason, now, ...more) => endVersions(context, uid, keyIds, reason, now, ...more),
    saveHandled: (uid, handled, now, by) => saveHandled(context, uid, handled, now, by),
    revokeAll: (uid, cause, now) => revokeAll(context, uid, cause, now),
    revokeDirect: (keyId, revocation) => revokeDirect(context, keyId, revocation),
    revokeProven: (keyId, proof, reason) => revokeProven(context, keyId, proof, reason),
    saveSettings: (uid, applied, now, by) => saveSettings(context, uid, applied, now, by),
    carryAcceptances: (period, accepted, now) => carryAcceptances(context, period, accepted, now),
    readAdmission: () => readAdmission(context),
    saveAdmission: (period, now) => saveAdmission(context, period, now),
    beginWithdrawal: (uid, deliveryIds, now, by) => beginWithdrawal(context, uid, deliveryIds, now, by),
    finishWithdrawal: (uid, deliveryId, now) => finishWithdrawal(context, uid, deliveryId, now),
    takeOver: (ref, proposed, now) => takeOver(context, ref, proposed, now),
    releaseKey: (uid, now) => releaseKey(context, uid, now),
    saveCatalog: (row, now, by) => saveCatalog(context, row, now, by),
    deleteCatalog: (uid, now) => deleteCatalog(context, uid, now),
    saveOwner: (row, now, by) => saveOwner(context, row, now, by),
    deleteOwner: (uid, now) => deleteOwner(context, uid, now),
    saveGroup: (row, now, by) => saveGroup(context, row, now, by),
    deleteGroup: (uid, now) => deleteGroup(context, uid, now),
    listInForce: (kind, name) => listInForce(context, kind, name),
    countKeys: () => countKeys(context),
    findCatalog: (by) => findCatalog(context, by),
    findCatalogs: (by) => findCatalogs(context, by),
    recordUse: (used) => recordUse(context, used),
    reportReplica: (report) => reportReplica(context, report),
    signOffReplica: (id) => signOffReplica(context, id),
    readUsageHorizon: () => readUsageHorizon(context),
    findByKeyId: (keyId) => findByKeyId(context, keyId),
    findByKeyIds: (keyIds) => findByKeyIds(context, keyIds),
    latestRevision: () => latestRevision(context),
    lastWritten: () => context.taken.written,
    readFeed: (from, limit) => readFeed(context, from, limit),
    prune: (before, after) => prune(context, before, after),
    readAudit: (filter, limit) => readAudit(context, filter, limit),
    close: () => context.db.destroy(),
  };
}
