import type { ApiKey, KeyDestination } from '../api/kinds.ts';
import type { ObjectMeta } from '../api/meta.ts';
import { placeOf } from '../destinations/place.ts';
import { parseInstant, type Instant } from '../domain/time.ts';
import { neverAccepted, type AcceptedPlace, type KeyRow } from '../store/port.ts';
import { howToConfirm, isConfirmedBy, type AcceptanceState, type AdmissionState } from './acceptance.ts';
import type { Blocker } from './observed.ts';
import type { Counting } from './terms.ts';

/**
 * The name of a KeyDestination in an ApiKey means a place: the address, the mount, the paths. The name alone proves nothing:
 * users who may delete and create KeyDestinations can give it to another place, and users who may create them can take a name
 * that does not exist yet. So the store keeps the place that the name meant when it was accepted, and nothing is delivered to
 * another one.
 */
export type AcceptedPlaces = Readonly<Record<string, AcceptedPlace>>;

/**
 * How long after the acceptance of a name a new KeyDestination still gets that name's keys: objects may be applied in any order.
 */
const appliedTogetherMs = 3_600_000;

/** How a KeyDestination is looked up by name. */
export type FindDestination = (name: string) => KeyDestination | undefined;

/** The input of {@link placing}. */
export interface PlacingInput {
  /** As it is written. */
  readonly written: ApiKey;
  /** How it counts. */
  readonly counting: Counting;
  /** The key's row in the store; absent before the first mint. */
  readonly key: Pick<KeyRow, 'accepted' | 'places'> | undefined;
  readonly admission: AdmissionState;
  /** Whether `admission` was checked after the read of the resource. */
  readonly checked: boolean;
  readonly now: Instant;
  /** When the names can have been written at the earliest. */
  readonly namedAt: Instant;
  readonly findDestination: FindDestination;
  /** The KeyDestinations where the key still has rows, by name. */
  readonly holders?: readonly string[];
  /** The value of annotation `keywright.dev/confirm` that confirms the present state and places in this period. */
  readonly confirmIn: (period: string) => string;
}

/** Which places count, and the acceptance that follows. */
export interface Placing {
  readonly acceptance: AcceptanceState;
  /** The places to write to the store. */
  readonly places?: AcceptedPlaces;
  /** Until when a place that is not among them gets nothing; completes a sentence. Absent = every place counts. */
  readonly remedy?: string;
}

/**
 * The places that count. A name that was accepted just now means the place that exists now, or is created within an hour; later,
 * it means only the same place, or one that somebody with all rights of the key confirms. As for a held change, the confirmation
 * counts only if the policy was in force when the annotation was written.
 */
export function placing(input: PlacingInput): Placing {
  const { written, counting, key, admission, checked, findDestination, confirmIn } = input;
  const { acceptance, held, resource } = counting;
  const known = key?.places;
  // Without a policy, nothing proves who confirms: everybody with write access to KeyDestinations decides, and no place is
  // remembered.
  if (admission.kind === 'notRequired') return { acceptance };
  // Nothing of the key goes on.
  if (acceptance.kind !== 'accepted' && held === undefined)
    return { acceptance, ...(known === undefined ? {} : { places: known }) };
  const names = namesOf(resource);
  const judged = judge(input, names);
  if (!names.some((name) => isStrange(judged, findDestination(name)))) return { acceptance, places: judged };
  const confirm = admission.kind === 'inForce' ? confirmIn(admission.period) : undefined;
  const isAsked = confirm !== undefined && isConfirmedBy(written, confirm);
  if (!isAsked || acceptance.kind !== 'accepted')
    return { acceptance, places: judged, remedy: remedyOf(written, acceptance, confirm) };
  if (!checked) return { acceptance: { kind: 'unchecked' } };
  return { acceptance: { ...acceptance, confirmed: true }, places: confirmed(judged, names, findDestination) };
}

/** Why a KeyDestination gets nothing although it exists; absent = its place counts. */
export function placeFault(
  entry: string,
  destination: KeyDestination,
  { places = {}, remedy }: Pick<Placing, 'places' | 'remedy'>,
): Blocker | undefined {
  if (remedy === undefined || !isStrange(places, destination)) return undefined;
  const { name } = destination.metadata;
  const what =
    places[name]?.place === undefined
      ? `KeyDestination ${name} was created more than an hour after it was named here`
      : `KeyDestination ${name} is not the place that was accepted under this name`;
  const kind = remedy === waitsForPolicy ? 'waiting' : 'stalled';
  return { kind, reason: 'DestinationUnconfirmed', message: `${entry}: ${what}; nothing is delivered there until ${remedy}` };
}

/** The places that a resource names now, by name: a confirmation covers exactly these. */
export function presentPlaces(resource: ApiKey, find: FindDestination): readonly (readonly [name: string, place: string])[] {
  return namesOf(resource).flatMap((name) => {
    const destination = find(name);
    return destination === undefined ? [] : [[name, placeOf(destination)] as const];
  });
}

/** Whether a KeyDestination is another place now than the one that was accepted under its name. */
export function isMoved(places: AcceptedPlaces | undefined, destination: KeyDestination): boolean {
  const accepted = places?.[destination.metadata.name]?.place;
  return accepted !== undefined && accepted !== placeOf(destination);
}

function namesOf({ spec }: Pick<ApiKey, 'spec'>): readonly string[] {
  const names = spec.deliverTo.flatMap(({ destination }) => (destination === undefined ? [] : [destination]));
  return [...new Set(names)].sort();
}

function isStrange(places: AcceptedPlaces, destination: KeyDestination | undefined): boolean {
  return destination !== undefined && places[destination.metadata.name]?.place !== placeOf(destination);
}

/** The places that are accepted for these names without a confirmation. */
function judge(input: PlacingInput, names: readonly string[]): AcceptedPlaces {
  const { counting, key, now, namedAt, findDestination, holders = [] } = input;
  const { acceptance, resource } = counting;
  const known = key?.places ?? {};
  // So far no policy was required, and whatever was there got its values.
  const isOpen = key !== undefined && key.places === undefined;
  const created = createdAt(resource.metadata) ?? now;
  // When an ApiKey that took over the rows of an earlier one is accepted, all its names are new.
  const isNew = acceptance.kind === 'accepted' && key?.accepted?.period === neverAccepted.period;
  const entries = names.map((name): readonly [string, AcceptedPlace] => {
    const before = known[name];
    // Before the first mint nothing is remembered: its names are as old as the resource.
    const since = isNew || key === undefined ? created : (before?.since ?? namedAt);
    const entry = { ...before, since };
    const destination = findDestination(name);
    if (destination === undefined || (before?.place !== undefined && !isNew)) return [name, entry];
    const bornAt = createdAt(destination.metadata) ?? Number.POSITIVE_INFINITY;
    return [name, isOpen || bornAt <= since + appliedTogetherMs ? { since, place: placeOf(destination) } : entry];
  });
  // A later edit may restore an entry that a held change removed; and a place is known until it is empty.
  const kept = Object.entries(known).filter(([name]) => acceptance.kind !== 'accepted' || holders.includes(name));
  return Object.fromEntries([...kept, ...entries]);
}

function confirmed(judged: AcceptedPlaces, names: readonly string[], find: FindDestination): AcceptedPlaces {
  const present = names.flatMap((name) => {
    const destination = find(name);
    const entry = judged[name];
    return destination === undefined || entry === undefined ? [] : [[name, { ...entry, place: placeOf(destination) }] as const];
  });
  return { ...judged, ...Object.fromEntries(present) };
}

const waitsForPolicy = 'the admission policy is in force again';

function remedyOf({ metadata }: ApiKey, acceptance: AcceptanceState, confirm: string | undefined): string {
  if (acceptance.kind !== 'accepted') return 'somebody confirms the key';
  if (confirm === undefined) return waitsForPolicy;
  return `somebody with all rights of the key confirms it: ${howToConfirm(metadata, confirm)}`;
}

function createdAt({ creationTimestamp }: ObjectMeta): Instant | undefined {
  return parseInstant(creationTimestamp ?? '');
}
