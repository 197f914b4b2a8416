import type { ApiCatalog, ApiKey, ApiKeySpec, KeyOwner } from '../api/kinds.ts';
import type { GrantRule } from '../domain/catalog.ts';
import type { CatalogIndex } from '../domain/catalogindex.ts';
import type { ConsumerSight } from '../consumers/adoption.ts';
import type { Reading } from '../destinations/port.ts';
import type { Failure, FailureKind } from '../domain/failure.ts';
import { formatLocation, secretDestinationUid, type ApiKeyRef, type Location } from '../domain/key.ts';
import type { Reason } from '../domain/reason.ts';
import type { Instant } from '../domain/time.ts';
import { isLive, type Delivery, type Mark, type Version } from '../domain/version.ts';
import { isInFormat } from '../keys/token.ts';
import type { UsageHorizon } from '../store/horizon.ts';
import type { KeyState } from '../store/port.ts';
import type { AcceptanceState, AdmissionState } from './acceptance.ts';
import type { AcceptedPlaces } from './acceptedplaces.ts';
import type { HeldChange } from './terms.ts';

/** Why something cannot go on now, in the one vocabulary. `kind` says what would change that. */
export interface Blocker {
  readonly kind: FailureKind;
  readonly reason: Reason;
  readonly message: string;
}

/** One entry of `deliverTo`, resolved as far as it can be. */
export interface Target {
  readonly name: string;
  /** Absent while the destination is missing. */
  readonly location?: Location;
  /** Absent = as often as there is need. */
  readonly pace?: Pace;
  /** Why nothing may be written there. */
  readonly blocked?: Blocker;
  /** See `placeOf`; absent for a Secret. */
  readonly place?: string;
}

/**
 * What a provider asks of us, in milliseconds: AWS keeps every version that is written too quickly after another, and bills
 * each call.
 */
export interface Pace {
  /** Between two writes of one location, but for a new version. */
  readonly writeEveryMs: number;
}

/** A target that has a place and may be written to. */
export interface OpenTarget {
  readonly name: string;
  readonly location: Location;
  readonly pace?: Pace;
  readonly place?: string;
}

/**
 * Which locations are to be compared with the store, although the resource did not change; each includes the one before it.
 * `watched`: the Secrets, whose watch told of a change. `most`: all but those of a provider with a {@link Pace}.
 */
export type Comparison = 'none' | 'watched' | 'most' | 'all';

/** What was seen of the value itself: which of our live versions it is, by its hash. */
export type ValueSight =
  /** `altered` = an entry beside the value is missing, changed, or not ours. */
  | { readonly kind: 'version'; readonly keyId: string; readonly altered?: true }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'absent' };

/** What this pass has seen of one location. Nothing is looked at unless the plan asks for it. */
export interface Sight {
  readonly reading?: Reading;
  readonly value?: ValueSight;
  /** The location did not answer in this pass; it is not asked again before the next. */
  readonly failure?: Failure;
  /** With the failure: no KeyDestination of that uid exists any more. */
  readonly vanished?: true;
  /** The store says that another ApiKey delivers there. */
  readonly taken?: true;
  /** This pass has written there. Who takes it away meanwhile is answered by a later pass, or nothing would bound the writes. */
  readonly written?: true;
}

/** Bounds that an operator may configure; all in milliseconds. */
export interface Limits {
  /** How long a location may fail before a version is activated without it. */
  readonly deliverDeadlineMs: number;
  /** How long a deletion waits for a location that does not answer. */
  readonly withdrawDeadlineMs: number;
  /** How often a location is compared with the store although nothing changed; one with a {@link Pace} every fourth time. */
  readonly driftIntervalMs: number;
}

/** Everything that one plan is made from: a snapshot, gathered before anything is decided. */
export interface Observed {
  readonly now: Instant;
  readonly installationId: string;
  readonly ref: ApiKeyRef;
  /** The resource as it counts. See {@link Observed.held}. */
  readonly resource: ApiKey;
  /**
   * A change is held, and `resource` has the accepted members instead of the held ones; absent = `resource` is as it is written.
   */
  readonly held?: HeldChange;
  readonly namespaceTerminating: boolean;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /** In force: committed to the store. */
  readonly owner: KeyOwner | undefined;
  /** The last valid one; in force. */
  readonly catalog: ApiCatalog | undefined;
  /** What the store has of the catalog. */
  readonly index: CatalogIndex | undefined;
  /** The owner's rules for this catalog, those of its groups included; none without an owner. */
  readonly rules: readonly GrantRule[];
  /** The catalog is declared, but not in force. */
  readonly catalogUnusable?: true;
  readonly targets: readonly Target[];
  /** The places that count, to write to the store; absent = none is remembered. */
  readonly places?: AcceptedPlaces;
  /** The uids of KeyDestinations that are there and have become another place than the accepted one; absent = none. */
  readonly moved?: ReadonlySet<string>;
  readonly store: KeyState;
  /** By {@link formatLocation}. */
  readonly sights: ReadonlyMap<string, Sight>;
  /** How far the record of use is complete. */
  readonly horizon: UsageHorizon;
  /** What was seen of workloads, by `<kind>/<name>`; absent = no consumer is restarted (`KEYWRIGHT_CONSUMERS`). */
  readonly workloads?: ReadonlyMap<string, ConsumerSight>;
  /** By key id: the digest of the envelope that should stand beside each live version. */
  readonly envelopes: ReadonlyMap<string, string>;
  readonly compare: Comparison;
  readonly admission: AdmissionState;
  /** Whether the resource as read may take effect. */
  readonly acceptance: AcceptanceState;
  /** The time is not known well enough: nothing is minted or retired by it. */
  readonly clockWrong?: true;
  readonly limits: Limits;
}

/** The spec as it is written, whether it counts or not. */
export function writtenSpec({ held, resource }: Pick<Observed, 'held' | 'resource'>): ApiKeySpec {
  return held?.spec ?? resource.spec;
}

/** That a change is held. While the policy is not in force, the key waits for it; afterwards a person must act. */
export function holdOf({ acceptance, admission }: Pick<Observed, 'acceptance' | 'admission'>): Blocker | undefined {
  if (acceptance.kind !== 'held') return undefined;
  const kind = admission.kind === 'notInForce' ? 'waiting' : 'stalled';
  return { kind, reason: 'AdmissionPolicyMissing', message: acceptance.message };
}

/** The version that a workload should hold: the pending one wins over the active one, because it comes next. */
export function pendingVersion(o: Observed): Version | undefined {
  return o.store.versions.find((version) => version.state === 'pending' && isLive(version, o.now));
}

/** The active version, unless it has expired. */
export function activeVersion(o: Observed): Version | undefined {
  return o.store.versions.find((version) => version.state === 'active' && isLive(version, o.now));
}

/** Every version that authenticates now. */
export function liveVersions(o: Observed): readonly Version[] {
  return o.store.versions.filter((version) => isLive(version, o.now));
}

/**
 * The versions that authenticate now, are bound to the present owner, and have the format of the catalog in force; the others are
 * refused.
 */
export function usableVersions(o: Observed): readonly Version[] {
  return liveVersions(o).filter(
    (version) => isOfCatalog(o, version) && (o.owner === undefined || version.ownerUid === o.owner.metadata.uid),
  );
}

/** As the authorizer decides: a key counts only in a catalog whose prefix and environment it has. */
function isOfCatalog({ index }: Observed, version: Version): boolean {
  return index === undefined || isInFormat(version, index.model.key);
}

/**
 * The newest version does not have the format of the catalog in force, which was deleted and created again with another format.
 */
export function isCatalogReplaced(o: Observed): boolean {
  const newest = pendingVersion(o) ?? activeVersion(o);
  return newest !== undefined && !isOfCatalog(o, newest);
}

/**
 * Whether readers are to get a version as soon as it is written, also where a provider stages it first: the active one, and a
 * pending one when what readers have is refused anyway. Else a pending version waits for its activation.
 */
export function isForReaders(o: Observed, version: Pick<Version, 'state'>): boolean {
  return version.state === 'active' || !usableVersions(o).some(({ state }) => state === 'active');
}

/** The key is bound to an owner that was deleted; another one has its name. */
export function isOwnerReplaced(o: Observed): boolean {
  const bound = o.store.boundOwnerUid;
  // What was bound for an earlier ApiKey does not bind this one.
  if (o.store.newestInherited === true) return false;
  return o.owner !== undefined && bound !== undefined && bound !== o.owner.metadata.uid;
}

/** Targets that have a place and are not blocked. */
export function openTargets(o: Observed): readonly OpenTarget[] {
  return o.targets.flatMap((target) =>
    target.location === undefined || target.blocked !== undefined ? [] : [asOpen(target, target.location)],
  );
}

function asOpen({ name, pace, place }: Target, location: Location): OpenTarget {
  return { name, location, ...(pace === undefined ? {} : { pace }), ...(place === undefined ? {} : { place }) };
}

/** Whether a place is to be compared with the store in this pass. */
export function isCompared(compare: Comparison, { location, pace }: OpenTarget): boolean {
  if (compare === 'all' || compare === 'none') return compare === 'all';
  return location.destinationUid === secretDestinationUid || (compare === 'most' && pace === undefined);
}

/** This key's delivery row for a location, unless it is gone. */
export function deliveryAt(o: Observed, location: Location): Delivery | undefined {
  const wanted = formatLocation(location);
  return o.store.deliveries.find((delivery) => formatLocation(delivery.location) === wanted);
}

/** Whether a row's KeyDestination has become another place: what the row speaks of cannot be reached, and nothing is read there. */
export function isOutOfReach({ moved }: Pick<Observed, 'moved'>, { location }: Pick<Delivery, 'location'>): boolean {
  return moved?.has(location.destinationUid) === true;
}

/** After a KeyDestination came back under another uid: the same place, as the spec names it now. */
export function successorOf(o: Observed, { targetName, location }: Delivery): Location | undefined {
  const found = o.targets.find(({ name }) => name === targetName)?.location;
  return found?.path === location.path && found.destinationUid !== location.destinationUid ? found : undefined;
}

/** Ends a message about a fact that only a look can show: the place is outside Kubernetes, or its watch does not cover it. */
const looksAgain = 'Keywright looks again within a minute';

/** Somebody else's value, or another ApiKey's place: nothing is written there. */
export function strangerAt({ name }: Pick<Target, 'name'>, { path }: Location, holding: Holding): Blocker | undefined {
  if (holding.kind === 'foreign')
    return { kind: 'stalled', reason: 'ForeignValue', message: `${name}: ${path} holds a value that is not ours; ${looksAgain}` };
  if (holding.kind !== 'taken') return undefined;
  const { mark } = holding;
  const fact = mark === undefined ? `another ApiKey delivers to ${path}` : `${path} holds a value with the mark of ${mark}`;
  return { kind: 'stalled', reason: 'LocationTaken', message: `${name}: ${fact}; ${looksAgain}` };
}

/**
 * Whether somebody changed what is stored with a value: an entry, our label. A difference that comes from a later edit of the
 * expiry or the catalog does not count.
 */
export function isTampered(o: Observed, location: Location, { altered }: Extract<Holding, { kind: 'ours' }>): boolean {
  const row = deliveryAt(o, location);
  return altered && row?.heldKeyId !== undefined && row.heldEnvelope === o.envelopes.get(row.heldKeyId);
}

/** What this pass has seen of a location. */
export function sightOf(o: Observed, location: Location): Sight {
  return o.sights.get(formatLocation(location)) ?? {};
}

/**
 * Whether a mark speaks of this ApiKey: same installation, same namespace and name. The uid may differ: two live
 * resources cannot share a name, so another uid is an earlier resource of this name (re-created or restored).
 */
export function isOurs(o: Observed, mark: Mark): boolean {
  return mark.installationId === o.installationId && mark.namespace === o.ref.namespace && mark.name === o.ref.name;
}

const objectNamePattern = /^[a-z0-9](?:[-.a-z0-9]*[a-z0-9])?$/;

/**
 * Shows nothing from another namespace, and nothing that cannot be a name: anybody who can write to the place may have written
 * the mark.
 */
function markedBy(o: Observed, { namespace, name }: Mark): string {
  if (namespace !== o.ref.namespace) return 'an ApiKey of another namespace';
  return objectNamePattern.test(name) ? `ApiKey ${name}` : 'another ApiKey';
}

/** The status knows a later version than the store: the database was restored, and what is delivered may be unknown to it. */
export function isStoreBehind(o: Observed): boolean {
  return o.store.highestEpoch > 0 && (o.resource.status?.currentKey?.epoch ?? 0) > o.store.highestEpoch;
}

/** What stands at a location, as the plan sees it. */
export type Holding =
  | { readonly kind: 'unseen' }
  | { readonly kind: 'failed'; readonly failure: Failure }
  /** `mark` = the ApiKey that the mark names, as a status may show it; absent = the store says so. */
  | { readonly kind: 'taken'; readonly mark?: string }
  | { readonly kind: 'empty'; readonly reading: Reading }
  | { readonly kind: 'foreign'; readonly reading: Reading }
  /**
   * Ours. `claimed` is the key id of a mark that speaks of the value standing there; `proven` the one that the value's hash
   * gives; `valueSeen` whether the value was read; `altered` whether anything else that we write differs.
   */
  | {
      readonly kind: 'ours';
      readonly reading: Reading;
      readonly claimed: string | undefined;
      readonly proven: string | undefined;
      readonly valueSeen: boolean;
      readonly altered: boolean;
    };

/** The store has confirmed a version at this location that is still live. */
function isHeld(o: Observed, location: Location): boolean {
  const row = deliveryAt(o, location);
  return row?.state === 'live' && liveVersions(o).some(({ keyId }) => keyId === row.heldKeyId);
}

/**
 * Judges one location. Without our mark, a value is foreign, whatever it is: a person who removes the mark takes the value over.
 * If our own mark is wrong but the value is right, the mark is repaired and nothing is rotated. If the mark names another ApiKey
 * of this installation, but the store says that this one delivers here, somebody copied or forged it: the value is read, and
 * written again if it is not ours. After a restore of the store that is not sure, and nothing is written.
 */
export function holdingAt(o: Observed, location: Location): Holding {
  const sight = sightOf(o, location);
  if (sight.taken === true) return { kind: 'taken' };
  if (sight.failure !== undefined) return { kind: 'failed', failure: sight.failure };
  const { reading } = sight;
  if (reading === undefined) return { kind: 'unseen' };
  if (reading.kind === 'absent') return { kind: 'empty', reading };
  const proven = sight.value?.kind === 'version' ? sight.value.keyId : undefined;
  const valueSeen = sight.value !== undefined;
  if (reading.kind !== 'marked') return { kind: 'foreign', reading };
  const ours = isOurs(o, reading.mark);
  if (!ours && reading.mark.installationId !== o.installationId) return { kind: 'foreign', reading };
  if (!ours && proven === undefined) {
    if (!isHeld(o, location) || isStoreBehind(o)) return { kind: 'taken', mark: markedBy(o, reading.mark) };
    if (!valueSeen) return { kind: 'unseen' };
  }
  const claimed = ours && reading.carries ? reading.mark.keyId : undefined;
  const altered = reading.undressed === true || (sight.value?.kind === 'version' && sight.value.altered === true);
  return { kind: 'ours', reading, claimed, proven, valueSeen, altered };
}
