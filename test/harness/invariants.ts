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
  /** Those that are not ended. */
  readonly versions: readonly Version[];
  readonly deliveries: readonly Delivery[];
  /** The key ids ever minted for this uid, ended ones included. */
  readonly ownKeyIds: ReadonlySet<string>;
  /** Those that somebody compromised or revoked, and those that expired. */
  readonly meantToEnd: readonly Version[];
}

/** Everything that the invariants speak of, at one moment. Real parts and fakes fill it alike. */
export interface Snapshot {
  readonly now: Instant;
  readonly resources: readonly ApiKey[];
  readonly keys: readonly KeptKey[];
  readonly places: readonly Place[];
  /** Locations (see {@link formatLocation}) whose value people changed, until it was seen right again. */
  readonly tampered: ReadonlySet<string>;
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
  const active = key.versions.filter((version) => version.state === 'active');
  return active.length <= 1 ? [] : [`${formatRef(key.ref)} has ${active.length} active versions`];
}

/** Two live versions at most, lost ones aside: an attempt that another replaced, and a version whose value was lost. */
function twoLive(s: Snapshot, key: KeptKey): readonly string[] {
  const replacedByLoss = (version: Version) =>
    key.versions.some((other) => other.epoch > version.epoch && (other.cause === 'ValueLost' || other.cause === 'StoreBehind'));
  // Of an owner that was replaced no version is allowed any more.
  const owner = key.versions.reduce<Version | undefined>(
    (newest, one) => (one.epoch < (newest?.epoch ?? 0) ? newest : one),
    undefined,
  )?.ownerUid;
  const counted = key.versions.filter(
    (version) => isLive(version, s.now) && !version.lost && version.ownerUid === owner && !replacedByLoss(version),
  );
  return counted.length <= 2 ? [] : [`${formatRef(key.ref)} has ${counted.length} live versions besides lost ones`];
}

function finalizerStays(s: Snapshot, key: KeptKey): readonly string[] {
  if (!key.versions.some((version) => isLive(version, s.now))) return [];
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
  const live = key.versions.filter((version) => isLive(version, s.now));
  return key.deliveries.flatMap((row) => {
    const id = formatLocation(row.location);
    if (row.state !== 'live' || row.heldKeyId === undefined || s.tampered.has(id) || s.foreign.has(id)) return [];
    // What an earlier resource of this name left behind died with it.
    if (!key.ownKeyIds.has(row.heldKeyId)) return [];
    const value = s.places.find((one) => formatLocation(one.location) === id)?.value;
    if (value !== undefined && [...live, ...key.meantToEnd].some((version) => s.matches(version, value))) return [];
    return [`${id} holds ${value === undefined ? 'no value' : 'a value that does not authenticate'}`];
  });
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
