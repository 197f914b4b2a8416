import type { ApiKey, DeliveryTarget, KeyDestination } from '../api/kinds.ts';
import { finalizer } from '../api/meta.ts';
import { placeOf } from '../destinations/place.ts';
import { resolveLocation, secretLocation } from '../destinations/location.ts';
import { Failure } from '../domain/failure.ts';
import type { Location } from '../domain/key.ts';
import { selectsNamespace } from '../domain/namespaces.ts';
import { placeFault, type FindDestination, type Placing } from './acceptedplaces.ts';
import type { Blocker, Pace, Target } from './observed.ts';

/** AWS keeps a hundred versions of a secret, and asks for at most one in ten minutes. */
const awsPace: Pace = { writeEveryMs: 600_000 };

/** What is open to whom. */
export interface Openings {
  /** How a KeyDestination is looked up by name: from the cache. */
  readonly findDestination: FindDestination;
  /** Which places count. */
  readonly placing?: Pick<Placing, 'places' | 'remedy'>;
  /** The namespaces whose Secrets may be delivered to; absent = all. */
  readonly secretNamespaces?: readonly string[] | undefined;
}

interface NamespaceFacts {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The `deliverTo` entries with their places, and why one may not be written to. */
export function resolveTargets(resource: ApiKey, namespace: NamespaceFacts, openings: Openings): readonly Target[] {
  return resource.spec.deliverTo.map(({ secret, ...target }) =>
    secret === undefined
      ? resolveProvider(target, resource.metadata.name, namespace, openings)
      : resolveSecret(target.name, secret.name, namespace, openings),
  );
}

function resolveSecret(name: string, secret: string, namespace: NamespaceFacts, { secretNamespaces }: Openings): Target {
  const place = locate(name, () => secretLocation(namespace.name, secret));
  if (secretNamespaces === undefined || secretNamespaces.includes(namespace.name)) return place;
  const message = `${name}: this operator delivers no Secrets to namespace ${namespace.name}`;
  return { ...place, blocked: { kind: 'stalled', reason: 'NotPermitted', message } };
}

function resolveProvider(
  target: Omit<DeliveryTarget, 'secret'>,
  keyName: string,
  namespace: NamespaceFacts,
  { findDestination, placing = {} }: Openings,
): Target {
  const { name } = target;
  const wanted = target.destination ?? '';
  const destination = findDestination(wanted);
  if (destination === undefined) {
    return {
      name,
      blocked: { kind: 'waiting', reason: 'DestinationNotFound', message: `${name}: KeyDestination ${wanted} does not exist` },
    };
  }
  // Without a location, so that this place is neither read nor emptied, and the accepted place stays known.
  const strange = placeFault(name, destination, placing);
  if (strange !== undefined) return { name, blocked: strange };
  const located = locate(name, () =>
    resolveLocation(destination, { namespace: namespace.name, name: keyName, path: target.path }),
  );
  const place = { ...located, place: placeOf(destination) };
  const paced = destination.spec.aws === undefined ? place : { ...place, pace: awsPace };
  const blocked = blockedBy(destination, name, namespace);
  return blocked === undefined ? paced : { ...paced, blocked };
}

function blockedBy(destination: KeyDestination, name: string, namespace: NamespaceFacts): Blocker | undefined {
  const wanted = destination.metadata.name;
  if (!selectsNamespace(destination.spec.allowedNamespaces, namespace)) {
    return {
      kind: 'stalled',
      reason: 'NotPermitted',
      message: `${name}: KeyDestination ${wanted} does not allow keys of namespace ${namespace.name}`,
    };
  }
  if (destination.metadata.deletionTimestamp !== undefined) {
    return {
      kind: 'waiting',
      reason: 'DestinationNotFound',
      message: `${name}: KeyDestination ${wanted} is being deleted; take it out of spec.deliverTo to have the value removed there`,
    };
  }
  // Without it the destination could be gone before the value that is about to go there.
  if (destination.metadata.finalizers?.includes(finalizer) !== true) {
    return {
      kind: 'waiting',
      reason: 'DestinationNotFound',
      message: `${name}: KeyDestination ${wanted} is new and not looked at yet`,
    };
  }
  return undefined;
}

function locate(name: string, resolve: () => Location): Target {
  try {
    return { name, location: resolve() };
  } catch (error) {
    if (error instanceof Failure)
      return { name, blocked: { kind: error.kind, reason: error.reason, message: `${name}: ${error.message}` } };
    throw error;
  }
}
