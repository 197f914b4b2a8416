import { createHash } from 'node:crypto';
import { ownAnnotations, type ObjectMeta } from '../api/meta.ts';

/**
 * What an ApiKey asks for: everything that a decision may depend on, so not its status, labels and finalizers, nor annotations of
 * others. A hash, like {@link signatureOf}: one is remembered for each object, and metadata may be long.
 */
export function askedBy({ uid, generation, deletionTimestamp, annotations }: ObjectMeta): string {
  return hashOf([uid, generation ?? 0, deletionTimestamp ?? '', ownAnnotations(annotations)]);
}

/** What of an object's metadata matters to a plan: not what its status changes, nor what others put there. */
export function signatureOf(kind: string, metadata: ObjectMeta): string {
  // A Secret and a Namespace have no generation that counts every change.
  const version = kind === 'Secret' ? metadata.resourceVersion : (metadata.generation ?? 0);
  // Labels count where something selects by them.
  const labels = kind === 'Namespace' ? (metadata.labels ?? {}) : {};
  const { uid, deletionTimestamp = '', finalizers = [], annotations } = metadata;
  return hashOf([uid, version, deletionTimestamp, finalizers, labels, ownAnnotations(annotations)]);
}

function hashOf(said: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(said)).digest('base64');
}
