import { fieldManager } from '../../api/meta.ts';
import { Failure } from '../../domain/failure.ts';
import type { ConditionalWrite, SecretManifest, SecretMeta, SecretObject, Secrets } from '../port.ts';
import type { KubeAnswer, KubeClient } from './client.ts';
import { collectionPath, endpoints, objectPath, partialObject } from './endpoints.ts';
import { causesOf } from './fault.ts';

const endpoint = endpoints.Secret;
const kind = 'Secret';
/** A Secret has at most 1 MiB of data, a third more in base64; then labels, annotations and managed fields. */
const maxBytes = 4 * 1024 * 1024;

/** Secrets of the API server, one at a time, every write conditional. */
export function kubeSecrets(client: KubeClient): Secrets {
  const send = async (request: Parameters<KubeClient['send']>[0]): Promise<KubeAnswer> => {
    try {
      return await client.send({ ...request, maxBytes });
    } catch (error) {
      throw asDestination(error);
    }
  };
  return {
    read: async (ref) => {
      const answer = await send({ verb: 'get', kind, path: objectPath(endpoint, ref) });
      return isAbsent(answer) ? undefined : expectObject(answer, kind);
    },
    readMetadata: async (ref) => {
      const answer = await send({ verb: 'get', kind, path: objectPath(endpoint, ref), accept: partialObject });
      return isAbsent(answer) ? undefined : expectObject(answer, 'PartialObjectMetadata').metadata;
    },
    write: async (manifest, observed) => {
      const body = bodyOf(manifest, observed);
      if (observed === undefined) {
        const path = collectionPath(endpoint, manifest.namespace);
        return writeOutcome(await send({ verb: 'create', kind, path, query: { fieldManager }, body }));
      }
      // Forced, because the entry of the create and that of the apply are two managers of the same fields.
      const query = { fieldManager, force: 'true' };
      const path = objectPath(endpoint, manifest);
      const applied = writeOutcome(await send({ verb: 'apply', kind, path, query, body }));
      const strip = applied.kind === 'lost' ? undefined : stripOf(manifest, applied.object);
      if (strip === undefined) return applied;
      // An apply leaves what other managers own.
      const stripped = writeOutcome(await send({ verb: 'patch', kind, path, query: { fieldManager }, body: strip }));
      // Somebody was quicker, after our value was written.
      return stripped.kind === 'lost' ? applied : stripped;
    },
    remove: async (ref, { uid, resourceVersion }) => {
      const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } };
      const answer = await send({ verb: 'delete', kind, path: objectPath(endpoint, ref), body });
      if (isAbsent(answer) || (answer.status < 300 && ['Status', kind].includes(kindOf(answer)))) return 'removed';
      if (answer.status === 409) return 'lost';
      throw refused(answer);
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

/** A merge patch that removes the entries that the manifest does not have; `undefined` = there are none. */
function stripOf({ data }: SecretManifest, { metadata, data: found = {} }: SecretObject): unknown {
  const others = Object.keys(found).filter((name) => !Object.hasOwn(data, name));
  if (others.length === 0) return undefined;
  const { uid, resourceVersion } = metadata;
  return { metadata: { uid, resourceVersion }, data: Object.fromEntries(others.map((name) => [name, null])) };
}

function writeOutcome(answer: KubeAnswer): ConditionalWrite<SecretObject> {
  if (answer.status < 300) return { kind: 'written', object: expectObject(answer, kind) };
  // 409: it exists, is gone, or has another version; 422 on the uid: another object has the name.
  if (answer.status === 409 || isOtherUid(answer)) return { kind: 'lost' };
  throw refused(answer);
}

/** Whether a 422 says that the uid is not the object's. */
export function isOtherUid(answer: KubeAnswer): boolean {
  return answer.status === 422 && causesOf(answer.body).some((cause) => cause.field === 'metadata.uid');
}

/** The API server's own 404. A proxy's may mean anything, and a Secret that counts as lost costs a rotation. */
function isAbsent(answer: KubeAnswer): boolean {
  return answer.status === 404 && kindOf(answer) === 'Status';
}

function kindOf(answer: KubeAnswer): string {
  const found = (answer.body as { kind?: unknown } | null | undefined)?.kind;
  return typeof found === 'string' ? found : '';
}

function expectObject(answer: KubeAnswer, expected: string): SecretObject {
  const { metadata } = (answer.body ?? {}) as { metadata?: Partial<SecretMeta> };
  const isWhole = typeof metadata?.uid === 'string' && typeof metadata.resourceVersion === 'string';
  if (answer.status >= 300 || kindOf(answer) !== expected || !isWhole) throw refused(answer);
  return answer.body as SecretObject;
}

/** Our words for a refusal, from its status and the fields that it names. */
function refused(answer: KubeAnswer): Failure {
  const { status } = answer;
  if (status < 300 || kindOf(answer) !== 'Status')
    return unavailable('transient', 'what answers at the address of the API server is no API server');
  if (status === 404) return unavailable('waiting', 'the namespace of the Secret does not exist');
  const causes = status === 422 ? causesOf(answer.body) : [];
  const names = (field: string, reason: string) => causes.some((cause) => cause.field === field && cause.reason === reason);
  if (names('data', 'FieldValueForbidden'))
    return unavailable('stalled', 'the Secret is immutable: delete it, and it is delivered again');
  if (names('data', 'FieldValueTooLong')) return unavailable('stalled', 'the value is too large for a Secret');
  if (names('type', 'FieldValueInvalid'))
    return unavailable('stalled', 'the Secret was made anew with another type: delete it, and it is delivered again');
  return unavailable('stalled', `the API server refuses the Secret (${String(status)})`);
}

function unavailable(failure: Failure['kind'], message: string): Failure {
  return new Failure({ kind: failure, reason: 'DestinationUnavailable', message });
}

/** A Secret is a destination: what the API server fails at is told under that reason. */
function asDestination(error: unknown): unknown {
  if (!(error instanceof Failure) || error.reason !== 'InternalError') return error;
  const { kind: failure, message, retryAfterMs } = error;
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new Failure({ kind: failure, reason: 'DestinationUnavailable', message, ...wait });
}
