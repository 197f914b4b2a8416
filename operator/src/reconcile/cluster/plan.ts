import type { ApiCatalog, KeyDestination, KeyOwner, KeyOwnerGroup } from '../../api/kinds.ts';
import { finalizer, type ObjectMeta } from '../../api/meta.ts';
import type { CatalogModel, GrantRule } from '../../domain/catalog.ts';
import type { Failure } from '../../domain/failure.ts';
import type { CatalogInForce } from '../references.ts';
import { no, yes, type Statement } from '../verdict.ts';
import { catalogFaults, formatFault, heldElsewhere, hostConflict, unknownNames, type Claim, type HostHolders } from './faults.ts';

/** Faults told at once; the rest is counted. */
const mostTold = 10;

/** What is to be done for an object of a cluster kind. Every one of these may be repeated. */
export type ClusterPlan =
  /** Before the first effect, so that no deletion can overtake it. */
  | { readonly kind: 'finalize' }
  /** It is being deleted: out of the store first, then the finalizer goes. */
  | { readonly kind: 'remove' }
  /** It is being deleted, and something still needs it. */
  | { readonly kind: 'hold'; readonly ready: Statement }
  /** As declared into the store. `stalled`: it cannot be used, and only a person can change that. */
  | { readonly kind: 'save'; readonly ready: Statement; readonly stalled?: boolean }
  /** The declared is not for use; what was in force stays. */
  | { readonly kind: 'keep'; readonly ready: Statement }
  /** Nothing of it may be in force. */
  | { readonly kind: 'withdraw'; readonly ready: Statement };

/** What {@link planCatalog} looks at. */
export interface CatalogObserved {
  readonly resource: ApiCatalog;
  /** Of this uid. */
  readonly inForce: CatalogInForce | undefined;
  /** The other catalogs and the hosts that they claim. */
  readonly others: readonly Claim[];
  readonly holders: HostHolders;
}

/**
 * Valid as a whole, or nothing of the edit counts. A catalog that claims a host of another one serves nothing, unless the claim
 * came with an edit: then that edit does not count.
 */
export function planCatalog({ resource, inForce, others, holders }: CatalogObserved): ClusterPlan {
  const early = beginning(resource.metadata);
  if (early !== undefined) return early;
  const { metadata } = resource;
  const standing =
    inForce === undefined ? undefined : heldElsewhere({ metadata, hosts: inForce.index.model.requests.hosts }, holders);
  const faults = catalogFaults(resource.spec);
  if (faults.length > 0) {
    const before = inForce === undefined || standing !== undefined ? '' : '; the last valid specification stays in force';
    const ready = no('InvalidSpec', `${listed(faults.map(formatFault))}${before}`);
    return { kind: standing === undefined ? 'keep' : 'withdraw', ready };
  }
  const conflict = hostConflict({ metadata, hosts: resource.spec.requests.hosts }, others, holders);
  if (conflict === undefined) return { kind: 'save', ready: yes('Available', 'Valid and in force.') };
  const why = conflict.why === 'inForce' ? 'has it in force' : 'claims it too and is older';
  const claim = `spec.requests.hosts[${conflict.at}]: ${conflict.host} belongs to ApiCatalog ${conflict.by}, which ${why}`;
  return inForce === undefined || standing !== undefined
    ? { kind: 'withdraw', ready: no('HostConflict', `${claim}; nothing of this catalog is served`) }
    : { kind: 'keep', ready: no('HostConflict', `${claim}; the last valid specification stays in force`) };
}

/** How an owner or group finds what its rules name. */
export interface Names {
  readonly catalog: (name: string) => CatalogModel | undefined;
  readonly hasGroup: (name: string) => boolean;
}

/** An owner is taken as it is: what its rules name in vain grants nothing, and is told. */
export function planOwner({ metadata, spec }: KeyOwner, rules: readonly GrantRule[], names: Names): ClusterPlan {
  const early = beginning(metadata);
  if (early !== undefined) return early;
  const groups = spec.groups.flatMap((name, at) =>
    names.hasGroup(name) ? [] : [`spec.groups[${at}]: KeyOwnerGroup ${name} does not exist`],
  );
  const unknown = [...groups, ...unknownNames(rules, names.catalog)];
  if (unknown.length > 0) return { kind: 'save', ready: told(unknown) };
  return { kind: 'save', ready: yes('Available', spec.disabled ? 'Disabled: every key of the owner is refused.' : 'In force.') };
}

/** A group is taken as it is too. Its finalizer sees to it that its rules do not outlive it in the store. */
export function planGroup({ metadata }: KeyOwnerGroup, rules: readonly GrantRule[], names: Names): ClusterPlan {
  const early = beginning(metadata);
  if (early !== undefined) return early;
  const unknown = unknownNames(rules, names.catalog);
  return { kind: 'save', ready: unknown.length > 0 ? told(unknown) : yes('Available', 'In force.') };
}

/** A destination stays while keys are delivered to it: without it their values could not be withdrawn. */
export function planDestination(
  { metadata }: KeyDestination,
  seen: { readonly keys: number; readonly failure: Failure | undefined },
): ClusterPlan {
  if (metadata.deletionTimestamp !== undefined && seen.keys > 0) {
    const keys = seen.keys === 1 ? '1 ApiKey is' : `${seen.keys} ApiKeys are`;
    return {
      kind: 'hold',
      ready: no('Delivering', `being deleted; ${keys} still delivered here: take it out of their spec.deliverTo`),
    };
  }
  const early = beginning(metadata);
  if (early !== undefined) return early;
  const { failure } = seen;
  if (failure === undefined) return { kind: 'save', ready: yes('Available', 'Login and rights are there.') };
  return { kind: 'save', ready: no(failure.reason, failure.message), stalled: failure.kind === 'stalled' };
}

/** A plan that a status tells of. */
export type ToldPlan = Extract<ClusterPlan, { readonly ready: Statement }>;

/**
 * kstatus: Stalled when a person must act, Reconciling while something is awaited (a name that is not there yet, a server
 * that does not answer, keys that leave), never both, neither when it can be used.
 */
export function progressOf(plan: ToldPlan): { readonly Reconciling: Statement; readonly Stalled: Statement } {
  const { status, reason, message } = plan.ready;
  if (status === 'True') return { Reconciling: no('Steady'), Stalled: no('Steady') };
  const stuck = plan.kind === 'keep' || plan.kind === 'withdraw' || (plan.kind === 'save' && plan.stalled === true);
  return stuck
    ? { Reconciling: no(reason, message), Stalled: yes(reason, message) }
    : { Reconciling: yes(reason, message), Stalled: no('Progressing') };
}

function beginning({ deletionTimestamp, finalizers }: ObjectMeta): ClusterPlan | undefined {
  if (deletionTimestamp !== undefined) return { kind: 'remove' };
  return finalizers?.includes(finalizer) === true ? undefined : { kind: 'finalize' };
}

function told(unknown: readonly string[]): Statement {
  return no('UnknownName', `${listed(unknown)}; what is unknown grants nothing`);
}

function listed(sentences: readonly string[]): string {
  const rest = sentences.length - mostTold;
  return `${sentences.slice(0, mostTold).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`;
}
