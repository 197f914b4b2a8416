import { finalizer, ownAnnotations, type KubeObject, type ObjectMeta } from '../../api/meta.ts';
import type { KubeAnswer, KubeClient, KubeRequest } from './client.ts';
import { collectionPath, partialList, partialObject } from './endpoints.ts';
import type { Endpoint } from './endpoints.ts';
import { KubeFault, causesOf, faultOf } from './fault.ts';
import type { Page, WatchMessage, WatchQuery, WatchSource } from './reflector.ts';

/** What the cache keeps: the object, or of a partial kind its metadata. */
export type Kept = KubeObject | { readonly metadata: ObjectMeta };

/** Fewer than client-go's 500: with all the annotations that one may have, an object takes 256 KiB until it is trimmed. */
const defaultPageSize = 100;
/** A page that is larger is asked for with fewer objects: what one may have besides annotations is bounded only by etcd. */
const largestPageBytes = 8 * 1024 * 1024;
const listTimeoutMs = 60_000;

interface RawObject {
  readonly metadata?: RawMeta;
  readonly [field: string]: unknown;
}
interface RawMeta extends ObjectMeta {
  readonly continue?: string;
}

/** What is watched. */
export interface Scope {
  /** For metrics. */
  readonly kind: string;
  readonly endpoint: Endpoint;
  /** Absent = all. */
  readonly namespace: string | undefined;
  /** Objects in one page of a list; 100 when absent. */
  readonly pageSize?: number;
  /** Keeps the finalizers and owner references of others, too: for what is read once, and not for a cache. */
  readonly isWhole?: boolean;
}

/** Lists and watches one kind through the client. */
export function watchSource(client: KubeClient, scope: Scope): WatchSource<Kept> {
  const { kind, endpoint, namespace, pageSize = defaultPageSize } = scope;
  const path = collectionPath(endpoint, namespace);
  const selector: Record<string, string> = endpoint.labelSelector === undefined ? {} : { labelSelector: endpoint.labelSelector };
  // A smaller one, once a page was too large, holds for the rest of the list.
  let limit = pageSize;
  return {
    list: async (resourceVersion, next, signal) => {
      if (next === undefined) limit = pageSize;
      const query: Record<string, string> = { ...selector };
      if (next !== undefined) query['continue'] = next;
      else if (resourceVersion !== '') Object.assign(query, { resourceVersion, resourceVersionMatch: 'NotOlderThan' });
      const accept = endpoint.isPartial ? partialList : 'application/json';
      const request = { verb: 'list', kind, path, query, accept, timeoutMs: listTimeoutMs } as const;
      let answer = await sendPage(client, request, limit, signal);
      while (answer === 'tooLarge') {
        limit = Math.ceil(limit / 10);
        answer = await sendPage(client, request, limit, signal);
      }
      if (answer.status !== 200) throw new KubeFault(answer.status);
      return pageOf(answer.body, scope);
    },
    watch: async (query, signal) => {
      const accept = endpoint.isPartial ? partialObject : 'application/json';
      const request = { verb: 'watch', kind, path, query: { ...selector, ...watchParameters(query) }, accept } as const;
      return messagesOf(await client.watch(request, signal), scope);
    },
  };
}

/** One page with so many objects; `tooLarge` = fewer must be asked for. A single object is taken whatever its size. */
async function sendPage(
  client: KubeClient,
  request: KubeRequest,
  limit: number,
  signal: AbortSignal,
): Promise<KubeAnswer | 'tooLarge'> {
  const query = { ...request.query, limit: String(limit) };
  const isLeast = limit <= 1;
  try {
    return await client.sendRaw({ ...request, query, ...(isLeast ? {} : { maxBytes: largestPageBytes }) }, signal);
  } catch (error) {
    if (isLeast || faultOf(error).code !== 'tooLarge') throw error;
    return 'tooLarge';
  }
}

function watchParameters(query: WatchQuery): Record<string, string> {
  const always = { watch: 'true', allowWatchBookmarks: 'true', timeoutSeconds: String(query.timeoutSeconds) };
  const version: Record<string, string> = query.resourceVersion === '' ? {} : { resourceVersion: query.resourceVersion };
  // Without resourceVersionMatch the server answers 422.
  const initial: Record<string, string> = query.sendInitialEvents
    ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }
    : {};
  return { ...always, ...version, ...initial };
}

function pageOf(body: unknown, scope: Scope): Page<Kept> {
  const { items: listed, metadata } = (body ?? {}) as { items?: unknown; metadata?: RawMeta };
  // An empty PartialObjectMetadataList has null here.
  const items = listed === null ? [] : listed;
  if (!Array.isArray(items) || metadata === undefined) throw new KubeFault('broken');
  const page = { items: items.map((item: RawObject) => keep(item, scope)), resourceVersion: metadata.resourceVersion };
  return metadata.continue === undefined || metadata.continue === '' ? page : { ...page, next: metadata.continue };
}

async function* messagesOf(values: AsyncIterable<unknown>, scope: Scope): AsyncGenerator<WatchMessage<Kept>, void, void> {
  for await (const value of values) {
    const { type, object } = (value ?? {}) as { type?: unknown; object?: RawObject };
    if (object === undefined) throw new KubeFault('broken');
    if (type === 'ERROR') yield { type, fault: faultIn(object) };
    else if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') yield { type, object: keep(object, scope) };
    else if (type === 'BOOKMARK' && object.metadata !== undefined) {
      const { resourceVersion, annotations } = object.metadata;
      yield { type, resourceVersion, endsInitialEvents: annotations?.['k8s.io/initial-events-end'] === 'true' };
    } else throw new KubeFault('broken');
  }
}

/** A Status in the stream: a watch from a compacted version is HTTP 200 with one of code 410. */
function faultIn(status: RawObject): KubeFault {
  const code = status['code'];
  return new KubeFault(
    typeof code === 'number' ? code : 500,
    undefined,
    causesOf(status).map((cause) => cause.reason),
  );
}

function keep(object: RawObject, scope: Scope): Kept {
  if (object.metadata === undefined) throw new KubeFault('broken');
  const metadata = trimMetadata(object.metadata, scope);
  return scope.endpoint.isPartial ? { metadata } : { ...object, metadata };
}

/** The members that the API server bounds. */
const bounded = [
  ...(['name', 'namespace', 'uid', 'resourceVersion', 'generation'] as const),
  ...(['creationTimestamp', 'deletionTimestamp'] as const),
];

/** Without what nothing here reads: it is most of an object's size, and without bounds where anybody may write it. */
function trimMetadata(metadata: RawMeta, { endpoint, isWhole = false }: Scope): ObjectMeta {
  const { managedFields: _dropped, labels, annotations, ...all } = metadata;
  const finalizers = metadata.finalizers?.filter((one) => one === finalizer) ?? [];
  const kept = endpoint.hasOwnAnnotations === false ? {} : ownAnnotations(annotations);
  return {
    ...(isWhole ? all : trimmed(metadata)),
    ...(isWhole || finalizers.length === 0 ? {} : { finalizers }),
    ...(endpoint.hasSelectedLabels === true && labels !== undefined ? { labels } : {}),
    ...(Object.keys(kept).length === 0 ? {} : { annotations: kept }),
  };
}

function trimmed(metadata: RawMeta): ObjectMeta {
  return Object.fromEntries(
    Object.entries(metadata).filter(([name]) => bounded.some((one) => one === name)),
  ) as unknown as ObjectMeta;
}
