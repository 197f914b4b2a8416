import { annotations } from '../api/meta.ts';
import { holdsAccessType } from '../domain/grants.ts';
import type { Location } from '../domain/key.ts';
import type { Reason } from '../domain/reason.ts';
import { reasons } from '../domain/reason.ts';
import {
  activeVersion,
  deliveryAt,
  holdingAt,
  isCatalogReplaced,
  isOwnerReplaced,
  isTampered,
  liveVersions,
  pendingVersion,
  strangerAt,
  usableVersions,
  type Blocker,
  type Observed,
  type Target,
} from './observed.ts';
import type { Plan } from './action.ts';

/** What one condition says: before it becomes a Condition with its times. */
export interface Statement {
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: Reason;
  readonly message: string;
}

export function yes(reason: Reason, message: string = reasons[reason]): Statement {
  return { status: 'True', reason, message };
}

export function no(reason: Reason, message: string = reasons[reason]): Statement {
  return { status: 'False', reason, message };
}

/** What may be wrong at a place, as far as a status tells it from one pass to the next. */
const faultReasons: readonly Reason[] = ['ForeignValue', 'LocationTaken', 'DestinationUnavailable', 'DestinationDrift'];

/** What keeps one target from holding a version, if anything does. */
export function targetFault(o: Observed, target: Target): Blocker | undefined {
  if (target.location === undefined) return target.blocked;
  const holding = holdingAt(o, target.location);
  switch (holding.kind) {
    case 'foreign':
    case 'taken':
      return strangerAt(target, target.location, holding);
    case 'failed':
      return { kind: 'waiting', reason: holding.failure.reason, message: `${target.name}: ${holding.failure.message}` };
    case 'empty':
    case 'ours':
      return target.blocked ?? lossAt(o, target, target.location);
    case 'unseen':
      return target.blocked ?? knownFault(o, target, target.location);
  }
}

/** The store says that a value is there, and it is not. */
function lossAt(o: Observed, target: Target, location: Location): Blocker | undefined {
  const row = deliveryAt(o, location);
  if (row?.state !== 'live' || row.heldKeyId === undefined) return undefined;
  const holding = holdingAt(o, location);
  const lost = holding.kind === 'empty' || (holding.kind === 'ours' && holding.valueSeen && holding.proven !== row.heldKeyId);
  const drifted = (what: string): Blocker => {
    return { kind: 'waiting', reason: 'DestinationDrift', message: `${target.name}: ${what} outside Keywright` };
  };
  if (lost) return drifted('the value was lost or changed');
  return isAlteredAt(o, target) ? drifted('an entry beside the key, or the label of its Secret, was changed') : undefined;
}

/** Readers have the key, but not all of the record as it was delivered. */
function isAlteredAt(o: Observed, { location }: Target): boolean {
  if (location === undefined) return false;
  const holding = holdingAt(o, location);
  return holding.kind === 'ours' && isTampered(o, location, holding);
}

/** What the last status said of a place that this pass did not look at: nobody has seen it mended. */
function knownFault(o: Observed, target: Target, location: Location): Blocker | undefined {
  const known = o.resource.status?.destinations?.find((one) => one.location === location.path)?.reason;
  const reason = faultReasons.find((one) => one === known);
  return reason === undefined ? undefined : { kind: 'waiting', reason, message: `${target.name}: ${reasons[reason]}` };
}

/** Whether the target is known to hold one of these versions: by the store's row, unless this pass saw otherwise. */
export function holdsOneOf(o: Observed, target: Target, keyIds: readonly string[]): boolean {
  if (target.location === undefined) return false;
  const row = deliveryAt(o, target.location);
  if (row?.state !== 'live' || row.heldKeyId === undefined || !keyIds.includes(row.heldKeyId)) return false;
  const holding = holdingAt(o, target.location);
  if (holding.kind === 'empty' || holding.kind === 'foreign' || holding.kind === 'taken') return false;
  if (holding.kind === 'unseen')
    return ['DestinationUnavailable', undefined].includes(knownFault(o, target, target.location)?.reason);
  return holding.kind !== 'ours' || !holding.valueSeen || (holding.proven !== undefined && keyIds.includes(holding.proven));
}

/** Ready: every destination holds some live version, and it would be allowed. */
export function readyOf(o: Observed, plan: Plan): Statement {
  return refusedOf(o, plan) ?? undeliveredOf(o, plan) ?? yes('Available');
}

/** Why the key would not be allowed, or what stops it before deliveries count. */
function refusedOf(o: Observed, plan: Plan): Statement | undefined {
  const { spec, metadata } = o.resource;
  if (metadata.deletionTimestamp !== undefined) return no('Revoked', plan.blocker?.message ?? 'The key is being deleted.');
  if (spec.revoked !== undefined || o.store.key?.revokedReason !== undefined) return no('Revoked');
  const { blocker } = plan;
  const decisive: readonly Reason[] = ['InvalidSpec', 'NotPermitted', 'Expired', 'CatalogNotFound', 'OwnerNotFound'];
  if (o.namespaceTerminating) return no('NamespaceTerminating', terminatingMessage(o.ref.namespace));
  if (blocker !== undefined && decisive.includes(blocker.reason)) return no(blocker.reason, blocker.message);
  if (o.acceptance.kind === 'held') return no('AdmissionPolicyMissing', o.acceptance.message);
  // What is delivered goes on.
  if (blocker !== undefined && keepsBack(blocker) && usableVersions(o).length === 0) return no(blocker.reason, blocker.message);
  const owner = ownerOf(o);
  if (owner.status !== 'True') return no(owner.reason, owner.message);
  if (isCatalogReplaced(o)) return no('CatalogReplaced', catalogReplacedMessage(spec.catalog));
  return spec.suspend ? no('Suspended') : undefined;
}

/** What keeps a new version back, though nothing of the key is wrong. */
function keepsBack({ reason }: Blocker): boolean {
  return reason === 'ClockWrong' || reason === 'AdmissionPolicyMissing';
}

function undeliveredOf(o: Observed, { blocker }: Plan): Statement | undefined {
  const live = usableVersions(o).map((version) => version.keyId);
  const lacking = o.targets.filter((target) => target.blocked !== undefined || !holdsOneOf(o, target, live));
  if (lacking.length === 0) return live.length > 0 ? undefined : no('Minting');
  // Only a new version could replace what is lost.
  if (blocker !== undefined && keepsBack(blocker)) return no(blocker.reason, blocker.message);
  const fault = lacking.map((target) => targetFault(o, target)).find((one) => one !== undefined);
  if (fault !== undefined) return no(fault.reason, fault.message);
  if (live.length === 0) return no('Minting');
  return no('Delivering', `waiting for ${lacking.map((target) => target.name).join(', ')}`);
}

/** Issued: a version is live in the store. */
export function issuedOf(o: Observed): Statement {
  const live = liveVersions(o);
  if (live.length > 0) return yes('Minted');
  if (o.store.key?.revokedReason !== undefined || o.resource.metadata.deletionTimestamp !== undefined) return no('Revoked');
  return o.store.lastEnded?.reason === 'expired' ? no('Expired') : no('Minting', 'No version was minted yet.');
}

/**
 * Delivered: every destination holds the current version; else it names the failing destination. A version on its way counts
 * as current here: what holds it up is what there is to tell.
 */
export function deliveredOf(o: Observed): Statement {
  const current = pendingVersion(o) ?? activeVersion(o);
  if (current === undefined) return no(issuedOf(o).reason === 'Minted' ? 'Delivering' : issuedOf(o).reason);
  // A destination that is going, or closed to this namespace, gets no later version: its value is no lasting delivery.
  const lacking = o.targets.filter(
    (target) => target.blocked !== undefined || !holdsOneOf(o, target, [current.keyId]) || isAlteredAt(o, target),
  );
  if (lacking.length === 0) return yes('Current');
  const fault = lacking.map((target) => targetFault(o, target)).find((one) => one !== undefined);
  return fault === undefined
    ? no('Delivering', `waiting for ${lacking.map((target) => target.name).join(', ')}`)
    : no(fault.reason, fault.message);
}

/** OwnerActive: the owner exists with the UID that the key is bound to, is enabled, and may hold the access type. */
export function ownerOf(o: Observed): Statement {
  const { owner } = o;
  const name = o.resource.spec.owner;
  if (owner === undefined) return no('OwnerNotFound', ownerNotFoundMessage(name));
  if (isOwnerReplaced(o)) return no('OwnerReplaced', replacedMessage(name));
  if (owner.spec.disabled) return no('OwnerDisabled', `KeyOwner ${name} is disabled`);
  const { accessType, catalog } = o.resource.spec;
  if (o.catalog === undefined || holdsAccessType(o.rules, accessType)) return yes('Enabled');
  return no('NotPermitted', notHeldMessage(name, accessType, catalog));
}

/** What a key says whose owner is not there. A wrong name cannot be corrected, because the field is immutable. */
export function ownerNotFoundMessage(owner: string): string {
  return `KeyOwner ${owner} does not exist; if the name is wrong, delete this ApiKey and apply it again`;
}

/** What a key says whose owner was deleted and created anew. */
export function replacedMessage(owner: string): string {
  return `KeyOwner ${owner} was deleted and created anew; a new value of the annotation ${annotations.rotate} binds the key to the present one`;
}

/** The message of a key whose newest version does not have the format of its catalog. */
export function catalogReplacedMessage(catalog: string): string {
  return `spec.catalog: ApiCatalog ${catalog} was deleted and created again with another spec.key, so every request is refused; a new value of the annotation ${annotations.rotate} mints a version in the present format`;
}

/** The message of a key whose namespace is being deleted. */
export function terminatingMessage(namespace: string): string {
  return `namespace ${namespace} is being deleted`;
}

/** What a key says whose owner may not hold its access type. */
export function notHeldMessage(owner: string, accessType: string, catalog: string): string {
  return `spec.accessType: no rule of KeyOwner ${owner} or its groups lists ${accessType} of catalog ${catalog}`;
}

/** kstatus: Reconciling while work is under way or awaited, Stalled when a person must act, never both, neither when all is as declared. */
export function progressOf(o: Observed, plan: Plan): { readonly reconciling: Statement; readonly stalled: Statement } {
  const { blocker } = plan;
  const calm = { reconciling: no('Steady'), stalled: no('Steady') };
  if (blocker?.reason === 'Paused') return { reconciling: no('Paused', blocker.message), stalled: no('Paused', blocker.message) };
  if (blocker?.kind === 'stalled')
    return { reconciling: no(blocker.reason, blocker.message), stalled: yes(blocker.reason, blocker.message) };
  if (blocker !== undefined) return { reconciling: yes(blocker.reason, blocker.message), stalled: no('Progressing') };
  const delivered = deliveredOf(o);
  if (delivered.status === 'True') return calm;
  return { reconciling: yes(delivered.reason, delivered.message), stalled: no('Progressing') };
}
