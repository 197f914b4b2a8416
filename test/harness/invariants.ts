import { finalizer } from '../../operator/src/api/meta.ts';
import type { ApiKey } from '../../operator/src/api/kinds.ts';
import { formatLocation, formatRef, type ApiKeyRef, type Location } from '../../operator/src/domain/key.ts';
import type { Instant } from '../../operator/src/domain/time.ts';
import { isLive, type Delivery, type Mark, type Version } from '../../operator/src/domain/version.ts';

/** One place of a destination as a workload finds it. */
export interface Place {
  readonly location: Location;
  /** What a workload reads as its key. */
  readonly value: string | undefined;
  readonly mark: Mark | undefined;
  /** Everything that stands there, as one text: to see whether anything was changed. */
  readonly content: string;
}

/** One ApiKey of the store that is not released. */
export interface KeptKey {
  readonly ref: ApiKeyRef;
  /** Every version ever minted for this uid, ended ones included. */
  readonly minted: readonly Version[];
  readonly deliveries: readonly Delivery[];
  /** Every pair of limits that its spec ever asked for: how long two versions live side by side at least, and at most. */
  readonly overlaps: readonly Overlap[];
}

/** In milliseconds. */
export interface Overlap {
  readonly leastMs: number;
  readonly mostMs: number;
}

/** Everything that the invariants speak of, at one moment. Real parts and fakes fill it alike. */
export interface Snapshot {
  readonly now: Instant;
  readonly resources: readonly ApiKey[];
  readonly keys: readonly KeptKey[];
  readonly places: readonly Place[];
  /** Locations (see {@link formatLocation}) whose value people changed, until it was seen right again. */
  readonly tampered: ReadonlySet<string>;
  /**
   * Uids of ApiKeys whose finalizer was taken by force, or that took the name of such a one, until they are seen with a finalizer:
   * what they leave behind is an orphan.
   */
  readonly byForce?: ReadonlySet<string>;
  /** Locations with a value that is not ours, and its content when it was put there. */
  readonly foreign: ReadonlyMap<string, string>;
  /** What must not hold a plaintext: rows, statuses, events, errors, logs. */
  readonly texts: string;
  /** Whether a value is this version, by its hash. */
  readonly matches: (version: Version, value: string) => boolean;
}

/** What a token looks like, whatever its prefix: 38 characters that nobody but the destinations may hold. */
const tokenPattern = /[a-z][a-z0-9]{1,15}_[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}/;

/**
 * The promises that hold at every moment, also between any two effects and after any crash: each broken one as a
 * sentence. Empty = all hold.
 */
export function violations(s: Snapshot): readonly string[] {
  return [
    ...s.keys.flatMap((key) => [
      ...oneActive(key),
      ...twoLive(s, key),
      ...finalizerStays(s, key),
      ...readersHoldLiveKeys(s, key),
    ]),
    ...foreignUntouched(s),
    ...plaintextOnlyInDestinations(s),
  ];
}

function oneActive(key: KeptKey): readonly string[] {
  const active = key.minted.filter((version) => version.state === 'active');
  return active.length <= 1 ? [] : [`${formatRef(key.ref)} has ${active.length} active versions`];
}

/** Two live versions at most, lost ones aside: an attempt that another replaced, and a version whose value was lost. */
function twoLive(s: Snapshot, key: KeptKey): readonly string[] {
  // Also by one that has ended since: what it replaced was lost all the same.
  const replacedByLoss = (version: Version) =>
    key.minted.some((other) => other.epoch > version.epoch && (other.cause === 'ValueLost' || other.cause === 'StoreBehind'));
  // Of an owner that was replaced no version is allowed any more.
  const owner = key.minted.reduce<Version | undefined>(
    (newest, one) => (one.epoch < (newest?.epoch ?? 0) ? newest : one),
    undefined,
  )?.ownerUid;
  const counted = liveOf(s, key).filter((version) => !version.lost && version.ownerUid === owner && !replacedByLoss(version));
  return counted.length <= 2 ? [] : [`${formatRef(key.ref)} has ${counted.length} live versions besides lost ones`];
}

function finalizerStays(s: Snapshot, key: KeptKey): readonly string[] {
  if (liveOf(s, key).length === 0 || s.byForce?.has(key.ref.uid) === true) return [];
  const held = s.resources.some(
    ({ metadata }) => metadata.uid === key.ref.uid && metadata.finalizers?.includes(finalizer) === true,
  );
  return held ? [] : [`${formatRef(key.ref)} has a live version, and no resource of its uid with our finalizer`];
}

/** What stands at a location that the store calls ours authenticates, unless its end was meant or people tampered. */
function readersHoldLiveKeys(s: Snapshot, key: KeptKey): readonly string[] {
  const resource = s.resources.find(({ metadata }) => metadata.uid === key.ref.uid);
  if (resource === undefined || resource.metadata.deletionTimestamp !== undefined || resource.spec.revoked !== undefined)
    return [];
  const allowed = [...liveOf(s, key), ...key.minted.filter((version) => isMeantToEnd(s, key, version))];
  return key.deliveries.flatMap((row) => {
    const id = formatLocation(row.location);
    if (row.state !== 'live' || row.heldKeyId === undefined || s.tampered.has(id) || s.foreign.has(id)) return [];
    // What an earlier resource of this name left behind died with it.
    if (!key.minted.some(({ keyId }) => keyId === row.heldKeyId)) return [];
    const value = s.places.find((one) => formatLocation(one.location) === id)?.value;
    if (value !== undefined && allowed.some((version) => s.matches(version, value))) return [];
    return [`${id} holds ${value === undefined ? 'no value' : 'a value that does not authenticate'}`];
  });
}

function liveOf(s: Snapshot, key: KeptKey): readonly Version[] {
  return key.minted.filter((version) => isLive(version, s.now));
}

/** A successor that expires is replaced in time; what limits its own life may come an hour before that (docs/lifecycle.md). */
const reserveMs = 3_600_000;

/**
 * Who revokes or compromises means it, and an expiry is the word of the spec. So is the end of a version that a location
 * waits to have replaced: at `maxOverlap`, and before its successor must be replaced itself. Every other end is a decision
 * of the program.
 */
function isMeantToEnd(s: Snapshot, { minted, overlaps }: KeptKey, version: Version): boolean {
  const { endedReason, expiresAt, notAfter, epoch } = version;
  if (endedReason === 'revoked' || (expiresAt ?? Infinity) <= s.now) return true;
  const [next] = minted
    .filter((one) => one.epoch > epoch && one.activatedAt !== undefined)
    .sort((one, other) => one.epoch - other.epoch);
  if (notAfter === undefined || next?.activatedAt === undefined) return false;
  const { activatedAt, expiresAt: nextEnds = Infinity } = next;
  return overlaps.some(
    ({ leastMs, mostMs }) =>
      notAfter >= activatedAt + mostMs || notAfter >= Math.max(activatedAt + leastMs, nextEnds - leastMs - reserveMs),
  );
}

function foreignUntouched(s: Snapshot): readonly string[] {
  return [...s.foreign].flatMap(([id, content]) => {
    const place = s.places.find((one) => formatLocation(one.location) === id);
    return place?.content === content ? [] : [`the foreign value at ${id} was changed`];
  });
}

function plaintextOnlyInDestinations(s: Snapshot): readonly string[] {
  const values = s.places.flatMap(({ value }) => (value !== undefined && tokenPattern.test(value) ? [value] : []));
  const leaked = tokenPattern.test(s.texts) || values.some((value) => s.texts.includes(value.slice(-38)));
  return leaked ? ['a plaintext stands outside the destinations'] : [];
}
