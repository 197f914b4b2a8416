import type { ObjectMeta } from '../../api/meta.ts';

/** What the cache keeps of an object: at least its metadata. */
export interface Cached {
  readonly metadata: ObjectMeta;
}

/** What a step changed. */
export interface Change<T> {
  readonly type: 'upsert' | 'delete';
  readonly object: T;
}

/** A change as the watch tells it. */
export interface WatchChange<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: T;
}

/** Objects by `namespace/name`. */
export type Cache<T> = Map<string, T>;

/** The key of an object in a {@link Cache}. */
export function cacheKey(ref: { readonly namespace?: string; readonly name: string }): string {
  return `${ref.namespace ?? ''}/${ref.name}`;
}

/**
 * Takes one change of the watch. An object of another uid under a known name means that the deletion between was
 * missed: it is told, too. A deletion of another uid than the known one is old news.
 */
export function applyChange<T extends Cached>(cache: Cache<T>, change: WatchChange<T>): Change<T>[] {
  const { object } = change;
  const key = cacheKey(object.metadata);
  const known = cache.get(key);
  const isOther = known !== undefined && known.metadata.uid !== object.metadata.uid;
  if (change.type === 'DELETED') {
    if (known === undefined || isOther) return [];
    cache.delete(key);
    return [{ type: 'delete', object }];
  }
  cache.set(key, object);
  const upsert: Change<T> = { type: 'upsert', object };
  return isOther ? [{ type: 'delete', object: known }, upsert] : [upsert];
}

/** Takes a complete list: what is missing in it is gone; what is in it unchanged is not told again. */
export function replaceAll<T extends Cached>(cache: Cache<T>, objects: readonly T[]): Change<T>[] {
  const listed = new Map(objects.map((object) => [cacheKey(object.metadata), object]));
  const changes: Change<T>[] = [];
  for (const [key, known] of cache) {
    if (listed.get(key)?.metadata.uid === known.metadata.uid) continue;
    cache.delete(key);
    changes.push({ type: 'delete', object: known });
  }
  for (const [key, object] of listed) {
    if (cache.get(key)?.metadata.resourceVersion === object.metadata.resourceVersion) continue;
    cache.set(key, object);
    changes.push({ type: 'upsert', object });
  }
  return changes;
}
