import { randomUUID } from 'node:crypto';

import { waiting } from '../../../operator/src/domain/failure.ts';
import { formatLocation } from '../../../operator/src/domain/key.ts';
import type { ApiKeyRef } from '../../../operator/src/domain/key.ts';
import type { Clock, Instant } from '../../../operator/src/domain/time.ts';
import type { Delivery, EndedReason, Version } from '../../../operator/src/domain/version.ts';
import { programSchemaVersion } from '../../../operator/src/store/migrations/index.ts';
import { catalogChange, groupChange, ownerChange, settingsChange } from '../../../operator/src/store/changes.ts';
import type { ChangeDetail } from '../../../operator/src/store/changes.ts';
import { FenceLost } from '../../../operator/src/store/port.ts';
import type {
  Actor,
  AuditFilter,
  AuditRow,
  CatalogRow,
  ClaimOutcome,
  FeedRow,
  GroupRow,
  HeldValue,
  KeyCounts,
  KeyRecord,
  KeyRow,
  KeySettings,
  KeyState,
  MintRequest,
  OwnerRow,
  Store,
  Transition,
  UsedVersion,
} from '../../../operator/src/store/port.ts';

type Changing<T> = { -readonly [K in keyof T]: T[K] };
type StoredKey = Changing<KeyRow> & { released: boolean };
type Audited = Pick<AuditRow, 'action'> & Partial<Pick<AuditRow, 'actor' | 'keyId' | 'subjectUid' | 'detail'>>;
/** A catalog, owner or group, and whether it was deleted. By uid, in the order of their first saving. */
type Cluster<T> = Map<string, { readonly row: T; readonly deleted: boolean }>;

/** The rows; a transaction works on a copy, so that abandoning it leaves nothing. */
interface Rows {
  keys: Map<string, StoredKey>;
  /** In the order of their minting, as are deliveries. */
  versions: Version[];
  deliveries: Delivery[];
  catalogs: Cluster<CatalogRow>;
  owners: Cluster<OwnerRow>;
  groups: Cluster<GroupRow>;
  feed: FeedRow[];
  audit: AuditRow[];
}

class Abandon extends Error {
  readonly outcome: ClaimOutcome;

  constructor(outcome: ClaimOutcome) {
    super('abandoned');
    this.outcome = outcome;
  }
}

/** What several {@link MemoryStore}s share, as several processes share one database. */
export class MemoryDatabase {
  readonly installationId: string = randomUUID();
  clusterUid: string | undefined;
  fence = 0;
  readonly peppers: Map<string, Uint8Array> = new Map();
  rows: Rows = {
    keys: new Map(),
    versions: [],
    deliveries: [],
    catalogs: new Map(),
    owners: new Map(),
    groups: new Map(),
    feed: [],
    audit: [],
  };
}

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

  async readKey(uid: string): Promise<KeyState> {
    return await this.#read('readKey', ({ keys, versions, deliveries }): KeyState => {
      const own = versions.filter((one) => one.apiKeyUid === uid);
      const highestEpoch = Math.max(0, ...own.map((one) => one.epoch));
      const ended = own
        .filter((one) => one.state === 'ended')
        .sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0) || own.indexOf(b) - own.indexOf(a));
      const revoked = ended.filter((one) => one.endedReason === 'revoked').slice(0, 16);
      const [last] = ended;
      const newest = own.findLast((one) => one.epoch === highestEpoch);
      const key = keys.get(uid);
      const lastEnded =
        last?.endedReason === undefined || last.endedAt === undefined
          ? undefined
          : { keyId: last.keyId, reason: last.endedReason, at: last.endedAt };
      return {
        key: key === undefined || key.released ? undefined : publicKey(key),
        versions: own.filter((one) => one.state !== 'ended').sort((a, b) => a.epoch - b.epoch),
        highestEpoch,
        ...(newest === undefined ? {} : { boundOwnerUid: newest.ownerUid }),
        attemptsOfHighestEpoch: own.filter((one) => one.epoch === highestEpoch).length,
        revokedKeyIds: revoked.map((one) => one.keyId),
        ...(lastEnded === undefined ? {} : { lastEnded }),
        deliveries: deliveries
          .filter((one) => one.apiKeyUid === uid && one.state !== 'gone')
          .sort((a, b) => compare(a.targetName, b.targetName)),
      };
    });
  }

  async listKeys(): Promise<readonly ApiKeyRef[]> {
    return await this.#read('listKeys', ({ keys }) => {
      const refs = [...keys.values()].filter((key) => !key.released).map((key) => key.ref);
      return refs.sort((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name));
    });
  }

  async listWithdrawing(limit: number): Promise<readonly (Delivery & { readonly ref: ApiKeyRef })[]> {
    return await this.#read('listWithdrawing', ({ keys, deliveries }) => {
      const found = deliveries
        .filter((one) => one.state === 'withdrawing')
        .sort((a, b) => (a.withdrawingSince ?? 0) - (b.withdrawingSince ?? 0));
      return found.slice(0, limit).map((one) => ({ ...one, ref: existing(keys, one.apiKeyUid).ref }));
    });
  }

  async mint(request: MintRequest): Promise<ClaimOutcome> {
    const { ref, settings, version, now } = request;
    return await this.#transition('mint', now, (rows) => {
      const held = [...rows.keys.values()].some((key) => !key.released && key.ref.uid !== ref.uid && sameName(key.ref, ref));
      const key = rows.keys.get(ref.uid) ?? { ref, settings, released: false };
      if (held || key.released || key.revokedReason !== undefined) throw new Abandon('already');
      rows.keys.set(ref.uid, { ...key, settings });
      const own = rows.versions.filter((one) => one.apiKeyUid === ref.uid);
      const lost = own.filter(
        (one) => request.lostKeyIds.includes(one.keyId) && one.state === 'pending' && one.epoch === version.epoch,
      );
      if (lost.length !== request.lostKeyIds.length) throw new Abandon('already');
      const refused = own.some(
        (one) =>
          (one.state === 'pending' && !lost.includes(one)) ||
          one.epoch > version.epoch ||
          (one.epoch === version.epoch && one.activatedAt !== undefined),
      );
      if (refused || rows.versions.some((one) => one.keyId === version.keyId || one.id === version.id))
        throw new Abandon('already');
      for (const one of lost)
        replace(rows.versions, one, { ...one, state: 'retiring', lost: true, ...optional('notAfter', one.expiresAt) });
      const { activatedAt: _a, notAfter: _n, endedAt: _e, endedReason: _r, firstUsedAt: _f, lastUsedAt: _l, ...fresh } = version;
      rows.versions.push({ ...fresh, apiKeyUid: ref.uid, state: 'pending', lost: false, hash: Uint8Array.from(version.hash) });
      claim(rows, ref, version.keyId, request.targets);
      const detail = { epoch: version.epoch, cause: version.cause, pepper: version.pepperId };
      const audit = [
        ...lost.map((one) => ({ action: 'lose', keyId: one.keyId })),
        { action: 'mint', keyId: version.keyId, detail },
      ];
      return { uid: ref.uid, revises: [ref.uid], audit };
    });
  }

  async intend(ref: ApiKeyRef, keyId: string, targets: MintRequest['targets'], now: Instant): Promise<ClaimOutcome> {
    return await this.#transition('intend', now, (rows) => {
      inUse(rows, ref.uid);
      if (!rows.versions.some((one) => one.apiKeyUid === ref.uid && one.keyId === keyId && one.state !== 'ended'))
        throw new Abandon('already');
      claim(rows, ref, keyId, targets);
      const audit = targets.map(({ targetName, location }) => ({
        action: 'intend',
        keyId,
        detail: { target: targetName, location: formatLocation(location) },
      }));
      return { uid: ref.uid, revises: [], audit };
    });
  }

  async confirmDeliveries(uid: string, held: readonly HeldValue[], now: Instant): Promise<Transition> {
    return await this.#plain('confirmDeliveries', now, (rows) => {
      if (held.length === 0) throw new Abandon('already');
      const audit = held.map(({ location, keyId, providerVersion, envelope }) => {
        const row = rows.deliveries.find(
          (one) => one.apiKeyUid === uid && formatLocation(one.location) === formatLocation(location) && one.state !== 'gone',
        );
        if (row?.intendedKeyId !== keyId) throw new Abandon('already');
        replace(rows.deliveries, row, {
          ...row,
          heldKeyId: keyId,
          heldVersion: providerVersion,
          heldEnvelope: envelope,
          deliveredAt: now,
        });
        return { action: 'deliver', keyId, detail: { location: formatLocation(location), version: providerVersion } };
      });
      return { uid, revises: [], audit };
    });
  }

  async activate(uid: string, keyId: string, oldNotAfter: Instant | undefined, now: Instant): Promise<Transition> {
    return await this.#plain('activate', now, (rows) => {
      inUse(rows, uid);
      const own = rows.versions.filter((one) => one.apiKeyUid === uid);
      const version = own.find((one) => one.keyId === keyId && one.state === 'pending');
      const old = own.find((one) => one.state === 'active');
      if (version === undefined || (old !== undefined && (old.epoch >= version.epoch || oldNotAfter === undefined)))
        throw new Abandon('already');
      if (oldNotAfter !== undefined) {
        for (const one of own.filter((other) => other.state === 'active' || (other.state === 'retiring' && other.lost))) {
          const notAfter = Math.min(oldNotAfter, one.notAfter ?? Infinity, one.expiresAt ?? Infinity);
          replace(rows.versions, one, { ...one, state: 'retiring', notAfter });
        }
      }
      replace(rows.versions, version, { ...version, state: 'active', activatedAt: now });
      return {
        uid,
        revises: [uid],
        audit: [{ action: 'activate', keyId, detail: old === undefined ? {} : { replaces: old.keyId } }],
      };
    });
  }

  async endVersions(uid: string, keyIds: readonly string[], reason: EndedReason, now: Instant): Promise<Transition> {
    return await this.#plain('endVersions', now, (rows) => {
      inUse(rows, uid);
      const ended = end(rows, uid, (one) => keyIds.includes(one.keyId), reason, now);
      if (ended.length === 0) throw new Abandon('already');
      const action = { retired: 'retire', expired: 'expire', revoked: 'revoke', abandoned: 'abandon' }[reason];
      return { uid, revises: [uid], audit: ended.map((keyId) => ({ action, keyId })) };
    });
  }

  async revokeAll(
    uid: string,
    cause: { readonly actor: Actor; readonly revokedReason?: string; readonly detail: string },
    now: Instant,
  ): Promise<Transition> {
    return await this.#plain('revokeAll', now, (rows) => {
      const key = inUse(rows, uid);
      const { actor, revokedReason } = cause;
      const ended = end(rows, uid, () => true, 'revoked', now);
      const closes = revokedReason !== undefined && key.revokedReason === undefined;
      if (closes) rows.keys.set(uid, { ...key, revokedReason });
      if (ended.length === 0 && !closes) throw new Abandon('already');
      const detail = { cause: cause.detail, ...optional('reason', revokedReason) };
      const audit = [
        ...ended.map((keyId) => ({ action: 'revoke', actor, keyId, detail })),
        ...(closes ? [{ action: 'close', actor, detail }] : []),
      ];
      return { uid, revises: [uid], audit };
    });
  }

  async saveSettings(uid: string, settings: KeySettings, now: Instant): Promise<Transition> {
    return await this.#plain('saveSettings', now, (rows) => {
      const key = inUse(rows, uid);
      if (canonical(key.settings) === canonical(settings)) throw new Abandon('already');
      rows.keys.set(uid, { ...key, settings: structuredClone(settings) });
      return { uid, revises: [uid], audit: [{ action: 'edit', detail: settingsChange(key.settings, settings) }] };
    });
  }

  async beginWithdrawal(uid: string, deliveryIds: readonly string[], now: Instant): Promise<Transition> {
    return await this.#plain('beginWithdrawal', now, (rows) => {
      const audit = withdraw(rows, uid, (one) => deliveryIds.includes(one.id), now);
      if (audit.length === 0) throw new Abandon('already');
      return { uid, revises: [], audit };
    });
  }

  async finishWithdrawal(uid: string, deliveryId: string, now: Instant): Promise<Transition> {
    return await this.#plain('finishWithdrawal', now, (rows) => {
      const row = rows.deliveries.find((one) => one.apiKeyUid === uid && one.id === deliveryId && one.state === 'withdrawing');
      if (row === undefined) throw new Abandon('already');
      replace(rows.deliveries, row, { ...row, state: 'gone' });
      return {
        uid,
        revises: [],
        audit: [{ action: 'withdrawn', ...optional('keyId', row.heldKeyId), detail: { location: formatLocation(row.location) } }],
      };
    });
  }

  async takeOver(ref: ApiKeyRef, now: Instant): Promise<Transition> {
    return await this.#plain('takeOver', now, (rows) => {
      const old = [...rows.keys.values()].find((key) => !key.released && key.ref.uid !== ref.uid && sameName(key.ref, ref));
      if (old === undefined || rows.keys.has(ref.uid)) throw new Abandon('already');
      const { revokedReason: _, ...kept } = old;
      rows.keys.delete(old.ref.uid);
      rows.keys.set(ref.uid, { ...kept, ref });
      for (const one of rows.versions.filter((other) => other.apiKeyUid === old.ref.uid))
        replace(rows.versions, one, { ...one, apiKeyUid: ref.uid });
      for (const one of rows.deliveries.filter((other) => other.apiKeyUid === old.ref.uid))
        replace(rows.deliveries, one, { ...one, apiKeyUid: ref.uid });
      return { uid: ref.uid, revises: [old.ref.uid, ref.uid], audit: [{ action: 'take-over', detail: { from: old.ref.uid } }] };
    });
  }

  async releaseKey(uid: string, now: Instant): Promise<Transition> {
    return await this.#plain('releaseKey', now, (rows) => {
      const key = inUse(rows, uid);
      if (rows.versions.some((one) => one.apiKeyUid === uid && one.state !== 'ended')) throw new Abandon('already');
      rows.keys.set(uid, { ...key, released: true });
      return { uid, revises: [uid], audit: [...withdraw(rows, uid, () => true, now), { action: 'release' }] };
    });
  }

  async saveCatalog(row: CatalogRow, now: Instant): Promise<Transition> {
    const same = (known: CatalogRow): boolean => known.digest === row.digest && known.name === row.name;
    return await this.#plain('saveCatalog', now, ({ catalogs }) => save(catalogs, row, same, 'ApiCatalog', catalogChange));
  }

  async deleteCatalog(uid: string, now: Instant): Promise<Transition> {
    return await this.#plain('deleteCatalog', now, ({ catalogs }) => remove(catalogs, uid, 'ApiCatalog', catalogChange));
  }

  async saveOwner(row: OwnerRow, now: Instant): Promise<Transition> {
    const same = (known: OwnerRow): boolean => canonical(known) === canonical(row);
    return await this.#plain('saveOwner', now, ({ owners }) => save(owners, row, same, 'KeyOwner', ownerChange));
  }

  async deleteOwner(uid: string, now: Instant): Promise<Transition> {
    return await this.#plain('deleteOwner', now, ({ owners }) => remove(owners, uid, 'KeyOwner', ownerChange));
  }

  async saveGroup(row: GroupRow, now: Instant): Promise<Transition> {
    const same = (known: GroupRow): boolean => canonical(known) === canonical(row);
    return await this.#plain('saveGroup', now, ({ groups }) => save(groups, row, same, 'KeyOwnerGroup', groupChange));
  }

  async deleteGroup(uid: string, now: Instant): Promise<Transition> {
    return await this.#plain('deleteGroup', now, ({ groups }) => remove(groups, uid, 'KeyOwnerGroup', groupChange));
  }

  async countKeys(): Promise<KeyCounts> {
    return await this.#read('countKeys', ({ keys, deliveries }) => {
      const kept = [...keys.values()].filter((key) => !key.released);
      const held = deliveries.filter((one) => one.state !== 'gone');
      const pairs = new Map(held.map((one) => [`${one.location.destinationUid}\n${one.apiKeyUid}`, one.location.destinationUid]));
      return {
        byCatalog: tally(kept.map((key) => key.settings.catalog)),
        byOwner: tally(kept.map((key) => key.settings.owner)),
        byDestination: tally([...pairs.values()]),
      };
    });
  }

  async findCatalog(by: { readonly host: string } | { readonly name: string }): Promise<CatalogRow | undefined> {
    return await this.#read('findCatalog', ({ catalogs }) =>
      inForce(catalogs).find((row) => ('name' in by ? row.name === by.name : row.model.requests.hosts.includes(by.host))),
    );
  }

  async recordUse(used: readonly UsedVersion[]): Promise<void> {
    await this.#read('recordUse', () => {
      const { versions } = this.database.rows;
      for (const keyId of new Set(used.map((one) => one.keyId))) {
        const version = versions.find((one) => one.keyId === keyId);
        if (version === undefined) continue;
        const instants = used.filter((one) => one.keyId === keyId).map((one) => one.at);
        const firstUsedAt = version.firstUsedAt ?? Math.min(...instants);
        replace(versions, version, { ...version, firstUsedAt, lastUsedAt: Math.max(version.lastUsedAt ?? 0, ...instants) });
      }
    });
  }

  async findByKeyId(keyId: string): Promise<KeyRecord | undefined> {
    return await this.#read('findByKeyId', ({ keys, versions, owners, groups, catalogs }) => {
      const version = versions.find((one) => one.keyId === keyId);
      if (version === undefined) return undefined;
      const key = existing(keys, version.apiKeyUid);
      if (key.released) return undefined;
      const owner = inForce(owners).find((row) => row.uid === version.ownerUid);
      const known = inForce(groups);
      return {
        version,
        key: publicKey(key),
        owner,
        groups: (owner?.groups ?? []).flatMap((name) => known.filter((row) => row.name === name)),
        catalog: inForce(catalogs).find((row) => row.name === key.settings.catalog),
      };
    });
  }

  async readFeed(from: number, limit: number): Promise<readonly FeedRow[]> {
    return await this.#read('readFeed', ({ feed }) => feed.filter((row) => row.rev >= from).slice(0, limit));
  }

  async readAudit(filter: AuditFilter, limit: number): Promise<readonly AuditRow[]> {
    return await this.#read('readAudit', ({ audit }) => {
      const found = audit.filter(
        (row) =>
          (filter.apiKeyUid === undefined || row.apiKeyUid === filter.apiKeyUid) &&
          (filter.keyId === undefined || row.keyId === filter.keyId) &&
          (filter.subjectUid === undefined || row.subjectUid === filter.subjectUid),
      );
      return found.reverse().slice(0, limit);
    });
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
    const rows = structuredClone(this.database.rows);
    try {
      const { uid, kind = 'ApiKey', revises, audit } = body(rows);
      if (this.#fence !== this.database.fence) throw new FenceLost();
      rows.audit.push(
        ...audit.map((one) => ({ at: now, actor: this.#actor, apiKeyUid: uid, keyId: undefined, detail: {}, ...one })),
      );
      for (const subjectUid of revises) rows.feed.push({ rev: rows.feed.length + 1, id: randomUUID(), kind, subjectUid });
    } catch (error) {
      if (error instanceof Abandon) return error.outcome;
      throw error;
    }
    this.database.rows = rows;
    this.writes += 1;
    this.afterEffect?.(operation);
    return 'done';
  }
}

interface Change {
  /** The ApiKey's. */
  readonly uid?: string;
  /** What `revises` are uids of; ApiKeys without. */
  readonly kind?: FeedRow['kind'];
  readonly revises: readonly string[];
  readonly audit: readonly Audited[];
}

type Describe<T> = (from: T | undefined, to: T | undefined) => ChangeDetail;

function save<T extends { readonly uid: string; readonly name: string }>(
  all: Cluster<T>,
  row: T,
  isSame: (known: T) => boolean,
  kind: FeedRow['kind'],
  describe: Describe<T>,
): Change {
  const known = all.get(row.uid);
  if (known !== undefined && (known.deleted || isSame(known.row))) throw new Abandon('already');
  const replaced = inForce(all).filter((other) => other.name === row.name && other.uid !== row.uid);
  for (const other of replaced) all.set(other.uid, { row: other, deleted: true });
  all.set(row.uid, { row: structuredClone(row), deleted: false });
  const action = known === undefined ? 'create' : 'edit';
  return {
    kind,
    revises: [...replaced.map((other) => other.uid), row.uid],
    audit: [
      ...replaced.map((other) => ({ action: 'delete', subjectUid: other.uid, detail: describe(other, undefined) })),
      { action, subjectUid: row.uid, detail: describe(known?.row, row) },
    ],
  };
}

function remove<T>(all: Cluster<T>, uid: string, kind: FeedRow['kind'], describe: Describe<T>): Change {
  const known = all.get(uid);
  if (known === undefined || known.deleted) throw new Abandon('already');
  all.set(uid, { ...known, deleted: true });
  return { kind, revises: [uid], audit: [{ action: 'delete', subjectUid: uid, detail: describe(known.row, undefined) }] };
}

function inForce<T>(all: Cluster<T>): readonly T[] {
  return [...all.values()].filter((one) => !one.deleted).map((one) => one.row);
}

function tally(names: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function inUse(rows: Rows, uid: string): StoredKey {
  const key = rows.keys.get(uid);
  if (key === undefined || key.released) throw new Abandon('already');
  return key;
}

function existing(keys: ReadonlyMap<string, StoredKey>, uid: string): StoredKey {
  const key = keys.get(uid);
  if (key === undefined) throw new TypeError(`no key ${uid}`);
  return key;
}

function publicKey({ released: _, ...key }: StoredKey): KeyRow {
  return key;
}

function claim(rows: Rows, ref: ApiKeyRef, keyId: string, targets: MintRequest['targets']): void {
  for (const { targetName, location } of [...targets].sort((a, b) =>
    compare(formatLocation(a.location), formatLocation(b.location)),
  )) {
    const row = rows.deliveries.find((one) => one.state !== 'gone' && formatLocation(one.location) === formatLocation(location));
    if (row === undefined) {
      rows.deliveries.push({ id: randomUUID(), apiKeyUid: ref.uid, targetName, location, intendedKeyId: keyId, state: 'live' });
      continue;
    }
    const holder = existing(rows.keys, row.apiKeyUid);
    if (holder.ref.uid !== ref.uid && !(holder.released && sameName(holder.ref, ref)))
      throw new Abandon({ kind: 'taken', location });
    const { withdrawingSince: _, ...kept } = row;
    replace(rows.deliveries, row, { ...kept, apiKeyUid: ref.uid, targetName, intendedKeyId: keyId, state: 'live' });
  }
}

function end(
  rows: Rows,
  uid: string,
  chosen: (version: Version) => boolean,
  endedReason: EndedReason,
  endedAt: Instant,
): readonly string[] {
  const found = rows.versions.filter((one) => one.apiKeyUid === uid && one.state !== 'ended' && chosen(one));
  for (const one of found) replace(rows.versions, one, { ...one, state: 'ended', endedReason, endedAt });
  return found.map((one) => one.keyId);
}

function withdraw(
  rows: Rows,
  uid: string,
  chosen: (delivery: Delivery) => boolean,
  withdrawingSince: Instant,
): readonly Audited[] {
  const found = rows.deliveries.filter((one) => one.apiKeyUid === uid && one.state === 'live' && chosen(one));
  for (const one of found) replace(rows.deliveries, one, { ...one, state: 'withdrawing', withdrawingSince });
  return found.map((one) => ({
    action: 'withdraw',
    ...optional('keyId', one.heldKeyId),
    detail: { location: formatLocation(one.location) },
  }));
}

function replace<T>(rows: T[], old: T, next: T): void {
  rows[rows.indexOf(old)] = next;
}

function sameName(a: ApiKeyRef, b: ApiKeyRef): boolean {
  return a.namespace === b.namespace && a.name === b.name;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V });
}

/** One text for equal settings, whatever the order of their members; lists keep theirs. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => compare(a, b)))
      : member,
  );
}
