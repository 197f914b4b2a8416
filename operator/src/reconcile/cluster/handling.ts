import type { KubeObject } from '../../api/meta.ts';
import type { Next } from '../../queue/queue.ts';
import type { Kinds } from '../../resources/port.ts';
import type { Transition } from '../../store/port.ts';
import type { Dependencies } from '../dependencies.ts';
import type { Outages } from '../outages.ts';
import type { Counts } from './counts.ts';
import type { InForce } from './inforce.ts';
import type { ClusterPlan } from './plan.ts';

/** The kinds that belong to no namespace and have a status of ours. */
export type ClusterKind = 'ApiCatalog' | 'KeyOwner' | 'KeyOwnerGroup' | 'KeyDestination';

/** What a pass over an object of a cluster kind may touch. */
export interface ClusterDependencies extends Pick<
  Dependencies,
  'resources' | 'store' | 'destinations' | 'clock' | 'log' | 'assertLeading'
> {
  readonly inForce: InForce;
  readonly counts: Counts;
  readonly outages: Outages;
}

/** What of one kind differs: how it is planned, and how it comes into force and out of it. */
export interface Handling<K extends ClusterKind> {
  /** The uid that the store has in force under this name; absent = none. */
  uidInForce(name: string): Promise<string | undefined>;
  plan(resource: Kinds[K]): Promise<ClusterPlan>;
  /** Into the store, and in force. */
  save(resource: Kinds[K]): Promise<void>;
  /** Into the store again, what is in force instead of an edit: an older database may have something else. */
  keep(name: string): Promise<void>;
  /** Out of the store, and out of force. Without a uid the store has none. */
  remove(uid: string | undefined, name: string): Promise<Transition>;
  /** What tells one declaration in force from another; absent = nothing is in force. */
  mark(name: string): string | undefined;
  /** Besides the conditions. */
  status(resource: Kinds[K], plan: ClusterPlan): Promise<object>;
  next(plan: ClusterPlan, resource: Kinds[K]): Next;
}

/** See {@link Handling.mark}. */
export function markOf(object: KubeObject | undefined): string | undefined {
  return object === undefined ? undefined : `${object.metadata.uid} ${object.metadata.generation ?? 0}`;
}
