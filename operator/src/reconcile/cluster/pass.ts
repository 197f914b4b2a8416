import type { KubeObject, ObjectMeta } from '../../api/meta.ts';
import { finalizer } from '../../api/meta.ts';
import type { Condition } from '../../api/kinds.ts';
import { Failure, transient } from '../../domain/failure.ts';
import { formatInstant, parsePastInstant } from '../../domain/time.ts';
import type { Next } from '../../queue/queue.ts';
import type { Kinds } from '../../resources/port.ts';
import type { Dependency } from '../dependents.ts';
import { probeEveryMs, retryEveryMs, type Outages, type Probed } from '../outages.ts';
import { enforcedOf } from '../enforcement.ts';
import { sameStatus } from '../reconciler.ts';
import { specRequester } from '../requester.ts';
import { conditionsOf } from '../status.ts';
import { withinHardDeadline } from '../traffic.ts';
import { catalogs } from './catalogs.ts';
import { catalogFaults } from './faults.ts';
import { markOf, type ClusterDependencies, type ClusterKind, type Handling } from './handling.ts';
import { toCatalogModel, toGroupRow, toOwnerRow } from './model.ts';
import { planDestination, planGroup, planOwner, progressOf, type ClusterPlan, type Names, type ToldPlan } from './plan.ts';

/** What came of one pass. */
export interface ClusterPass {
  readonly next: Next;
  /** What is in force is another: who depends on it must be looked at. */
  readonly changed: readonly Dependency[];
}

const maxSteps = 4;

/** One object of a cluster kind, one pass: plan, then the store, then what is in force, then the status. */
export async function passOver(deps: ClusterDependencies, kind: ClusterKind, name: string): Promise<ClusterPass> {
  switch (kind) {
    case 'ApiCatalog':
      return run(deps, kind, name, catalogs(deps));
    case 'KeyOwner':
      return run(deps, kind, name, owners(deps));
    case 'KeyOwnerGroup':
      return run(deps, kind, name, groups(deps));
    case 'KeyDestination':
      return run(deps, kind, name, destinations(deps));
  }
}

async function run<K extends ClusterKind>(
  deps: ClusterDependencies,
  kind: K,
  name: string,
  handling: Handling<K>,
): Promise<ClusterPass> {
  const before = handling.mark(name);
  let removed = false;
  const passed = (next: Next): ClusterPass => ({
    next,
    changed: handling.mark(name) === before && !removed ? [] : [`${kind}/${name}`],
  });
  for (let step = 0; step < maxSteps; step += 1) {
    const resource = await deps.resources.readLive(kind, { name });
    if (resource === undefined) {
      // Taken away by force, or deleted before the database was restored: what it gave goes all the same.
      const uid = await handling.uidInForce(name);
      deps.assertLeading();
      removed = (await handling.remove(uid, name)) === 'done';
      return passed({ kind: 'awaitChange' });
    }
    const plan = await handling.plan(resource);
    if (plan.kind === 'finalize') {
      await setFinalizers(deps, kind, resource, (given) => [...given, finalizer]);
      continue;
    }
    deps.assertLeading();
    const { uid } = resource.metadata;
    if (plan.kind === 'save') await handling.save(resource);
    if (plan.kind === 'keep') await handling.keep(name);
    if (plan.kind === 'withdraw' || plan.kind === 'remove') removed = (await handling.remove(uid, name)) === 'done';
    if (plan.kind === 'remove') {
      if (resource.metadata.finalizers?.includes(finalizer) === true)
        await setFinalizers(deps, kind, resource, (given) => given.filter((one) => one !== finalizer));
      return passed({ kind: 'awaitChange' });
    }
    await writeStatus(deps, kind, resource, plan, await handling.status(resource, plan));
    return passed(handling.next(plan, resource));
  }
  throw transient('InternalError', `not finished after ${maxSteps} steps; will retry`);
}

async function setFinalizers(
  deps: ClusterDependencies,
  kind: ClusterKind,
  { metadata }: KubeObject,
  change: (given: readonly string[]) => readonly string[],
): Promise<void> {
  deps.assertLeading();
  const outcome = await deps.resources.setFinalizers(kind, metadata, change(metadata.finalizers ?? []));
  if (outcome === 'lost') throw transient('ConflictRetry', 'the object was changed by somebody else; will retry');
}

/** Writes the status when it says something new, and an event when Ready does. */
async function writeStatus(
  deps: ClusterDependencies,
  kind: ClusterKind,
  resource: KubeObject,
  plan: ToldPlan,
  extra: object,
): Promise<void> {
  const { metadata } = resource;
  const { ready } = plan;
  const previous = resource.status as { readonly conditions?: readonly Condition[] } | undefined;
  const before = previous?.conditions?.find(({ type }) => type === 'Ready');
  const statements = { Ready: ready, ...enforcedOf(kind, resource.spec), ...progressOf(plan) };
  const conditions = conditionsOf(statements, previous?.conditions ?? [], deps.clock.now(), metadata.generation);
  const generation = metadata.generation === undefined ? {} : { observedGeneration: metadata.generation };
  const status = { ...generation, conditions, ...extra };
  if (sameStatus(previous, status)) return;
  if (before?.status !== ready.status || before.reason !== ready.reason || before.message !== ready.message) {
    const type = ready.status === 'True' ? 'Normal' : 'Warning';
    deps.resources.recordEvent(kind, metadata, { type, reason: ready.reason, message: ready.message });
  }
  await deps.resources.applyStatus(kind, metadata, status);
}

function owners(deps: ClusterDependencies): Handling<'KeyOwner'> {
  const { store, clock, inForce, counts } = deps;
  return {
    uidInForce: async (name) => (await store.listInForce('KeyOwner', name))[0]?.uid,
    plan: async (resource) => planOwner(resource, toOwnerRow(resource).rules, namesOf(deps)),
    save: async (owner) => {
      await store.saveOwner(toOwnerRow(owner), clock.now(), specRequester(owner.metadata));
      inForce.setOwner(owner.metadata.name, owner);
    },
    keep: async () => {},
    remove: async (uid, name) => {
      const outcome = uid === undefined ? 'already' : await store.deleteOwner(uid, clock.now());
      inForce.setOwner(name, undefined);
      return outcome;
    },
    mark: (name) => markOf(inForce.owner(name)),
    status: async ({ metadata, status }) => {
      if (!counts.refreshed && status?.keys !== undefined) return { keys: status.keys };
      const total = (await counts.current()).byOwner.get(metadata.name) ?? 0;
      return { keys: { total, ready: Math.min(counts.readyOf(metadata.name), total) } };
    },
    next: () => ({ kind: 'awaitChange' }),
  };
}

function groups(deps: ClusterDependencies): Handling<'KeyOwnerGroup'> {
  const { store, clock, inForce, counts } = deps;
  return {
    uidInForce: async (name) => (await store.listInForce('KeyOwnerGroup', name))[0]?.uid,
    plan: async (resource) => planGroup(resource, toGroupRow(resource).rules, namesOf(deps)),
    save: async (group) => {
      await store.saveGroup(toGroupRow(group), clock.now(), specRequester(group.metadata));
      inForce.setGroup(group.metadata.name, group);
    },
    keep: async () => {},
    remove: async (uid, name) => {
      const outcome = uid === undefined ? 'already' : await store.deleteGroup(uid, clock.now());
      inForce.setGroup(name, undefined);
      return outcome;
    },
    mark: (name) => markOf(inForce.group(name)),
    status: async ({ metadata, status }) => {
      if (!counts.refreshed && status?.keys !== undefined) return { keys: status.keys };
      const { byOwner } = await counts.current();
      const members = inForce.membersOf(metadata.name);
      const total = members.reduce((sum, owner) => sum + (byOwner.get(owner) ?? 0), 0);
      const ready = members.reduce((sum, owner) => sum + counts.readyOf(owner), 0);
      return { keys: { total, ready: Math.min(ready, total) } };
    },
    next: () => ({ kind: 'awaitChange' }),
  };
}

function destinations(deps: ClusterDependencies): Handling<'KeyDestination'> {
  const { store, clock, outages, counts } = deps;
  let healed = false;
  return {
    uidInForce: async () => undefined,
    plan: async (resource) => {
      const { metadata } = resource;
      // Keys wait for the finalizer, and not for a probe.
      const isNew = metadata.deletionTimestamp === undefined && metadata.finalizers?.includes(finalizer) !== true;
      if (isNew) return { kind: 'finalize' };
      const wasDown = isKnownDown(outages, resource);
      // Even when the probe is answered, the breaker may still refuse the calls of keys.
      const failure = (await probeWhenDue(deps, resource)) ?? outages.callFailure(metadata.uid);
      healed = failure === undefined && (wasDown || outages.takeMended(metadata.uid));
      if (metadata.deletionTimestamp === undefined) return planDestination(resource, { keys: 0, failure });
      // A pass over a key asks the cache whether the destination is leaving, after its row is there and before it writes:
      // the rows are counted only when the cache says so too.
      if (deps.resources.get('KeyDestination', metadata)?.metadata.deletionTimestamp === undefined)
        throw transient('ConflictRetry', 'the deletion has not come to the cache yet; will retry');
      const keys = (await store.countKeys()).byDestination.get(metadata.uid) ?? 0;
      return planDestination(resource, { keys, failure });
    },
    save: async () => {},
    keep: async () => {},
    remove: async (uid) => {
      if (uid !== undefined) outages.forget(uid);
      return 'already';
    },
    // One that answers again wakes the keys that wait for it.
    mark: () => (healed ? 'healed' : undefined),
    status: async (resource, plan) => {
      const checked = plan.kind === 'hold' ? resource.status?.lastCheckedAt : checkedAt(outages, resource, plan);
      const keys = (await counts.current()).byDestination.get(resource.metadata.uid) ?? 0;
      return { keys, ...(checked === undefined ? {} : { lastCheckedAt: checked }) };
    },
    next: (plan, { metadata }) => {
      const probeAt = outages.probeAt(probedOf(metadata));
      return { kind: 'at', at: plan.kind === 'hold' ? Math.min(probeAt, clock.now() + retryEveryMs) : probeAt };
    },
  };
}

/** The failure of the probe that is due now, or of the last one: a start and a change of the counts make none. */
async function probeWhenDue(deps: ClusterDependencies, resource: Kinds['KeyDestination']): Promise<Failure | undefined> {
  const { outages, clock } = deps;
  const { metadata, status } = resource;
  const probed = probedOf(metadata);
  const works = status?.conditions.some((one) => one.type === 'Ready' && one.status === 'True') === true;
  const isCurrent = works && status.observedGeneration === metadata.generation;
  const lastAt = isCurrent ? parsePastInstant(status.lastCheckedAt, clock.now()) : undefined;
  if (lastAt !== undefined) outages.recall(probed, lastAt);
  if (outages.probeAt(probed) > clock.now()) return outages.probeFailure(metadata.uid);
  const failure = await probe(deps, metadata.uid);
  outages.note(probed, failure);
  return failure;
}

/** By the last probe, or, before the first one of this process, by the status. */
function isKnownDown(outages: Outages, { metadata, status }: Kinds['KeyDestination']): boolean {
  if (outages.probedAt(metadata.uid) !== undefined) return outages.probeFailure(metadata.uid) !== undefined;
  return status?.conditions.some((one) => one.type === 'Ready' && one.status === 'False') === true;
}

function probedOf({ uid, generation }: ObjectMeta): Probed {
  return { uid, generation };
}

/** A failing destination is tried often; its status says so only every five minutes, or when something is new. */
function checkedAt(outages: Outages, resource: Kinds['KeyDestination'], plan: ClusterPlan): string | undefined {
  const last = resource.status?.lastCheckedAt;
  const probedAt = outages.probedAt(resource.metadata.uid);
  if (probedAt === undefined) return last;
  const before = resource.status?.conditions.find(({ type }) => type === 'Ready');
  const same =
    'ready' in plan &&
    before?.reason === plan.ready.reason &&
    before.message === plan.ready.message &&
    resource.status?.observedGeneration === resource.metadata.generation;
  const behindMs = probedAt - Date.parse(last ?? '');
  return same && last !== undefined && behindMs >= 0 && behindMs < probeEveryMs ? last : formatInstant(probedAt);
}

async function probe({ destinations, clock }: ClusterDependencies, uid: string): Promise<Failure | undefined> {
  try {
    const destination = await destinations.open(uid);
    await withinHardDeadline(clock, destination.probe());
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

/** What rules may name: as it is in force, or, before its first pass, as it is declared. */
function namesOf({ resources, inForce }: ClusterDependencies): Names {
  return {
    catalog: (name) => {
      const found = inForce.catalog(name);
      if (found !== undefined) return found.index.model;
      const declared = resources.get('ApiCatalog', { name });
      const usable = declared?.metadata.deletionTimestamp === undefined && declared !== undefined;
      return usable && catalogFaults(declared.spec).length === 0 ? toCatalogModel(declared.spec) : undefined;
    },
    hasGroup: (name) => {
      const group = resources.get('KeyOwnerGroup', { name });
      return group !== undefined && group.metadata.deletionTimestamp === undefined;
    },
  };
}
