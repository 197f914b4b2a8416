import { annotations, finalizer } from '../../api/meta.ts';
import { act, hold, type Decision } from '../action.ts';
import { holdOf, openTargets, type Observed } from '../observed.ts';
import { validate, validatePermission } from '../validate.ts';
import { ownerNotFoundMessage, terminatingMessage } from '../verdict.ts';
import { drift, envelope } from './delivery.ts';
import { ownerBinding } from './binding.ts';
import { compromisedNewest, nothingLive, ownVersion, pendingEpoch } from './minting.ts';
import { expiryLater, rollouts, rotation } from './rotating.ts';

/** `keywright.dev/paused: "true"`: nothing moves on; the safety rules above ran already. */
export function paused(o: Observed): Decision | undefined {
  return o.resource.metadata.annotations?.[annotations.paused] === 'true'
    ? hold('stalled', 'Paused', `paused by the annotation ${annotations.paused}`)
    : undefined;
}

/** A namespace on its way out gets nothing new. */
export function namespaceTerminating(o: Observed): Decision | undefined {
  return o.namespaceTerminating ? hold('waiting', 'NamespaceTerminating', terminatingMessage(o.ref.namespace)) : undefined;
}

/**
 * Before the first effect, so that no deletion can overtake it. An ApiKey that gets nothing new needs none, unless it has something
 * to lose: what it took over, or what it had when its finalizer was taken away.
 */
export function finalizing(o: Observed): Decision | undefined {
  if (o.resource.metadata.finalizers?.includes(finalizer) === true) return undefined;
  const isIdle = o.store.key === undefined && (paused(o) ?? namespaceTerminating(o)) !== undefined;
  return isIdle ? undefined : act({ kind: 'addFinalizer' });
}

/**
 * A change that the policy did not check is held until somebody confirms it: it mints, delivers, prolongs and pauses nothing. A
 * key that was accepted before goes on as it was accepted; any other key does not go on.
 */
export function acceptance(o: Observed): Decision | undefined {
  if (o.acceptance.kind === 'unchecked') return act({ kind: 'checkAdmission' });
  const blocker = o.held === undefined ? holdOf(o) : undefined;
  return blocker === undefined ? undefined : { kind: 'hold', blocker };
}

/** What the spec names but is not there yet: apply order must not matter. A missing destination blocks only itself. */
export function references(o: Observed): Decision | undefined {
  const { spec } = o.resource;
  if (o.catalog === undefined)
    return hold(
      'waiting',
      'CatalogNotFound',
      `spec.catalog: ApiCatalog ${spec.catalog} ${o.catalogUnusable === true ? 'is not in force; its status says why' : 'does not exist'}`,
    );
  if (o.owner === undefined) return hold('waiting', 'OwnerNotFound', `spec.owner: ${ownerNotFoundMessage(spec.owner)}`);
  if (openTargets(o).length > 0) return undefined;
  const blocked = o.targets.find((target) => target.blocked !== undefined)?.blocked;
  return blocked === undefined ? undefined : { kind: 'hold', blocker: blocked };
}

/** Stalled until somebody changes something: what is delivered stays, nothing new comes. */
export function validity(o: Observed): Decision | undefined {
  const fault = validate(o) ?? validatePermission(o);
  return fault === undefined ? undefined : { kind: 'hold', blocker: fault };
}

/** Every progress rule, in order; the first that speaks decides. */
export const progressRules = {
  finalizing,
  acceptance,
  paused,
  namespaceTerminating,
  references,
  validity,
  ownerBinding,
  expiryLater,
  pendingEpoch,
  nothingLive,
  compromisedNewest,
  ownVersion,
  drift,
  envelope,
  rotation,
  rollouts,
} as const;
