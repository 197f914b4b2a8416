import type { ObjectMeta } from '../../api/meta.ts';
import { Failure } from '../../domain/failure.ts';
import type { ConditionalWrite, SecretManifest, SecretObject, Secrets } from '../port.ts';
import type { KubeAnswer, KubeClient } from './client.ts';
import { collectionPath, endpoints, fieldManager, objectPath, partialObject } from './endpoints.ts';
import { causesOf } from './fault.ts';

const endpoint = endpoints.Secret;
const kind = 'Secret';

/** Secrets of the API server, one at a time, every write conditional. */
export function kubeSecrets(client: KubeClient): Secrets {
  const send = async (request: Parameters<KubeClient['send']>[0]): Promise<KubeAnswer> => {
    try {
      return await client.send(request);
    } catch (error) {
      throw asDestination(error);
    }
  };
  return {
    read: async (ref) => {
      const answer = await send({ verb: 'get', kind, path: objectPath(endpoint, ref) });
      return answer.status === 404 ? undefined : (expectObject(answer) as SecretObject);
    },
    readMetadata: async (ref) => {
      const answer = await send({ verb: 'get', kind, path: objectPath(endpoint, ref), accept: partialObject });
      return answer.status === 404 ? undefined : (expectObject(answer) as { metadata: ObjectMeta }).metadata;
    },
    write: async (manifest, observed) => {
      const body = bodyOf(manifest, observed);
      if (observed === undefined) {
        const path = collectionPath(endpoint, manifest.namespace);
        return writeOutcome(await send({ verb: 'create', kind, path, query: { fieldManager }, body }));
      }
      // Forced, because the entry of the create and that of the apply are two managers of the same fields.
      const query = { fieldManager, force: 'true' };
      return writeOutcome(await send({ verb: 'apply', kind, path: objectPath(endpoint, manifest), query, body }));
    },
    remove: async (ref, { uid, resourceVersion }) => {
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } };
      const answer = await send({ verb: 'delete', kind, path: objectPath(endpoint, ref), body });
      if (answer.status < 300 || answer.status === 404) return 'removed';
      if (answer.status === 409) return 'lost';
      throw refused(answer.status);
    },
  };
}

function bodyOf(manifest: SecretManifest, observed: { uid: string; resourceVersion: string } | undefined): unknown {
  const { namespace, name, labels, annotations, ownerReferences, type, data } = manifest;
  // Only these two: callers pass whole metadata, and the server refuses an apply that carries managedFields.
  const condition = observed === undefined ? {} : { uid: observed.uid, resourceVersion: observed.resourceVersion };
  return {
    apiVersion: 'v1',
    kind,
    metadata: { namespace, name, labels, annotations, ownerReferences, ...condition },
    type,
    data,
  };
}

function writeOutcome(answer: KubeAnswer): ConditionalWrite<SecretObject> {
  if (answer.status < 300) return { kind: 'written', object: expectObject(answer) as SecretObject };
  // 409: it exists, is gone, or has another version; 422 on the uid: another object has the name.
  if (answer.status === 409 || isOtherUid(answer)) return { kind: 'lost' };
  throw refused(answer.status);
}

/** Whether a 422 says that the uid is not the object's. */
export function isOtherUid(answer: KubeAnswer): boolean {
  return answer.status === 422 && causesOf(answer.body).some((cause) => cause.field === 'metadata.uid');
}

function expectObject(answer: KubeAnswer): unknown {
  if (answer.status >= 300 || typeof answer.body !== 'object' || answer.body === null) throw refused(answer.status);
  return answer.body;
}

function refused(status: number): Failure {
  // 404 on a write: the namespace is gone.
  const failure = status === 404 ? 'waiting' : 'stalled';
  return new Failure({
    kind: failure,
    reason: 'DestinationUnavailable',
    message: `the API server refuses the Secret (${String(status)})`,
  });
}

/** A Secret is a destination: what the API server fails at is told under that reason. */
function asDestination(error: unknown): unknown {
  if (!(error instanceof Failure) || error.reason !== 'InternalError') return error;
  const { kind: failure, message, retryAfterMs } = error;
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new Failure({ kind: failure, reason: 'DestinationUnavailable', message, ...wait });
}
