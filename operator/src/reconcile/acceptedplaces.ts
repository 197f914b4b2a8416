import type { ApiKey, KeyDestination } from '../api/kinds.ts';
import { annotations, type ObjectMeta } from '../api/meta.ts';
import { placeOf } from '../destinations/place.ts';
import { parseInstant, type Instant } from '../domain/time.ts';
import { neverAccepted, type AcceptedPlace, type KeyRow } from '../store/port.ts';
import type { AcceptanceState, AdmissionState } from './acceptance.ts';
import type { Blocker } from './observed.ts';
import type { Counting } from './terms.ts';

/**
 * Who names a KeyDestination in an ApiKey means a place: the address, the mount, the paths. The name alone proves nothing, because
 * whoever may delete and create KeyDestinations can give it to another place, and whoever may create them can take a name that does
 * not exist yet. So the store keeps the place that was there when the name was accepted, and nothing goes to another one.
 */
export type AcceptedPlaces = Readonly<Record<string, AcceptedPlace>>;

/** How long after a name was accepted a new KeyDestination is still what was meant: objects may be applied in any order. */
const appliedTogetherMs = 3_600_000;

/** How a KeyDestination is looked up by name. */
export type FindDestination = (name: string) => KeyDestination | undefined;

/** What {@link placing} judges by. */
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
  readonly findDestination: FindDestination;
  /** The KeyDestinations where the key still has rows, by name. */
  readonly holders?: readonly string[];
  /** The value of {@link annotations.confirm} that confirms the present state and places in this period. */
  readonly confirmIn: (period: string) => string;
}

/** Which places count, and how the key goes on by that. */
export interface Placing {
  readonly acceptance: AcceptanceState;
  /** As the store is to have them. */
  readonly places?: AcceptedPlaces;
  /** Until when a place that is not among them gets nothing; the end of a sentence. Absent = no place is judged now. */
  readonly remedy?: string;
}

/**
 * The places that count. A name that was accepted just now stands for the place that is there, or comes within an hour; later only
 * the same place, or one that somebody with all rights of the key confirms. The confirmation counts as that of a held change does:
 * only if the policy was in force when the annotation was written.
 */
export function placing(input: PlacingInput): Placing {
  const { written, counting, key, admission, checked, findDestination, confirmIn } = input;
  const { acceptance, held, resource } = counting;
  const known = key?.places;
  // Without a policy nothing proves who confirms: whoever may write KeyDestinations decides, and no place is remembered.
  if (admission.kind === 'notRequired') return { acceptance };
  // Nothing of the key goes on.
  if (acceptance.kind !== 'accepted' && held === undefined)
    return { acceptance, ...(known === undefined ? {} : { places: known }) };
  const names = namesOf(resource);
  const judged = judge(input, names);
  const isOpen = names.some((name) => isStrange(judged, findDestination(name)));
  const confirm = admission.kind === 'inForce' ? confirmIn(admission.period) : undefined;
  const isAsked = confirm !== undefined && written.metadata.annotations?.[annotations.confirm] === confirm;
  if (!isOpen || !isAsked || acceptance.kind !== 'accepted')
    return { acceptance, places: judged, remedy: remedyOf(written, acceptance, confirm) };
  if (!checked) return { acceptance: { kind: 'unchecked' } };
  return { acceptance, places: confirmed(judged, names, findDestination) };
}

/** Why a KeyDestination gets nothing although it is there; absent = its place counts. */
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
      : `KeyDestination ${name} is another place than the one that was accepted under this name`;
  const kind = remedy === waitsForPolicy ? 'waiting' : 'stalled';
  return { kind, reason: 'DestinationUnconfirmed', message: `${entry}: ${what}; nothing is delivered there until ${remedy}` };
}

/** The digests of the places that a resource names now, by name: a confirmation is of these and no others. */
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

/** What is accepted of these names, without a confirmation. */
function judge({ counting, key, now, findDestination, holders = [] }: PlacingInput, names: readonly string[]): AcceptedPlaces {
  const { acceptance, resource } = counting;
  const known = key?.places ?? {};
  const created = createdAt(resource.metadata) ?? now;
  // An ApiKey that took the rows of an earlier one over, and is accepted now, names everything anew.
  const isNew = acceptance.kind === 'accepted' && key?.accepted?.period === neverAccepted.period;
  const entries = names.map((name): readonly [string, AcceptedPlace] => {
    const before = known[name];
    // Before the first mint nothing is remembered: its names are as old as the resource.
    const since = isNew || key === undefined ? created : (before?.since ?? now);
    const entry = { ...before, since };
    const destination = findDestination(name);
    if (destination === undefined || (before?.place !== undefined && !isNew)) return [name, entry];
    const bornAt = createdAt(destination.metadata) ?? Number.POSITIVE_INFINITY;
    return [name, bornAt <= since + appliedTogetherMs ? { since, place: placeOf(destination) } : entry];
  });
  // A held change may come back to what it left out; and what is to be emptied must be known to be the same place until it is.
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
  const { namespace, name } = metadata;
  const place = namespace === undefined ? '' : ` -n ${namespace}`;
  return `somebody with all rights of the key confirms it: kubectl annotate apikey ${name}${place} --overwrite ${annotations.confirm}=${confirm}`;
}

function createdAt({ creationTimestamp }: ObjectMeta): Instant | undefined {
  return parseInstant(creationTimestamp ?? '');
}
