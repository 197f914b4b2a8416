import { randomUUID } from 'node:crypto';

import type { ApiKeyRef } from '../../../../operator/src/domain/key.ts';
import type { Delivery, Version } from '../../../../operator/src/domain/version.ts';
import type { Instant } from '../../../../operator/src/domain/time.ts';
import type { ReplicaRow } from '../../../../operator/src/store/horizon.ts';
import type {
  AdmissionPeriod,
  AuditRow,
  CatalogRow,
  ClaimOutcome,
  FeedRow,
  GroupRow,
  KeyRow,
  KeySettings,
  OwnerRow,
  RequestedBy,
} from '../../../../operator/src/store/port.ts';

type Changing<T> = { -readonly [K in keyof T]: T[K] };
/** An ApiKey's row, and what only the store knows of it. */
export type StoredKey = Changing<KeyRow> & { released: boolean; releasedAt?: Instant; compromisedKeyId?: string };
/** One line of audit, as a transition makes it. */
export type Audited = Pick<AuditRow, 'action'> & Partial<Pick<AuditRow, 'actor' | 'keyId' | 'subjectUid' | 'detail'>>;
/** A catalog, owner or group, and whether it was deleted. By uid, in the order of their first saving. */
export type Cluster<T> = Map<string, { readonly row: T; readonly deleted: boolean }>;

/** The rows; a transaction works on a copy, so that abandoning it leaves nothing. */
export interface Rows {
  keys: Map<string, StoredKey>;
  /** In the order of their minting, as are deliveries. */
  versions: Version[];
  /** By key id. */
  revocationDigests: Map<string, Uint8Array>;
  deliveries: Delivery[];
  /** By key id. */
  ceilings: Map<string, readonly KeySettings[]>;
  /** By the ApiKey's uid. */
  missing: Map<string, { readonly since: Instant; readonly confirmedBy?: string }>;
  catalogs: Cluster<CatalogRow>;
  owners: Cluster<OwnerRow>;
  groups: Cluster<GroupRow>;
  /** Without `at`: written past the store. */
  feed: (FeedRow & { readonly at?: Instant })[];
  audit: AuditRow[];
  /** The last period of the admission policy. */
  admission: AdmissionPeriod | undefined;
}

/** What a transition changed, told to feed and audit. */
export interface Change {
  /** The ApiKey's. */
  readonly uid?: string;
  /** What `revises` are uids of; ApiKeys without. */
  readonly kind?: FeedRow['kind'];
  readonly revises: readonly string[];
  readonly audit: readonly Audited[];
  /** `operator` without. */
  readonly requestedBy?: RequestedBy | undefined;
}

/** Leaves a transaction without a trace, with an outcome for the caller. */
export class Abandon extends Error {
  readonly outcome: ClaimOutcome;

  constructor(outcome: ClaimOutcome) {
    super('abandoned');
    this.outcome = outcome;
  }
}

/** What several stores in memory share, as several processes share one database. */
export class MemoryDatabase {
  readonly installationId: string = randomUUID();
  clusterUid: string | undefined;
  fence = 0;
  heartbeatAt: Instant | undefined;
  readonly peppers: Map<string, Uint8Array> = new Map();
  /** By id. */
  readonly replicas: Map<string, ReplicaRow & { readonly dropped: number }> = new Map();
  /** Revocations by proof, of one minute since 1970. */
  readonly revocationRate: { minute: number; revocations: number } = { minute: 0, revocations: 0 };
  rows: Rows = {
    keys: new Map(),
    versions: [],
    revocationDigests: new Map(),
    deliveries: [],
    ceilings: new Map(),
    missing: new Map(),
    catalogs: new Map(),
    owners: new Map(),
    groups: new Map(),
    feed: [],
    audit: [],
    admission: undefined,
  };
}

/** The key, unless it is unknown or released. */
export function inUse(rows: Rows, uid: string): StoredKey {
  const key = rows.keys.get(uid);
  if (key === undefined || key.released) throw new Abandon('already');
  return key;
}

/** The key of a row that refers to it. */
export function existing(keys: ReadonlyMap<string, StoredKey>, uid: string): StoredKey {
  const key = keys.get(uid);
  if (key === undefined) throw new TypeError(`no key ${uid}`);
  return key;
}

/** What leaves the store of a key. */
export function publicKey({ released: _r, releasedAt: _at, compromisedKeyId: _c, ...key }: StoredKey): KeyRow {
  return key;
}

/** The versions of one key, in the order of their minting. */
export function versionsOf(rows: Pick<Rows, 'versions'>, uid: string): readonly Version[] {
  return rows.versions.filter((one) => one.apiKeyUid === uid);
}

/** Puts a row in another one's place. */
export function replace<T>(rows: T[], old: T, next: T): void {
  rows[rows.indexOf(old)] = next;
}

export function sameName(a: Pick<ApiKeyRef, 'namespace' | 'name'>, b: Pick<ApiKeyRef, 'namespace' | 'name'>): boolean {
  return a.namespace === b.namespace && a.name === b.name;
}

/** By code units, as the database's collation "C". */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A member that is left out when it is absent. */
export function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V });
}

/** Whether a version was minted under an earlier ApiKey. */
export function inheritedOf(rows: Rows, { keyId }: Version): Pick<Version, 'inherited'> {
  return (rows.ceilings.get(keyId) ?? []).length > 0 ? { inherited: true } : {};
}

/** One text for equal values, whatever the order of their members; lists keep theirs. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => compare(a, b)))
      : member,
  );
}
