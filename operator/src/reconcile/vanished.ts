import { Failure } from '../domain/failure.ts';
import { formatRef, secretDestinationUid, type ApiKeyRef, type Location } from '../domain/key.ts';
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

/** A delivery that ends without a look at its place: nobody but a person can empty it now. */
export function tellLeftBehind(deps: Pick<Dependencies, 'resources' | 'log'>, ref: ApiKeyRef, { path }: Location): void {
  deps.log.warn('value left behind', { apiKey: formatRef(ref), location: path, reason: 'DestinationNotFound' });
  deps.resources.recordEvent(
    'ApiKey',
    { ...ref, resourceVersion: '' },
    {
      type: 'Warning',
      reason: 'DestinationNotFound',
      message: `the KeyDestination is gone, and ${path} was not emptied: a value may be left there`,
    },
  );
}
