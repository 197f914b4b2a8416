import type { CatalogModel, GrantRule, Selections } from '../domain/catalog.ts';
import type { ApiKeyRef, Location } from '../domain/key.ts';
import type { Instant } from '../domain/time.ts';
import type { Delivery, EndedReason, MintCause, Version } from '../domain/version.ts';
import type { ReplicaReport, UsageHorizon } from './horizon.ts';
import type { PrimarySurvey } from './primary.ts';

/** A catalog in force, as the authorizer needs it. One row and one feed entry per change. */
export interface CatalogRow {
  /** The resource's. A catalog that was deleted and created anew is another one. */
  readonly uid: string;
  readonly name: string;
  /** SHA-256 of the model, hex: what compiled forms are cached by. */
  readonly digest: string;
  readonly model: CatalogModel;
}

/** An owner: whose rights are the ceiling of its keys. Keys are bound to the uid, not to the name. */
export interface OwnerRow {
  readonly uid: string;
  readonly name: string;
  readonly disabled: boolean;
  readonly groups: readonly string[];
  readonly rules: readonly GrantRule[];
}

/** Rules that many owners share; owners name it. */
export interface GroupRow {
  readonly uid: string;
  readonly name: string;
  readonly rules: readonly GrantRule[];
}

/** What the store keeps of an ApiKey besides its versions: everything that a verdict may depend on. */
export interface KeySettings {
  readonly displayName: string;
  readonly catalog: string;
  readonly owner: string;
  readonly accessType: string;
  readonly clientApplication?: string;
  readonly suspended: boolean;
  readonly selections: Selections;
}

/**
 * The state of a resource that the operator acts on. A later state is accepted only if the admission policy was in force without
 * interruption when it was written.
 */
export interface Acceptance {
  /** `metadata.generation`. */
  readonly generation: number;
  /** The request annotations as one text, without entries that may be a key; ≤ 2,048 characters. */
  readonly requests: string;
  /** The id of the {@link AdmissionPeriod} in which it was accepted; `off` = no policy was required. */
  readonly period: string;
}

/**
 * The acceptance of an ApiKey that took the rows of an earlier one over and was not accepted itself yet: it equals that of no
 * state and of no period.
 */
export const neverAccepted: Acceptance = { generation: -1, requests: '', period: '' };

/**
 * How an ApiKey goes on while a later change of it is held: when its versions are replaced, and where they are delivered. The last
 * state that was accepted, valid and permitted, narrowed by every change that was held since.
 */
export interface Terms {
  /** `metadata.generation` of that state. */
  readonly generation: number;
  readonly paused: boolean;
  /** Members of the spec; the store does not read them. */
  readonly spec: Readonly<Record<string, unknown>>;
  /** The nearest end that a held change has set: no version lives longer. */
  readonly endsAt?: Instant;
}

/** Which place the name of a KeyDestination in an ApiKey means. */
export interface AcceptedPlace {
  /** Since when the accepted ApiKey has named it. */
  readonly since: Instant;
  /** In words, see `destinations/place.ts`; absent = there was none yet. */
  readonly place?: string;
}

/** Settings that are not accepted, not valid or not permitted: they only narrow. */
export interface Proposal extends KeySettings {
  /** Those of changes that were held before this one, since the last acceptance: each of them must also allow a request. */
  readonly earlier?: readonly KeySettings[];
}

/** The settings that decide verdicts about an ApiKey. `settings` and all of `proposed` must allow a request. */
export interface AppliedSettings {
  /** The last settings that were accepted, valid and permitted together. */
  readonly settings: KeySettings;
  readonly proposed?: Proposal;
  /** The namespace, the catalog or the owner has changed and no longer allows `settings`: every request is denied. */
  readonly notPermitted?: true;
  /** Whatever makes a row writes one, a take-over {@link neverAccepted}. Without one, every state is held until it is confirmed. */
  readonly accepted?: Acceptance;
  /** Absent = the last accepted state is not valid or not permitted, or no policy is required. No verdict depends on it. */
  readonly terms?: Terms;
  /** By the name of the KeyDestination; absent = the key names none, or no policy is required. No verdict depends on it. */
  readonly places?: Readonly<Record<string, AcceptedPlace>>;
}

/** A time in which the admission policy was in force without interruption. */
export interface AdmissionPeriod {
  /** Random, so that nobody can name it before it has begun. */
  readonly id: string;
  /** Since when the policy was certainly in force, by the API server's clock. */
  readonly since: Instant;
  /** The policy and its binding as they were last found in force, see `inspectAdmission`. */
  readonly identity: string;
}

/** An accepted state of one ApiKey, as a live read found it. */
export interface AcceptedState extends Pick<Acceptance, 'generation' | 'requests'> {
  readonly uid: string;
}

/** The values of the request annotations that were handled, as text; a longer annotation than these bounds is no request. */
export interface HandledRequests {
  /** ≤ 253 characters. */
  readonly rotate?: string;
  /** ≤ 1,024 characters. */
  readonly compromised?: string;
}

/** One ApiKey's row. */
export interface KeyRow extends AppliedSettings {
  readonly ref: ApiKeyRef;
  /** The reason from `spec.revoked`, or of a direct revocation, once all versions were revoked for good. */
  readonly revokedReason?: string;
  /** Absent = none was handled. */
  readonly handled?: HandledRequests;
  /** The ApiKey's generation that was accepted when a version of it expired last. */
  readonly expiredGeneration?: number;
}

/** A delivery that is to be emptied, and what is known of its ApiKey, which may be gone. */
export type WithdrawingDelivery = Delivery & { readonly ref: ApiKeyRef } & Pick<AppliedSettings, 'places'>;

/** Everything that the reconciler needs to know of one ApiKey, read in one transaction. */
export interface KeyState {
  readonly key: KeyRow | undefined;
  /** All versions that are not ended. */
  readonly versions: readonly Version[];
  /** The uid of an earlier ApiKey that still has this name: {@link Store.takeOver} comes first. */
  readonly predecessor?: string;
  /** The newest version was minted for an earlier ApiKey of this name, and so it is limited to that one's settings. */
  readonly newestInherited?: true;
  /** The owner that the newest version is bound to, ended ones included; absent before the first mint. */
  readonly boundOwnerUid?: string;
  /** 0 before the first mint. */
  readonly highestEpoch: number;
  /** Attempts minted for the highest epoch, ended ones included. */
  readonly attemptsOfHighestEpoch: number;
  /** Newest first, at most 16. */
  readonly revokedKeyIds: readonly string[];
  /** Of the versions that were minted for this ApiKey and have ended, the newest: what to say when nothing is live. */
  readonly lastEnded?: { readonly keyId: string; readonly reason: EndedReason; readonly at: Instant };
  /**
   * The version that ended by compromise and for which none was minted since: the next mint answers it. `newest` = it was the
   * last one that was minted, so that nothing newer is there.
   */
  readonly compromised?: { readonly keyId: string; readonly at: Instant; readonly newest: boolean };
  /** This uid's rows that are not gone, by target name. */
  readonly deliveries: readonly Delivery[];
}

/** A row that a transaction makes, with the intents it records. */
export interface MintRequest {
  readonly ref: ApiKeyRef;
  /** Written with the first version only: later ones find them in the row. */
  readonly applied: AppliedSettings;
  readonly version: Version;
  /** SHA-256 of the proof of possession, see `keys/hash`; absent = {@link Store.revokeProven} does not know the version. */
  readonly revocationDigest?: Uint8Array;
  /** The locations about to be written. */
  readonly targets: readonly { readonly targetName: string; readonly location: Location }[];
  /** Pending attempts of the same epoch whose value no location holds: they move to `retiring` with `lost`. */
  readonly lostKeyIds: readonly string[];
  /** Requests that this mint answers, recorded with it; what is not given stays as it is. */
  readonly handled?: HandledRequests;
  readonly requestedBy?: RequestedBy;
  readonly now: Instant;
}

/**
 * What a transition came to. `already` = its precondition does not hold any more (another leader was quicker, or it
 * was done before): nothing was changed; observe again.
 */
export type Transition = 'done' | 'already';
/** `taken` = one of the locations belongs to another ApiKey. */
export type ClaimOutcome = Transition | { readonly kind: 'taken'; readonly location: Location };

/** When a retiring version is to end. */
export interface VersionEnd {
  readonly keyId: string;
  readonly notAfter: Instant;
}

/** When a version is to expire; absent = never. */
export interface VersionExpiry {
  readonly keyId: string;
  readonly expiresAt?: Instant;
}

/** What a confirmed write left at a location; kept in the delivery's `held…` fields. */
export interface HeldValue {
  readonly location: Location;
  readonly keyId: string;
  readonly providerVersion: string;
  /** Digest of the delivered envelope: a changed one shows without reading the destination. */
  readonly envelope: string;
}

/**
 * Who did something, for the audit row: `operator`; for a revocation without the operator `login:<account of the database>`, which the
 * database itself writes.
 */
export type Actor = string;

/** A field manager of the API server, and when it last wrote the field that caused a change. A hint, not a proof of identity. */
export interface Requester {
  /** ≤ 128 characters, chosen by the client: `kubectl-client-side-apply`, `argocd-controller`. */
  readonly manager: string;
  readonly at?: Instant;
}

/** Who asked for a change: `operator` = it follows from time, loss or repair; `unknown` = the API server does not say. */
export type RequestedBy = Requester | 'operator' | 'unknown';

/** What a verify needs to know of one key id; see authorize/lookup. */
export interface KeyRecord {
  readonly version: Version;
  /**
   * Settings of earlier ApiKeys of this name under which the version was minted: each must allow a request, too. A version never
   * gains rights that it was not minted with.
   */
  readonly ceilings?: readonly KeySettings[];
  /** Without what was accepted, asked and handled: no verdict depends on it. */
  readonly key: KeyRow;
  /** The owner of the uid that the version is bound to; absent = deleted. */
  readonly owner: OwnerRow | undefined;
  /** Of the owner's groups, those that exist. */
  readonly groups: readonly GroupRow[];
  /** The catalog that the key names; absent = deleted, or never valid. */
  readonly catalog: CatalogRow | undefined;
}

/** A version was seen in use. */
export interface UsedVersion {
  readonly keyId: string;
  /** How long ago, in milliseconds, ≥ 0: the database dates it. */
  readonly ageMs: number;
  /** See `VersionUse.by`; absent = not known. */
  readonly by?: string;
}

/** Why every version of an ApiKey is revoked. */
export interface RevocationCause {
  readonly actor: Actor;
  /** Closes the key for good. */
  readonly revokedReason?: string;
  readonly detail: string;
  readonly requestedBy?: RequestedBy;
}

/** The result of a revocation without the operator. */
export type RevocationOutcome = 'revoked' | 'already' | 'unknown';

/** One key that is not released. */
export interface ListedKey {
  readonly ref: ApiKeyRef;
  /** It has live versions of an earlier ApiKey, and was not accepted itself yet. */
  readonly unaccepted: boolean;
}

/** See {@link Store.listUnserved}. */
export interface UnservedKeys {
  /** The first of them, by namespace and name, with the ids of their live versions. */
  readonly keys: readonly { readonly ref: ApiKeyRef; readonly keyIds: readonly string[] }[];
  readonly total: number;
}

/** Uids of ApiKeys, as one look for their resources found them. */
export interface MissingLook {
  /** No resource of their uid exists, or it is {@link ListedKey.unaccepted}. */
  readonly missing: readonly string[];
  /** The API server did not say. */
  readonly unsure: readonly string[];
}

/** A key whose resource is gone without an observed deletion. */
export interface MissingKey {
  readonly ref: ApiKeyRef;
  /** When a look first found nothing. */
  readonly since: Instant;
  /** Who confirmed that it is gone on purpose. */
  readonly confirmedBy?: Actor;
}

/** What a revocation without the operator says of itself. */
export interface DirectRevocation {
  /** The name that the caller gives, as `cli:<user>`: the audit keeps it as `who`, in addition to the account. */
  readonly actor: Actor;
  /** A value of `spec.revoked.reason`. */
  readonly reason: string;
  /** True: the ApiKey is closed for good, all of its versions are revoked. False: this version ends, and another one is minted. */
  readonly close: boolean;
}

/** The kinds whose objects give rights; a key has only what they give. */
export type RightsKind = Exclude<FeedRow['kind'], 'ApiKey'>;

/** A catalog, owner or group that is in force. */
export type InForceRow = Pick<CatalogRow, 'uid' | 'name'>;

/** The feed row that one store wrote last. */
export type WrittenRow = Pick<FeedRow, 'rev' | 'id'>;

/** Numbers of keys that are not released; what is 0 is absent. */
export interface KeyCounts {
  /** By the catalog's name. */
  readonly byCatalog: ReadonlyMap<string, number>;
  /** By the owner's name. */
  readonly byOwner: ReadonlyMap<string, number>;
  /** By the destination's uid: keys with a delivery that is not gone, released keys included. */
  readonly byDestination: ReadonlyMap<string, number>;
}

/** One row of the change feed. `id` is random: a restored or failed-over database shows by it. */
export interface FeedRow {
  readonly rev: number;
  readonly id: string;
  readonly kind: 'ApiKey' | 'KeyOwner' | 'KeyOwnerGroup' | 'ApiCatalog';
  /** The uid of what changed. */
  readonly subjectUid: string;
  /** The fence of the operator that wrote it; absent = it was no operator. */
  readonly fence?: number;
}

/** One line of the audit, written in the transaction of the change that it tells of. */
export interface AuditRow {
  readonly at: Instant;
  readonly actor: Actor;
  /** Absent = not known, or the actor himself asked. */
  readonly requestedBy?: Requester | 'operator';
  readonly action: string;
  readonly apiKeyUid: string | undefined;
  readonly keyId: string | undefined;
  /** The uid of the catalog, owner or group that changed; absent for ApiKeys. */
  readonly subjectUid?: string;
  /** For a change of rights: path of the member → `from → to`, in names. */
  readonly detail: Readonly<Record<string, string | number | boolean>>;
}

/** Which audit rows are meant: those that have all members that are given. */
export interface AuditFilter {
  readonly apiKeyUid?: string;
  readonly keyId?: string;
  readonly subjectUid?: string;
}

/** {@link Store.prune} removes rows older than these instants. */
export interface PruneBefore {
  /** The last row of the feed stays whatever its age. */
  readonly feed: Instant;
  /** Rows younger than 30 days stay, see migration 0004. */
  readonly audit: Instant;
  /**
   * Ended versions, released ApiKeys, deleted catalogs, owners and groups. Keeps what {@link KeyState} says about
   * ended versions, and the sixteen most recently expired of each ApiKey: they are answered with 403, and older ones with 401.
   */
  readonly ended: Instant;
  /** Deliveries in the state `gone`, by the start of their withdrawal. */
  readonly deliveries: Instant;
}

/** The tables that {@link Store.prune} removes rows from. */
export const prunedTables = ['delivery', 'version', 'apikey', 'catalog', 'owner', 'owner_group', 'feed', 'audit'] as const;
export type PrunedTable = (typeof prunedTables)[number];

/** The result of one call of {@link Store.prune}. */
export interface Pruned {
  readonly rows: Readonly<Record<PrunedTable, number>>;
  /** Where the next call continues; absent = nothing is left. */
  readonly next?: number;
}

/**
 * The backing store: hashes, never values. Every transition is one transaction that locks the ApiKey's row first,
 * re-checks its precondition, writes its audit row, and, where a verdict may depend on it, ends by taking the next
 * revision and writing its feed row under the caller's fence.
 *
 * Throws {@link Failure} only: `waiting StoreUnavailable` when the database does not answer (with bounded retries and
 * timeouts), and {@link FenceLost} when another leader has taken over.
 */
export interface Store {
  /** A UUID made with the database. One database = one cluster. */
  installationId(): Promise<string>;
  /** The number of the newest migration that the database has; 0 = none. Compare with `programSchemaVersion`. */
  schemaVersion(): Promise<number>;
  /** Records the cluster's identity on the first call; `other` when the database belongs to another cluster. */
  claimCluster(clusterUid: string): Promise<'ours' | 'other'>;
  /** Keeps `check` for a pepper id the first time; afterwards compares: `wrong` = another pepper under a known id. */
  checkPepper(pepperId: string, check: Uint8Array): Promise<'right' | 'wrong'>;
  /** Takes leadership: adds 1 to the fence; every later transition of this store instance carries it. */
  takeFence(): Promise<number>;
  /** The database's own clock, for skew. */
  now(): Promise<Instant>;
  /** Writes the leading operator's heartbeat: it shows authorizers that they read where the operator writes. */
  beat(): Promise<void>;
  /** When an operator last led, by the database's clock, as far as its last heartbeat shows; `undefined` = never. */
  lastBeatAt(): Promise<Instant | undefined>;
  /**
   * Asks all hosts of the database's URL whether the one in use is still the primary, and leaves it if another one has replaced
   * it. Never rejects.
   */
  surveyPrimary(): Promise<PrimarySurvey>;
  /** The {@link PrimarySurvey.selection} in use now, or last. */
  primarySelection(): number;

  /** Looks for a {@link KeyState.predecessor} only if `name` is given. */
  readKey(uid: string, name?: Pick<ApiKeyRef, 'namespace' | 'name'>): Promise<KeyState>;
  /** All keys that are not released: for resyncs and sweeps. */
  listKeys(): Promise<readonly ListedKey[]>;
  /** The keys with live versions outside of these namespaces, at most so many of them, and how many there are. */
  listUnserved(namespaces: readonly string[], limit: number): Promise<UnservedKeys>;
  /** Deliveries `withdrawing`, oldest first, of one destination when it is given: the sweeper's work list. */
  listWithdrawing(limit: number, destinationUid?: string): Promise<readonly WithdrawingDelivery[]>;
  /**
   * Records which keys a look found without their resource. Their first such look sets the date; keys that are `unsure` keep
   * theirs; all others are forgotten. Returns the rows of `missing`. Needs no fence: it decides nothing.
   */
  noteMissing(look: MissingLook, now: Instant): Promise<readonly MissingKey[]>;
  /** What the last look recorded, by name. */
  listMissing(): Promise<readonly MissingKey[]>;
  /** Records that somebody confirmed these as gone on purpose; returns how many were not confirmed before. Needs no fence. */
  confirmMissing(uids: readonly string[], actor: Actor): Promise<number>;
  /** How many deliveries are `withdrawing`, by the destination's uid; what is 0 is absent. */
  countWithdrawing(): Promise<ReadonlyMap<string, number>>;

  mint(request: MintRequest): Promise<ClaimOutcome>;
  /**
   * Records that `keyId` is about to be written to these locations (a copy, a repair). Makes rows where there are none, and
   * revives withdrawing ones. The same intent again is `done`; `already` = the version is not live any more.
   */
  intend(
    ref: ApiKeyRef,
    keyId: string,
    targets: readonly { readonly targetName: string; readonly location: Location }[],
    now: Instant,
  ): Promise<ClaimOutcome>;
  /** Records confirmed writes: what each location holds now. All or none; `already` = another key id is intended somewhere. */
  confirmDeliveries(uid: string, held: readonly HeldValue[], now: Instant): Promise<Transition>;
  /**
   * pending → active; the older active version → retiring until `oldNotAfter` (never after its expiry), as one step; lost
   * attempts end then too. Without `oldNotAfter` there must be no active version (`already`): an old one needs an end.
   */
  activate(uid: string, keyId: string, oldNotAfter: Instant | undefined, now: Instant): Promise<Transition>;
  /**
   * Brings the end of retiring versions nearer: never before `now` rounded up, never after the expiry. What is not retiring, or
   * ends sooner anyway, is left alone; `already` = all of them.
   */
  bringForward(uid: string, ends: readonly VersionEnd[], now: Instant): Promise<Transition>;
  /**
   * Sets the expiry of versions that are not ended, nearer or later; the end of a retirement follows a nearer one. `already` =
   * they have it.
   */
  setExpiry(uid: string, expiries: readonly VersionExpiry[], now: Instant, requestedBy?: RequestedBy): Promise<Transition>;
  /**
   * Moves versions to `ended`. With `handled` the request is recorded in the same transaction, also when none of the versions
   * lives any more; with `handled.compromised` they count as compromised, see {@link KeyState.compromised}. `generation` is that of
   * the ApiKey as it was accepted; it is kept when versions expire, see {@link KeyRow.expiredGeneration}.
   */
  endVersions(
    uid: string,
    keyIds: readonly string[],
    reason: EndedReason,
    now: Instant,
    handled?: HandledRequests,
    requestedBy?: RequestedBy,
    generation?: number,
  ): Promise<Transition>;
  /** Replaces what counts as handled: a member that is not given is forgotten. */
  saveHandled(uid: string, handled: HandledRequests, now: Instant, requestedBy?: RequestedBy): Promise<Transition>;
  /** Ends every version as revoked and, with `revokedReason`, closes the key for good. */
  revokeAll(uid: string, cause: RevocationCause, now: Instant): Promise<Transition>;
  /**
   * Revokes without the operator, by a database function that can do nothing else; the database dates it. Needs no fence and
   * takes none away: the operator reads of it in the feed. `already` = ended or closed before; `unknown` = no such key id.
   * Authorizers may not call it.
   */
  revokeDirect(keyId: string, revocation: DirectRevocation): Promise<RevocationOutcome>;
  /**
   * Ends one version like {@link revokeDirect} without `close`, for a caller that proves that it has the value: `proof` comes
   * from `Peppers.prove`. Nobody calls it yet: it is for an endpoint where finders report a key. Authorizers may not call it: a
   * caller that keeps its transaction open blocks every other change. A wrong proof gives `unknown`, like a wrong key id. At most
   * 60 a minute in the whole installation: further calls fail with `waiting StoreUnavailable` and change nothing.
   */
  revokeProven(keyId: string, proof: Uint8Array, reason: string): Promise<RevocationOutcome>;
  /**
   * Writes the settings that decide verdicts, if they differ: one row and one feed entry. If only `accepted`, `terms` or `places`
   * differ, there is no feed entry, and an audit row only for a place. `already` = they are the same.
   */
  saveSettings(uid: string, applied: AppliedSettings, now: Instant, requestedBy?: RequestedBy): Promise<Transition>;
  /** Carries the acceptances of these states over into another period. Returns how many keys were in that state. */
  carryAcceptances(period: string, accepted: readonly AcceptedState[], now: Instant): Promise<number>;
  /** The last period of the admission policy; `undefined` = there was none. */
  readAdmission(): Promise<AdmissionPeriod | undefined>;
  /** Replaces the last period. */
  saveAdmission(period: AdmissionPeriod, now: Instant): Promise<void>;
  /** live → withdrawing. */
  beginWithdrawal(uid: string, deliveryIds: readonly string[], now: Instant, requestedBy?: RequestedBy): Promise<Transition>;
  /** → gone: the location is empty, or not ours any more. */
  finishWithdrawal(uid: string, deliveryId: string, now: Instant): Promise<Transition>;
  /**
   * A re-created resource (same namespace and name, new uid) takes over the rows of the old one, in one transaction. It gives no
   * right: the old settings stay in effect, the new ones are `proposed`, and {@link neverAccepted} is the acceptance. The old
   * settings limit the old versions for good, see {@link KeyRecord.ceilings}; those of a resource that was never accepted do not,
   * because no version was minted under them. The `places` and the date of {@link noteMissing} move with them. Until then, mint
   * gives `already`. Call it when {@link readKey} tells of a predecessor; `already` = there is nothing to take over. A location
   * that a released ApiKey of the same name left behind needs no take-over: claiming it is enough.
   */
  takeOver(ref: ApiKeyRef, proposed: KeySettings, now: Instant): Promise<Transition>;
  /**
   * The resource is gone: its row leaves the names in use, its key ids are unknown from now on, and what is still `live` of
   * its deliveries is withdrawing. Refuses (`already`) while a version is not ended.
   */
  releaseKey(uid: string, now: Instant): Promise<Transition>;

  /**
   * Writes a catalog that is valid as a whole. `already` = the same digest and model are there. Of a catalog, owner or group a new uid
   * under a known name deletes the old row in the same transaction, and a uid that was deleted never comes back (`already`).
   */
  saveCatalog(row: CatalogRow, now: Instant, requestedBy?: RequestedBy): Promise<Transition>;
  /** Its keys are unknown (`key_invalid`) from the commit on. */
  deleteCatalog(uid: string, now: Instant): Promise<Transition>;
  /** One row and one feed entry however many keys the owner has. `already` = nothing differs. */
  saveOwner(row: OwnerRow, now: Instant, requestedBy?: RequestedBy): Promise<Transition>;
  /** Its keys answer `owner_inactive` from the commit on; an owner of the same name later has another uid. */
  deleteOwner(uid: string, now: Instant): Promise<Transition>;
  saveGroup(row: GroupRow, now: Instant, requestedBy?: RequestedBy): Promise<Transition>;
  deleteGroup(uid: string, now: Instant): Promise<Transition>;
  /** The catalogs, owners or groups in force, whether or not a resource declares them; with `name` only the one of that name. */
  listInForce(kind: RightsKind, name?: string): Promise<readonly InForceRow[]>;
  /** How many keys that are not released name each catalog, owner and destination: for status counts. */
  countKeys(): Promise<KeyCounts>;
  /** The catalog in force of this name, or whose `requests.hosts` has this host; of two that have it, the one saved first. */
  findCatalog(by: { readonly host: string } | { readonly name: string }): Promise<CatalogRow | undefined>;
  /** Every catalog in force that has one of these names or hosts, in the order in which they were first saved, in one query. */
  findCatalogs(by: { readonly hosts: readonly string[]; readonly names: readonly string[] }): Promise<readonly CatalogRow[]>;
  /**
   * Sets first use once, last use if later by `useGrainMs`, and who it was (the newest eight). A client that is new among fewer than
   * eight, or was not seen for an hour, is written at once. Needs no fence: authorizers call it. Unknown ids are ignored.
   */
  recordUse(used: readonly UsedVersion[]): Promise<void>;
  /** Says how far an authorizer's record of use is complete; needs no fence. Call it once before the first verdict. */
  reportReplica(report: ReplicaReport): Promise<void>;
  /** An authorizer that has written everything ends: nobody waits for it. Needs no fence. */
  signOffReplica(id: string): Promise<void>;
  /** How far the record of use is complete, by the database's clock. */
  readUsageHorizon(): Promise<UsageHorizon>;

  /** For a verify. `undefined` = unknown key id. */
  findByKeyId(keyId: string): Promise<KeyRecord | undefined>;
  /** The same for many ids in one query, by key id; an unknown id has no entry. */
  findByKeyIds(keyIds: readonly string[]): Promise<ReadonlyMap<string, KeyRecord>>;
  /** The newest revision; 0 = nothing was ever changed. */
  latestRevision(): Promise<number>;
  /** The feed row that this instance, or one that shares its fence, committed last; `undefined` = none. */
  lastWritten(): WrittenRow | undefined;
  /** Feed rows with `rev >= from`, in order, at most `limit`. */
  readFeed(from: number, limit: number): Promise<readonly FeedRow[]>;
  /**
   * Removes rows that nothing depends on any more, at most 1,000 of each table. Needs no fence, because a repetition does no
   * harm. Call it again with `next` until there is none; without `after` it starts from the beginning.
   */
  prune(before: PruneBefore, after?: number): Promise<Pruned>;
  /** Newest first, at most `limit`. */
  readAudit(filter: AuditFilter, limit: number): Promise<readonly AuditRow[]>;
  close(): Promise<void>;
}

/** Another leader took over: this process must stop changing anything (exit 3). */
export class FenceLost extends Error {
  constructor() {
    super('another operator has taken leadership in the store');
    this.name = 'FenceLost';
  }
}

export type { Selections };

/** Why a version was minted, told to {@link Store.mint} in `version.cause`. */
export type { MintCause };
