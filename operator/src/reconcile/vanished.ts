import { Failure } from '../domain/failure.ts';
import { formatRef, secretDestinationUid, type ApiKeyRef, type Location } from '../domain/key.ts';
import type { EventRecord } from '../resources/port.ts';
import { isMoved, type AcceptedPlaces } from './acceptedplaces.ts';
import type { Dependencies } from './dependencies.ts';

/**
 * Whether there is no KeyDestination of this uid any more: it was removed by force, or came back from a backup under another
 * uid. The cache lacks it, and so does a live read; a read that fails proves nothing.
 */
export async function isVanished({ resources }: Pick<Dependencies, 'resources'>, destinationUid: string): Promise<boolean> {
  if (destinationUid === secretDestinationUid) return false;
  if (resources.list('KeyDestination').some(({ uid }) => uid === destinationUid)) return false;
  try {
    return (await resources.listLive('KeyDestination')).every(({ uid }) => uid !== destinationUid);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return false;
  }
}

/** Whether the KeyDestination of this uid is there and has become another place than the one that was accepted. */
export function isMovedAway(
  { resources }: Pick<Dependencies, 'resources'>,
  destinationUid: string,
  places: AcceptedPlaces | undefined,
): boolean {
  const name = nameOf(resources, destinationUid);
  const destination = name === undefined ? undefined : resources.get('KeyDestination', { name });
  return destination !== undefined && isMoved(places, destination);
}

type Told = Pick<Dependencies, 'resources' | 'log'>;

/** A delivery that ends without a look at its place: nobody but a person can empty it now. */
export function tellLeftBehind(deps: Told, ref: ApiKeyRef, { path }: Location): void {
  const message = `the KeyDestination is gone, and ${path} was not emptied: a value may be left there`;
  tellLeft(deps, ref, path, { type: 'Warning', reason: 'DestinationNotFound', message });
}

/** The same of a KeyDestination that has become another place, such as that of another account. */
export function tellLeftElsewhere(deps: Told, ref: ApiKeyRef, { destinationUid, path }: Location): void {
  const name = nameOf(deps.resources, destinationUid) ?? destinationUid;
  const message = `KeyDestination ${name} is now a different place from the accepted one, and ${path} was not emptied at the accepted one: a value may be left there`;
  tellLeft(deps, ref, path, { type: 'Warning', reason: 'DestinationUnconfirmed', message });
}

function tellLeft({ log, resources }: Told, ref: ApiKeyRef, location: string, event: EventRecord): void {
  log.warn('value left behind', { apiKey: formatRef(ref), location, reason: event.reason });
  resources.recordEvent('ApiKey', { ...ref, resourceVersion: '' }, event);
}

function nameOf(resources: Dependencies['resources'], destinationUid: string): string | undefined {
  return resources.list('KeyDestination').find(({ uid }) => uid === destinationUid)?.name;
}
