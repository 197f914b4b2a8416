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

/** A leader that was killed holds its lease for 15 s, or as long as KEYWRIGHT_LEASE_DURATION said. */
const leaseWaitMs = 60_000;
const tries = 3;

/**
 * `keywright release`: after the operator is gone, takes off what would need it: the finalizers of all our objects, and the
 * owner references of the Secrets, which would go with their ApiKeys. No key is revoked, no value is touched, no object is
 * deleted: an authorizer goes on to allow the keys. It holds the operators' Lease meanwhile, so that none works against it.
 */
export async function runRelease(context: CommandContext, options: ReleaseOptions): Promise<ExitCode> {
  const resources = await openCluster(context, {});
  try {
    if (options.dryRun) return await release(context, resources, options);
    return await whileNobodyLeads(context, resources, options.operatorNamespace, () => release(context, resources, options));
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
  work: () => Promise<ExitCode>,
): Promise<ExitCode> {
  // Without the namespace of the Lease there is no operator.
  if ((await resources.readLive('Namespace', { name: namespace })) === undefined) return await work();
  const lost = new AbortController();
  const identity = `release_${systemId()}`;
  const onLost = (): void => {
    lost.abort();
  };
  const election = resources.elect({ namespace, name: leaseName, identity, onLost });
  const deadline = AbortSignal.any([context.signal, AbortSignal.timeout(leaseWaitMs)]);
  try {
    await election.acquire(deadline);
  } catch (error) {
    if (!deadline.aborted) throw error;
    if (context.signal.aborted) return exitCodes.stopped;
    context.print(
      `an operator works in ${namespace}, or its Lease cannot be taken: stop it first (helm uninstall), then run this again\n`,
    );
    return exitCodes.failed;
  }
  try {
    return await work();
  } finally {
    await election.release();
  }
}

async function release(context: CommandContext, resources: KubeResources, options: ReleaseOptions): Promise<ExitCode> {
  const { namespace } = options;
  const kinds = namespace === undefined ? apiKinds : (['ApiKey'] as const);
  const isMeant = (metadata: OwnedMeta): boolean => namespace === undefined || metadata.namespace === namespace;
  const say = (what: string): void => {
    context.print(`${options.dryRun ? 'would release' : 'released'} ${what}\n`);
  };
  let left = 0;
  // Secrets first: an ApiKey without a finalizer may go in the next moment, and its Secret with it.
  for (const secret of (await resources.listLive('Secret')).filter(isMeant).filter(isOwned)) {
    const isDone = options.dryRun || (await settled(resources, 'Secret', secret, (found) => disown(resources, found)));
    if (isDone) say(`secret ${secret.namespace ?? ''}/${secret.name}`);
    else left += 1;
  }
  for (const kind of [...kinds].reverse()) {
    for (const metadata of (await resources.listLive(kind)).filter(isMeant).filter(isHeld)) {
      const isDone = options.dryRun || (await settled(resources, kind, metadata, (found) => letGo(resources, kind, found)));
      const name = metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;
      if (isDone) say(`${kindTable[kind].singular} ${name}`);
      else left += 1;
    }
  }
  if (left === 0) return exitCodes.stopped;
  context.print(`${left} objects changed meanwhile and are not released; run this again\n`);
  return exitCodes.failed;
}

const isOwned = (metadata: OwnedMeta): boolean =>
  metadata.ownerReferences?.some((owner) => owner.apiVersion === apiVersion) === true;
const isHeld = (metadata: OwnedMeta): boolean => metadata.finalizers?.includes(finalizer) === true;

const disown = (resources: KubeResources, found: OwnedMeta): Promise<'written' | 'lost'> =>
  isOwned(found) ? resources.disown(found) : Promise.resolve('written');

const letGo = (resources: KubeResources, kind: ApiKind, found: OwnedMeta): Promise<'written' | 'lost'> => {
  const others = (found.finalizers ?? []).filter((one) => one !== finalizer);
  return isHeld(found) ? resources.setFinalizers(kind, found, others) : Promise.resolve('written');
};

/** Changes an object that somebody may be changing too; one that is gone, or made anew, is no more our matter. */
async function settled(
  resources: KubeResources,
  kind: ApiKind | 'Secret',
  first: OwnedMeta,
  change: (found: OwnedMeta) => Promise<'written' | 'lost'>,
): Promise<boolean> {
  let found: OwnedMeta | undefined = first;
  for (let attempt = 0; attempt < tries && found !== undefined; attempt += 1) {
    if ((await change(found)) === 'written') return true;
    found = (await resources.listLive(kind)).find(({ uid }) => uid === first.uid);
  }
  return found === undefined;
}
