import { createHash } from 'node:crypto';
import type { ApiKey, KeyDestination } from '../api/kinds.ts';
import type { ConsumerSight } from '../consumers/adoption.ts';
import type { DeliveredValue } from '../destinations/port.ts';
import { composeRecord, isExactly } from '../destinations/record.ts';
import { rulesFor } from '../domain/grants.ts';
import { Failure, stalled } from '../domain/failure.ts';
import { formatLocation, secretDestinationUid, type ApiKeyRef, type Location } from '../domain/key.ts';
import type { Plaintext } from '../domain/plaintext.ts';
import type { Version } from '../domain/version.ts';
import type { Namespace } from '../resources/port.ts';
import type { KeyState } from '../store/port.ts';
import { acceptanceOf, requestsText, type AdmissionState } from './acceptance.ts';
import { isMoved, placing, presentPlaces, type AcceptedPlaces, type FindDestination } from './acceptedplaces.ts';
import type { Dependencies } from './dependencies.ts';
import { envelopeOf, envelopesOf } from './envelope.ts';
import type { Comparison, Observed, Sight, ValueSight } from './observed.ts';
import { resolveTargets } from './targets.ts';
import { countingOf } from './terms.ts';
import { isVanished } from './vanished.ts';

/** What one pass has seen so far. */
export type Sights = ReadonlyMap<string, Sight>;

/** What one pass has seen of workloads so far, by `<kind>/<name>`. */
export type WorkloadSights = ReadonlyMap<string, ConsumerSight>;

/** What one pass knows besides the resource. */
export interface PassFacts {
  readonly sights: Sights;
  readonly workloads: WorkloadSights;
  readonly compare: Comparison;
  /** Read live; absent = the cached one will do. */
  readonly namespace?: Namespace | undefined;
  /** Checked after the read of the resource; absent = the last known state suffices. */
  readonly admission?: AdmissionState | undefined;
}

/** Gathers everything that a plan is made from: the resource as read, its references, the store, and what was seen of locations. */
export async function observe(
  deps: Dependencies,
  written: ApiKey,
  { sights, workloads, compare, namespace: live, admission: checked }: PassFacts,
): Promise<Observed> {
  const ref = refOf(written);
  const store = await deps.store.readKey(ref.uid, ref);
  const admission = checked ?? deps.admission.state();
  const { resources } = deps;
  const now = deps.clock.now();
  const findDestination: FindDestination = (name) => resources.get('KeyDestination', { name });
  const confirmIn = (period: string): string => confirmationOf(written, period, presentPlaces(written, findDestination));
  const judging = { key: store.key, admission, checked: checked !== undefined, confirmIn };
  const counting = countingOf(written, store.key, acceptanceOf({ ...judging, resource: written }));
  const holders = holdersOf(deps, store);
  const namedAt = deps.edits.earliest(ref, now);
  const placed = placing({ ...judging, written, counting, now, namedAt, findDestination, holders });
  const { resource } = counting;
  const namespace = live ?? resources.get('Namespace', { name: ref.namespace });
  const labels = namespace?.metadata.labels ?? {};
  const { references } = deps;
  const found = references.catalog(resource.spec.catalog);
  const catalog = found?.catalog;
  const owner = references.owner(resource.spec.owner);
  const rules = owner === undefined ? [] : rulesFor(resource.spec.catalog, { rules: references.rules(owner) }, []);
  const unusable = catalog === undefined && resources.get('ApiCatalog', { name: resource.spec.catalog }) !== undefined;
  return {
    now,
    installationId: deps.installationId,
    ref,
    ...counting,
    acceptance: placed.acceptance,
    ...(placed.places === undefined ? {} : { places: placed.places }),
    ...movedOf(placed.places, holders.map(findDestination)),
    namespaceTerminating: namespace?.metadata.deletionTimestamp !== undefined,
    namespaceLabels: labels,
    owner,
    catalog,
    index: found?.index,
    rules,
    ...(unusable ? { catalogUnusable: true } : {}),
    targets: resolveTargets(
      resource,
      { name: ref.namespace, labels },
      { findDestination, secretNamespaces: deps.secretNamespaces, placing: placed },
    ),
    store,
    sights,
    horizon: await deps.usageHorizon(),
    ...(deps.consumers === undefined ? {} : { workloads }),
    envelopes: envelopesOf(catalog, store.versions),
    compare,
    admission,
    ...(deps.clockIsRight() ? {} : { clockWrong: true }),
    limits: deps.limits,
  };
}

/** The KeyDestinations that are there and where the key has rows, by name. */
function holdersOf({ resources }: Pick<Dependencies, 'resources'>, { deliveries }: KeyState): readonly string[] {
  const uids = new Set(deliveries.map(({ location }) => location.destinationUid));
  uids.delete(secretDestinationUid);
  if (uids.size === 0) return [];
  return resources.list('KeyDestination').flatMap(({ uid, name }) => (uids.has(uid) ? [name] : []));
}

function movedOf(places: AcceptedPlaces | undefined, holders: readonly (KeyDestination | undefined)[]): Pick<Observed, 'moved'> {
  const moved = holders.flatMap((one) => (one !== undefined && isMoved(places, one) ? [one.metadata.uid] : []));
  return moved.length === 0 ? {} : { moved: new Set(moved) };
}

/**
 * The value that confirms, in this period, the present state of a resource and the present places of its destinations. Nobody can
 * know it in advance, and each state or place has a different value. 16 hexadecimal digits.
 */
export function confirmationOf(resource: ApiKey, period: string, places: ReturnType<typeof presentPlaces>): string {
  const { uid, generation } = resource.metadata;
  const state = JSON.stringify([period, uid, generation ?? 0, requestsText(resource), places]);
  return createHash('sha256').update(state, 'utf8').digest('hex').slice(0, 16);
}

/** Who a resource is. */
export function refOf(resource: ApiKey): ApiKeyRef {
  return { namespace: resource.metadata.namespace ?? '', name: resource.metadata.name, uid: resource.metadata.uid };
}

/** Looks at one location. A failure is something seen, not an error of the pass: the other locations go on. */
export async function lookAt(
  deps: Dependencies,
  o: Pick<Observed, 'catalog' | 'store'>,
  location: Location,
  depth: 'mark' | 'value',
): Promise<Sight> {
  try {
    const destination = await deps.destinations.open(location.destinationUid);
    if (depth === 'mark') return { reading: await destination.readMark(location) };
    const found = await destination.readValue(location);
    if (found === undefined) return { reading: await destination.readMark(location), value: { kind: 'absent' } };
    return { reading: found.reading, value: judge(o, found, identify(deps, found.apiKey, o.store.versions)) };
  } catch (error) {
    const failure = asFailure(error);
    return (await isVanished(deps, location.destinationUid)) ? { failure, vanished: true } : { failure };
  }
}

/** What was found with one of our values is compared with what we write now. Without a catalog, that is unknown. */
function judge({ catalog, store }: Pick<Observed, 'catalog' | 'store'>, found: DeliveredValue, value: ValueSight): ValueSight {
  const version = value.kind === 'version' ? store.versions.find(({ keyId }) => keyId === value.keyId) : undefined;
  if (value.kind !== 'version' || version === undefined || catalog === undefined || found.apiKey === undefined) return value;
  const record = composeRecord({ ...envelopeOf(catalog, version), token: found.apiKey });
  return isExactly(record, found.entries) ? value : { ...value, altered: true };
}

/** Which of our versions a value is. The value is compared and dropped here. */
export function identify(
  deps: Pick<Dependencies, 'peppers'>,
  token: Plaintext | undefined,
  versions: readonly Version[],
): ValueSight {
  if (token === undefined) return { kind: 'unknown' };
  const matches = versions.map((version) => ({ version, match: deps.peppers.matches(version, token) }));
  const right = matches.find(({ match }) => match === true);
  if (right !== undefined) return { kind: 'version', keyId: right.version.keyId };
  if (matches.some(({ match }) => match === 'unknown pepper')) {
    throw stalled('InternalError', 'a version was hashed with a pepper that this process does not have');
  }
  return { kind: 'unknown' };
}

/** A {@link Failure} as it is; anything else is a defect, and goes on as one. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  throw error;
}

/** The sights with changes put in; `undefined` forgets what was seen, so that it is looked at again. What was written stays so. */
export function withSights(sights: Sights, changes: readonly (readonly [Location, Sight | undefined])[]): Sights {
  const next = new Map(sights);
  for (const [location, sight] of changes) {
    const place = formatLocation(location);
    const known: Sight = next.get(place)?.written === true ? { written: true } : {};
    next.set(place, { ...known, ...sight });
  }
  return next;
}
