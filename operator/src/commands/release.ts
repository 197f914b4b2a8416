import { leaseName } from '../api/admission/roles.ts';
import { apiKinds, kindTable, type ApiKind } from '../api/kinds.ts';
import { apiVersion, finalizer } from '../api/meta.ts';
import { Failure } from '../domain/failure.ts';
import type { KubeResources, OwnedMeta } from '../resources/kube/resources.ts';
import { exitCodes, systemId, type CommandContext, type ExitCode } from './command.ts';
import { openCluster } from './cluster.ts';

/** The arguments of `keywright release`. */
export interface ReleaseOptions {
  /** Only the ApiKeys of this namespace, and nothing of the cluster's kinds. */
  readonly namespace?: string;
  readonly operatorNamespace: string;
  readonly dryRun: boolean;
}

/** Beyond the time for which a leader that was killed still holds the Lease: for the tries to take it. */
const leaseMarginMs = 5_000;
const tries = 3;

/**
 * `keywright release`: after the operator is gone, takes off what would need it: the finalizers of all our objects, and the
 * owner references of the Secrets, which would go with their ApiKeys. No key is revoked, no value is touched, no object is
 * deleted: an authorizer goes on to allow the keys. It holds the operators' Lease meanwhile, so that none works against it.
 */
export async function runRelease(context: CommandContext, options: ReleaseOptions): Promise<ExitCode> {
  const resources = await openCluster(context, {});
  try {
    const work = (isAlone: () => boolean): Promise<ExitCode> => release(context, resources, { ...options, isAlone });
    if (options.dryRun) return await work(() => true);
    return await whileNobodyLeads(context, resources, options.operatorNamespace, work);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    context.print(`${error.message}; run this again\n`);
    return exitCodes.failed;
  } finally {
    await resources.close();
  }
}

async function whileNobodyLeads(
  context: CommandContext,
  resources: KubeResources,
  namespace: string,
  work: (isAlone: () => boolean) => Promise<ExitCode>,
): Promise<ExitCode> {
  // Without the namespace of the Lease there is no operator.
  if ((await resources.readLive('Namespace', { name: namespace })) === undefined) return await work(() => true);
  const identity = `release_${systemId()}`;
  const election = resources.elect({ namespace, name: leaseName, identity, onLost: () => undefined });
  const heldMs = await resources.leaseHeldFor({ namespace, name: leaseName });
  if (heldMs !== undefined) context.print('an operator holds the Lease: waiting until it has been silent for long enough\n');
  const taken = await withDeadline(context, (heldMs ?? 0) + leaseMarginMs, (signal) => election.acquire(signal));
  if (taken !== 'done') {
    if (taken === 'stopped') return exitCodes.stopped;
    context.print(
      `an operator works in ${namespace}, or its Lease cannot be taken: stop it (helm uninstall), then run this again\n`,
    );
    return exitCodes.failed;
  }
  try {
    return await work(() => election.holds());
  } finally {
    await election.release();
  }
}

/** Does something that can be aborted until it is done, the time is up, or the process is asked to stop. */
async function withDeadline(
  { clock, signal }: CommandContext,
  timeoutMs: number,
  act: (signal: AbortSignal) => Promise<void>,
): Promise<'done' | 'late' | 'stopped'> {
  const late = new AbortController();
  const done = new AbortController();
  void clock.sleep(timeoutMs, AbortSignal.any([signal, done.signal])).then(
    () => {
      late.abort();
    },
    () => undefined,
  );
  try {
    await act(AbortSignal.any([signal, late.signal]));
    return 'done';
  } catch (error) {
    if (signal.aborted) return 'stopped';
    if (late.signal.aborted) return 'late';
    throw error;
  } finally {
    done.abort();
  }
}

interface Work extends ReleaseOptions {
  /** False when an operator may have begun to work meanwhile. */
  readonly isAlone: () => boolean;
}

async function release(context: CommandContext, resources: KubeResources, options: Work): Promise<ExitCode> {
  const { dryRun, isAlone } = options;
  let left = 0;
  for (const task of await tasksOf(resources, options.namespace)) {
    if (dryRun || (isAlone() && (await settled(resources, task)))) {
      context.print(`${dryRun ? 'would release' : 'released'} ${nameOf(task)}\n`);
    } else left += 1;
  }
  if (left === 0) return exitCodes.stopped;
  context.print(`not released: ${left} objects that changed meanwhile, or an operator began to work; run this again\n`);
  return exitCodes.failed;
}

/** One object that would need the operator, and what lets it go. */
interface Task {
  readonly kind: ApiKind | 'Secret';
  readonly metadata: OwnedMeta;
  readonly change: (resources: KubeResources, found: OwnedMeta) => Promise<'written' | 'lost'>;
}

/** Secrets first: an ApiKey without a finalizer may go in the next moment, and its Secret with it. Then what refers to others. */
async function tasksOf(resources: KubeResources, namespace: string | undefined): Promise<readonly Task[]> {
  const kinds = namespace === undefined ? [...apiKinds].reverse() : (['ApiKey'] as const);
  const tasks: Task[] = [];
  for (const metadata of (await resources.listWhole('Secret')).filter(isOwned))
    tasks.push({ kind: 'Secret', metadata, change: (cluster, found) => cluster.disown(found) });
  for (const kind of kinds) {
    const change: Task['change'] = (cluster, found) =>
      cluster.setFinalizers(
        kind,
        found,
        (found.finalizers ?? []).filter((one) => one !== finalizer),
      );
    for (const metadata of (await resources.listWhole(kind)).filter(isHeld)) tasks.push({ kind, metadata, change });
  }
  return tasks.filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace);
}

const isOwned = (metadata: OwnedMeta): boolean =>
  metadata.ownerReferences?.some((owner) => owner.apiVersion === apiVersion) === true;
const isHeld = (metadata: OwnedMeta): boolean => metadata.finalizers?.includes(finalizer) === true;

/** Changes an object that somebody may be changing too; one that is gone, or made anew, is no more our matter. */
async function settled(resources: KubeResources, { kind, metadata, change }: Task): Promise<boolean> {
  let found: OwnedMeta | undefined = metadata;
  for (let attempt = 0; attempt < tries && found !== undefined; attempt += 1) {
    if ((await change(resources, found)) === 'written') return true;
    found = (await resources.listWhole(kind)).find(({ uid }) => uid === metadata.uid);
  }
  return found === undefined;
}

/** As kubectl writes it: `apikey payments/billing`. */
function nameOf({ kind, metadata: { namespace, name } }: Task): string {
  const singular = kind === 'Secret' ? 'secret' : kindTable[kind].singular;
  return `${singular} ${namespace === undefined ? name : `${namespace}/${name}`}`;
}
