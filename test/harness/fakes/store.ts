import { randomUUID } from 'node:crypto';

import { waiting } from '../../../operator/src/domain/failure.ts';
import type { ApiKeyRef } from '../../../operator/src/domain/key.ts';
import type { Clock, Instant } from '../../../operator/src/domain/time.ts';
import type { EndedReason } from '../../../operator/src/domain/version.ts';
import { catalogChange, groupChange, ownerChange } from '../../../operator/src/store/changes.ts';
import { proofDigest } from '../../../operator/src/keys/hash.ts';
import { usageHorizon } from '../../../operator/src/store/horizon.ts';
import type { ReplicaReport, UsageHorizon } from '../../../operator/src/store/horizon.ts';
import type { PrimarySurvey } from '../../../operator/src/store/primary.ts';
import { programSchemaVersion } from '../../../operator/src/store/migrations/index.ts';
import { FenceLost } from '../../../operator/src/store/port.ts';
import type {
  AcceptedState,
  MissingKey,
  MissingLook,
  Actor,
  AdmissionPeriod,
  AppliedSettings,
  AuditFilter,
  AuditRow,
  CatalogRow,
  ClaimOutcome,
  DirectRevocation,
  FeedRow,
  GroupRow,
  HandledRequests,
  HeldValue,
  InForceRow,
  KeyCounts,
  KeyRecord,
  KeySettings,
  KeyState,
  ListedKey,
  MintRequest,
  OwnerRow,
  PruneBefore,
  Pruned,
  RequestedBy,
  RevocationCause,
  RevocationOutcome,
  RightsKind,
  Store,
  Transition,
  UnservedKeys,
  UsedVersion,
  VersionEnd,
  VersionExpiry,
  WithdrawingDelivery,
  WrittenRow,
} from '../../../operator/src/store/port.ts';
import { inForce, remove, save } from './store/cluster.ts';
import type { ClusterTable } from './store/cluster.ts';
import { beginWithdrawal, confirm, finishWithdrawal, intend } from './store/deliveries.ts';
import { bringForward, endVersions, revokeAll, revokeDirect, setExpiry } from './store/ends.ts';
import { activate, carryAcceptances, mint, releaseKey, saveHandled, saveSettings, takeOver } from './store/keys.ts';
import { prune } from './store/prune.ts';
import { countKeys, findByKeyId, listKeys, listUnserved, readAudit, readKey } from './store/reads.ts';
import { Abandon, MemoryDatabase, canonical, compare, existing, optional } from './store/rows.ts';
import type { Change, Rows } from './store/rows.ts';
import { recordUse, reportReplica, signOffReplica } from './store/use.ts';

export { MemoryDatabase };

const catalogs: ClusterTable<CatalogRow> = {
  kind: 'ApiCatalog',
  isSame: (known, row) => known.digest === row.digest && known.name === row.name,
  describe: catalogChange,
};
const owners: ClusterTable<OwnerRow> = {
  kind: 'KeyOwner',
  isSame: (known, row) => canonical(known) === canonical(row),
  describe: ownerChange,
};
const groups: ClusterTable<GroupRow> = {
  kind: 'KeyOwnerGroup',
  isSame: (known, row) => canonical(known) === canonical(row),
  describe: groupChange,
};

/** What {@link MemoryStore} may be told. */
export interface MemoryStoreOptions {
  readonly clock: Clock;
  readonly database?: MemoryDatabase;
  readonly actor?: Actor;
  /** Called after every committed transition with its name. What it throws reaches the caller: a crash after the effect. */
  readonly afterEffect?: (operation: string) => void;
}

/** The store in memory, with the semantics of the real one (the contract suite runs on both) and ways to make it fail. */
export class MemoryStore implements Store {
  readonly database: MemoryDatabase;
  /** May be set and taken away at any time; see {@link MemoryStoreOptions.afterEffect}. */
  afterEffect: ((operation: string) => void) | undefined;
  readonly #clock: Clock;
  readonly #actor: Actor;
  readonly #failures: Error[] = [];
  #fence: number | undefined;
  #written: WrittenRow | undefined;
  /** How many transitions have changed something: for "a resync writes nothing". */
  writes = 0;
  /** How many calls were made, by operation. */
  readonly calls: Map<string, number> = new Map();

  constructor(options: MemoryStoreOptions) {
    this.#clock = options.clock;
    this.database = options.database ?? new MemoryDatabase();
    this.#actor = options.actor ?? 'operator';
    this.afterEffect = options.afterEffect;
  }

  /** Makes the next `times` calls fail before they do anything; `waiting StoreUnavailable` without an error of one's own. */
  failNext(times = 1, error: Error = waiting('StoreUnavailable', 'the database does not answer (fake)')): void {
    for (let i = 0; i < times; i += 1) this.#failures.push(error);
  }

  async installationId(): Promise<string> {
    return await this.#read('installationId', () => this.database.installationId);
  }

  async schemaVersion(): Promise<number> {
    return await this.#read('schemaVersion', () => programSchemaVersion);
  }

  async claimCluster(clusterUid: string): Promise<'ours' | 'other'> {
    return await this.#read('claimCluster', () => ((this.database.clusterUid ??= clusterUid) === clusterUid ? 'ours' : 'other'));
  }

  async checkPepper(pepperId: string, check: Uint8Array): Promise<'right' | 'wrong'> {
    return await this.#read('checkPepper', () => {
      const kept = this.database.peppers.get(pepperId) ?? check;
      this.database.peppers.set(pepperId, kept);
      return Buffer.compare(kept, check) === 0 ? 'right' : 'wrong';
    });
  }

  async takeFence(): Promise<number> {
    return await this.#read('takeFence', () => (this.#fence = this.database.fence += 1));
  }

  async now(): Promise<Instant> {
    return await this.#read('now', () => this.#clock.now());
  }

  async beat(): Promise<void> {
    await this.#read('beat', () => {
      if (this.#fence === undefined || this.#fence !== this.database.fence) throw new FenceLost();
      this.database.heartbeatAt = this.#clock.now();
    });
  }

  async lastBeatAt(): Promise<Instant | undefined> {
    return await this.#read('lastBeatAt', () => this.database.heartbeatAt);
  }

  async surveyPrimary(): Promise<PrimarySurvey> {
    await Promise.resolve();
    const { heartbeatAt } = this.database;
    const age = heartbeatAt === undefined ? {} : { heartbeatAgeMs: this.#clock.now() - heartbeatAt };
    return { hosts: 1, answered: 1, superseded: false, contested: false, selection: 1, ...age };
  }

  primarySelection(): number {
    return 1;
  }

  async readKey(uid: string, name?: Pick<ApiKeyRef, 'namespace' | 'name'>): Promise<KeyState> {
    return await this.#read('readKey', (rows) => readKey(rows, uid, name));
  }

  async listKeys(): Promise<readonly ListedKey[]> {
    return await this.#read('listKeys', listKeys);
  }

  async listUnserved(namespaces: readonly string[], limit: number): Promise<UnservedKeys> {
    return await this.#read('listUnserved', (rows) => listUnserved(rows, namespaces, limit));
  }

  async noteMissing({ missing, unsure }: MissingLook, now: Instant): Promise<readonly MissingKey[]> {
    await this.#read('noteMissing', (rows) => {
      for (const uid of rows.missing.keys()) if (![...missing, ...unsure].includes(uid)) rows.missing.delete(uid);
      for (const uid of missing) if (!rows.missing.has(uid)) rows.missing.set(uid, { since: now });
    });
    return (await this.listMissing()).filter(({ ref }) => missing.includes(ref.uid));
  }

  async listMissing(): Promise<readonly MissingKey[]> {
    const kept = await this.listKeys();
    return await this.#read('listMissing', (rows) =>
      kept.flatMap(({ ref }) => {
        const found = rows.missing.get(ref.uid);
        return found === undefined ? [] : [{ ref, ...found }];
      }),
    );
  }

  async confirmMissing(uids: readonly string[], actor: Actor): Promise<number> {
    return await this.#read('confirmMissing', (rows) => {
      let count = 0;
      for (const uid of uids) {
        const found = rows.missing.get(uid);
        if (found === undefined || found.confirmedBy !== undefined) continue;
        rows.missing.set(uid, { ...found, confirmedBy: actor });
        count += 1;
      }
      return count;
    });
  }

  async countWithdrawing(): Promise<ReadonlyMap<string, number>> {
    return await this.#read('countWithdrawing', ({ deliveries }) => {
      const counts = new Map<string, number>();
      for (const { state, location } of deliveries)
        if (state === 'withdrawing') counts.set(location.destinationUid, (counts.get(location.destinationUid) ?? 0) + 1);
      return counts;
    });
  }

  async listWithdrawing(limit: number, destinationUid?: string): Promise<readonly WithdrawingDelivery[]> {
    return await this.#read('listWithdrawing', ({ keys, deliveries }) => {
      const found = deliveries
        .filter((one) => one.state === 'withdrawing')
        .filter(({ location }) => destinationUid === undefined || location.destinationUid === destinationUid)
        .sort((a, b) => (a.withdrawingSince ?? 0) - (b.withdrawingSince ?? 0));
      return found.slice(0, limit).map((one) => {
        const { ref, places } = existing(keys, one.apiKeyUid);
        return { ...one, ref, ...(places === undefined ? {} : { places }) };
      });
    });
  }

  async mint(request: MintRequest): Promise<ClaimOutcome> {
    return await this.#transition('mint', request.now, (rows) => ({ ...mint(rows, request), requestedBy: request.requestedBy }));
  }

  async intend(ref: ApiKeyRef, keyId: string, targets: MintRequest['targets'], now: Instant): Promise<ClaimOutcome> {
    return await this.#transition('intend', now, (rows) => intend(rows, ref, keyId, targets));
  }

  async confirmDeliveries(uid: string, held: readonly HeldValue[], now: Instant): Promise<Transition> {
    return await this.#plain('confirmDeliveries', now, (rows) => confirm(rows, uid, held, now));
  }

  async activate(uid: string, keyId: string, oldNotAfter: Instant | undefined, now: Instant): Promise<Transition> {
    return await this.#plain('activate', now, (rows) => activate(rows, uid, keyId, oldNotAfter, now));
  }

  async bringForward(uid: string, ends: readonly VersionEnd[], now: Instant): Promise<Transition> {
    return await this.#plain('bringForward', now, (rows) => bringForward(rows, uid, ends, now));
  }

  async setExpiry(uid: string, expiries: readonly VersionExpiry[], now: Instant, requestedBy?: RequestedBy): Promise<Transition> {
    return await this.#plain('setExpiry', now, (rows) => ({ ...setExpiry(rows, uid, expiries), requestedBy }));
  }

  async endVersions(
    uid: string,
    keyIds: readonly string[],
    reason: EndedReason,
    now: Instant,
    handled: HandledRequests = {},
    requestedBy?: RequestedBy,
    generation?: number,
  ): Promise<Transition> {
    const ending = { keyIds, reason, now, handled, ...(generation === undefined ? {} : { generation }) };
    return await this.#plain('endVersions', now, (rows) => ({ ...endVersions(rows, uid, ending), requestedBy }));
  }

  async saveHandled(uid: string, handled: HandledRequests, now: Instant, requestedBy?: RequestedBy): Promise<Transition> {
    return await this.#plain('saveHandled', now, (rows) => ({ ...saveHandled(rows, uid, handled), requestedBy }));
  }

  async revokeAll(uid: string, cause: RevocationCause, now: Instant): Promise<Transition> {
    const { requestedBy } = cause;
    return await this.#plain('revokeAll', now, (rows) => ({ ...revokeAll(rows, uid, cause, now), requestedBy }));
  }

  async revokeDirect(keyId: string, revocation: DirectRevocation): Promise<RevocationOutcome> {
    await Promise.resolve();
    this.#begin('revokeDirect');
    return this.#revoke(keyId, revocation);
  }

  async revokeProven(keyId: string, proof: Uint8Array, reason: string): Promise<RevocationOutcome> {
    await Promise.resolve();
    this.#begin('revokeProven');
    const digest = this.database.rows.revocationDigests.get(keyId);
    if (digest === undefined || Buffer.compare(digest, proofDigest(proof)) !== 0) return 'unknown';
    const { revocationRate } = this.database;
    const minute = Math.floor(this.#clock.now() / 60_000);
    if (revocationRate.minute !== minute) Object.assign(revocationRate, { minute, revocations: 0 });
    if (revocationRate.revocations >= 60) throw waiting('StoreUnavailable', 'too many keys were revoked in this minute (53400)');
    const outcome = this.#revoke(keyId, { actor: 'proof of possession', reason, close: false });
    if (outcome === 'revoked') revocationRate.revocations += 1;
    return outcome;
  }

  #revoke(keyId: string, revocation: DirectRevocation): RevocationOutcome {
    const uid = this.database.rows.versions.find((one) => one.keyId === keyId)?.apiKeyUid;
    if (uid === undefined) return 'unknown';
    const now = this.#clock.now();
    const outcome = this.#commit('revokeDirect', now, undefined, (rows) => revokeDirect(rows, uid, keyId, revocation, now));
    return outcome === 'done' ? 'revoked' : 'already';
  }

  async saveSettings(uid: string, applied: AppliedSettings, now: Instant, requestedBy?: RequestedBy): Promise<Transition> {
    return await this.#plain('saveSettings', now, (rows) => ({ ...saveSettings(rows, uid, applied), requestedBy }));
  }

  async carryAcceptances(period: string, accepted: readonly AcceptedState[], now: Instant): Promise<number> {
    let carried = 0;
    await this.#plain('carryAcceptances', now, (rows) => {
      carried = carryAcceptances(rows, period, accepted);
      return { revises: [], audit: [] };
    });
    return carried;
  }

  async readAdmission(): Promise<AdmissionPeriod | undefined> {
    return await this.#read('readAdmission', ({ admission }) => admission);
  }

  async saveAdmission(period: AdmissionPeriod, now: Instant): Promise<void> {
    await this.#plain('saveAdmission', now, (rows) => {
      rows.admission = { ...period };
      return { revises: [], audit: [] };
    });
  }

  async beginWithdrawal(
    uid: string,
    deliveryIds: readonly string[],
    now: Instant,
    requestedBy?: RequestedBy,
  ): Promise<Transition> {
    return await this.#plain('beginWithdrawal', now, (rows) => ({
      ...beginWithdrawal(rows, uid, deliveryIds, now),
      requestedBy,
    }));
  }

  async finishWithdrawal(uid: string, deliveryId: string, now: Instant): Promise<Transition> {
    return await this.#plain('finishWithdrawal', now, (rows) => finishWithdrawal(rows, uid, deliveryId));
  }

  async takeOver(ref: ApiKeyRef, proposed: KeySettings, now: Instant): Promise<Transition> {
    return await this.#plain('takeOver', now, (rows) => takeOver(rows, ref, proposed));
  }

  async releaseKey(uid: string, now: Instant): Promise<Transition> {
    return await this.#plain('releaseKey', now, (rows) => releaseKey(rows, uid, now));
  }

  async saveCatalog(row: CatalogRow, now: Instant, requestedBy?: RequestedBy): Promise<Transition> {
    return await this.#plain('saveCatalog', now, (rows) => ({ ...save(rows.catalogs, row, catalogs), requestedBy }));
  }

  async deleteCatalog(uid: string, now: Instant): Promise<Transition> {
    return await this.#plain('deleteCatalog', now, (rows) => remove(rows.catalogs, uid, catalogs));
  }

  async saveOwner(row: OwnerRow, now: Instant, requestedBy?: RequestedBy): Promise<Transition> {
    return await this.#plain('saveOwner', now, (rows) => ({ ...save(rows.owners, row, owners), requestedBy }));
  }

  async deleteOwner(uid: string, now: Instant): Promise<Transition> {
    return await this.#plain('deleteOwner', now, (rows) => remove(rows.owners, uid, owners));
  }

  async saveGroup(row: GroupRow, now: Instant, requestedBy?: RequestedBy): Promise<Transition> {
    return await this.#plain('saveGroup', now, (rows) => ({ ...save(rows.groups, row, groups), requestedBy }));
  }

  async deleteGroup(uid: string, now: Instant): Promise<Transition> {
    return await this.#plain('deleteGroup', now, (rows) => remove(rows.groups, uid, groups));
  }

  async listInForce(kind: RightsKind, name?: string): Promise<readonly InForceRow[]> {
    return await this.#read('listInForce', (rows) => {
      const all = { ApiCatalog: rows.catalogs, KeyOwner: rows.owners, KeyOwnerGroup: rows.groups }[kind];
      return inForce<InForceRow>(all)
        .filter((row) => name === undefined || row.name === name)
        .map((row) => ({ uid: row.uid, name: row.name }))
        .sort((a, b) => compare(a.name, b.name));
    });
  }

  async countKeys(): Promise<KeyCounts> {
    return await this.#read('countKeys', countKeys);
  }

  async findCatalog(by: { readonly host: string } | { readonly name: string }): Promise<CatalogRow | undefined> {
    return await this.#read('findCatalog', (rows) =>
      inForce(rows.catalogs).find((row) => ('name' in by ? row.name === by.name : row.model.requests.hosts.includes(by.host))),
    );
  }

  async findCatalogs(by: {
    readonly hosts: readonly string[];
    readonly names: readonly string[];
  }): Promise<readonly CatalogRow[]> {
    return await this.#read('findCatalogs', (rows) =>
      inForce(rows.catalogs).filter(
        (row) => by.names.includes(row.name) || row.model.requests.hosts.some((host) => by.hosts.includes(host)),
      ),
    );
  }

  async recordUse(used: readonly UsedVersion[]): Promise<void> {
    await this.#read('recordUse', () => {
      recordUse(this.database.rows.versions, used, this.#clock.now());
    });
  }

  async reportReplica(report: ReplicaReport): Promise<void> {
    await this.#read('reportReplica', () => {
      reportReplica(this.database, report, this.#clock.now());
    });
  }

  async signOffReplica(id: string): Promise<void> {
    await this.#read('signOffReplica', () => {
      signOffReplica(this.database, id, this.#clock.now());
    });
  }

  async readUsageHorizon(): Promise<UsageHorizon> {
    return await this.#read('readUsageHorizon', () => usageHorizon([...this.database.replicas.values()], this.#clock.now()));
  }

  async findByKeyId(keyId: string): Promise<KeyRecord | undefined> {
    return await this.#read('findByKeyId', (rows) => findByKeyId(rows, keyId));
  }

  async findByKeyIds(keyIds: readonly string[]): Promise<ReadonlyMap<string, KeyRecord>> {
    return await this.#read('findByKeyIds', (rows) => {
      const records = keyIds.map((keyId) => [keyId, findByKeyId(rows, keyId)] as const);
      return new Map(records.flatMap(([keyId, record]) => (record === undefined ? [] : [[keyId, record] as const])));
    });
  }

  async latestRevision(): Promise<number> {
    return await this.#read('latestRevision', ({ feed }) => feed.at(-1)?.rev ?? 0);
  }

  lastWritten(): WrittenRow | undefined {
    return this.#written;
  }

  async readFeed(from: number, limit: number): Promise<readonly FeedRow[]> {
    return await this.#read('readFeed', ({ feed }) => {
      const found = feed.filter((row) => row.rev >= from).slice(0, limit);
      return found.map(({ at: _, ...row }) => row);
    });
  }

  async prune(before: PruneBefore): Promise<Pruned> {
    await Promise.resolve();
    this.#begin('prune');
    const rows = structuredClone(this.database.rows);
    const pruned = prune(rows, before, this.#clock.now());
    this.database.rows = rows;
    return pruned;
  }

  async readAudit(filter: AuditFilter, limit: number): Promise<readonly AuditRow[]> {
    return await this.#read('readAudit', (rows) => readAudit(rows, filter, limit));
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }

  async #read<T>(operation: string, body: (rows: Rows) => T): Promise<T> {
    await Promise.resolve();
    this.#begin(operation);
    // A copy: nobody may change a row through what was read.
    return structuredClone(body({ ...this.database.rows, audit: [...this.database.rows.audit] }));
  }

  #begin(operation: string): void {
    this.calls.set(operation, (this.calls.get(operation) ?? 0) + 1);
    const failure = this.#failures.shift();
    if (failure !== undefined) throw failure;
  }

  async #plain(operation: string, now: Instant, body: (rows: Rows) => Change): Promise<Transition> {
    const outcome = await this.#transition(operation, now, body);
    if (typeof outcome !== 'string') throw new TypeError('a transition without claims came to a taken location');
    return outcome;
  }

  async #transition(operation: string, now: Instant, body: (rows: Rows) => Change): Promise<ClaimOutcome> {
    await Promise.resolve();
    this.#begin(operation);
    if (this.#fence === undefined) throw new FenceLost();
    return this.#commit(operation, now, this.#fence, body);
  }

  /** Without a fence the change is nobody's who leads. */
  #commit(operation: string, now: Instant, fence: number | undefined, body: (rows: Rows) => Change): ClaimOutcome {
    const rows = structuredClone(this.database.rows);
    try {
      const { uid, kind = 'ApiKey', revises, audit, requestedBy } = body(rows);
      const asked = fence === undefined || requestedBy === 'unknown' ? {} : { requestedBy: requestedBy ?? ('operator' as const) };
      if (fence !== undefined && fence !== this.database.fence) throw new FenceLost();
      rows.audit.push(
        ...audit.map((one) => ({ at: now, actor: this.#actor, apiKeyUid: uid, keyId: undefined, detail: {}, ...asked, ...one })),
      );
      for (const subjectUid of revises) {
        const rev = (rows.feed.at(-1)?.rev ?? 0) + 1;
        rows.feed.push({ rev, id: randomUUID(), kind, subjectUid, at: now, ...optional('fence', fence) });
      }
    } catch (error) {
      if (error instanceof Abandon) return error.outcome;
      throw error;
    }
    const last = rows.feed.at(-1);
    const isNew = rows.feed.length > this.database.rows.feed.length;
    if (fence !== undefined && last !== undefined && isNew) this.#written = { rev: last.rev, id: last.id };
    this.database.rows = rows;
    this.writes += 1;
    this.afterEffect?.(operation);
    return 'done';
  }
}
