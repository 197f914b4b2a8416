import { finalizer } from '../../api/meta.ts';
import type { Location } from '../../domain/key.ts';
import type { Delivery } from '../../domain/version.ts';
import { act, hold, type Decision } from '../action.ts';
import { appliedOf, isApplied } from '../applied.ts';
import {
  activeVersion,
  deliveryAt,
  holdingAt,
  isOurs,
  isOutOfReach,
  openTargets,
  pendingVersion,
  sightOf,
  successorOf,
  writtenSpec,
  type Observed,
} from '../observed.ts';
import { evidenceOf } from '../evidence.ts';
import { requestsToRemember } from '../handled.ts';
import { expiryEdits } from '../rotation/lifespan.ts';
import { requestsOf, retirementsOf } from '../rotation/outlook.ts';
import { expiryOf } from '../rotation/policy.ts';
import { parseCompromised } from '../rotation/requests.ts';
import { settingsOf } from '../settings.ts';

/**
 * An earlier ApiKey of this name went without a deletion that we saw (its finalizer was taken by force, the cluster was restored).
 * What it had is taken over before anything else, whatever this ApiKey waits for: only then do its revocation, its suspension and
 * its deletion reach the old versions.
 */
export function takeOver(o: Observed): Decision | undefined {
  if (o.store.predecessor === undefined) return undefined;
  return act({ kind: 'takeOver', proposed: settingsOf(writtenSpec(o)) });
}

/**
 * The resource is being deleted: revoke everything, empty every location, then let go of the name and the finalizer.
 * A location that does not answer delays this by at most the withdraw deadline; its row stays `withdrawing` for the
 * sweeper, and the value is dead already.
 */
export function deletion(o: Observed): Decision | undefined {
  const { metadata } = o.resource;
  if (metadata.deletionTimestamp === undefined) return undefined;
  if (o.store.versions.length > 0) return act({ kind: 'revokeAll', detail: 'the ApiKey was deleted' });
  const live = o.store.deliveries.filter((delivery) => delivery.state === 'live');
  if (live.length > 0) return act({ kind: 'beginWithdrawal', deliveries: live });
  const next = withdrawNext(o, placeForGood);
  if (next !== undefined) return next;
  const late = firstWaiting(o);
  if (late !== undefined && isOutOfReach(o, late))
    return hold(
      'waiting',
      'DestinationUnconfirmed',
      `${late.targetName} is another place than the one that was accepted; waiting for that one before the finalizer is removed`,
    );
  if (late !== undefined)
    return hold('waiting', 'DestinationUnavailable', `waiting for ${late.targetName} before the finalizer is removed`);
  if (o.store.key !== undefined) return act({ kind: 'releaseKey' });
  return hasFinalizer(o)
    ? act({ kind: 'removeFinalizer' })
    : hold('waiting', 'Steady', 'released; waiting for the other finalizers');
}

/** `spec.revoked`: irreversible; the resource stays and says so, the locations are emptied. */
export function revoked(o: Observed): Decision | undefined {
  const reason = o.resource.spec.revoked?.reason ?? o.store.key?.revokedReason;
  if (reason === undefined) return undefined;
  const recorded = o.store.key === undefined || o.store.key.revokedReason !== undefined;
  if (!recorded || o.store.versions.length > 0) {
    const where = o.resource.spec.revoked === undefined ? 'the store' : 'spec.revoked';
    return act({ kind: 'revokeAll', revokedReason: reason, detail: `${where}: ${reason}` });
  }
  const live = o.store.deliveries.filter((delivery) => delivery.state === 'live');
  if (live.length > 0) return act({ kind: 'beginWithdrawal', deliveries: live });
  return withdrawNext(o, placeForGood) ?? hold('stalled', 'Revoked', `revoked: ${reason}; this cannot be undone`);
}

/**
 * `keywright.dev/compromised`: the versions that it names die at once, in the transaction that records it as handled. Names that
 * no version of this key has are no fault; the status tells them.
 */
export function compromised(o: Observed): Decision | undefined {
  const request = requestsOf(o).compromised;
  if (request.kind !== 'asked' || o.store.key === undefined) return undefined;
  const { keyIds } = parseCompromised(
    request.value,
    o.store.versions.map((version) => version.keyId),
  );
  return act({ kind: 'endVersions', keyIds, reason: 'revoked', handled: { compromised: request.value } });
}

/** Request annotations that were taken away are forgotten, so that the same value may ask again. */
export function requests(o: Observed): Decision | undefined {
  const handled = o.store.key === undefined ? undefined : requestsToRemember(o);
  return handled === undefined ? undefined : act({ kind: 'saveHandled', handled });
}

/** What the status remembers as revoked stays revoked when a restored store has forgotten it. */
export function revokedBefore(o: Observed): Decision | undefined {
  const known = o.resource.status?.revokedKeyIds ?? [];
  const risen = o.store.versions.filter((version) => known.includes(version.keyId));
  return risen.length === 0
    ? undefined
    : act({ kind: 'endVersions', keyIds: risen.map((version) => version.keyId), reason: 'revoked' });
}

/**
 * Settings reach the store at once; from a change that is not accepted, not valid or not permitted, only what narrows. The
 * admission policy is checked first, so that a change that may take effect is written only once; a failed check delays nothing.
 */
export function settings(o: Observed): Decision | undefined {
  if (o.store.key === undefined) return undefined;
  if (o.acceptance.kind === 'unchecked') return act({ kind: 'checkAdmission' });
  const applied = appliedOf(o);
  return isApplied(o, applied) ? undefined : act({ kind: 'saveSettings', applied });
}

/** An instant in `expiry` that is nearer than a version's own end bounds it at once, whether the rest of the spec is valid or not. */
export function expiryEdited(o: Observed): Decision | undefined {
  const { nearer } = expiryEdits(expiryOf(writtenSpec(o), o.catalog?.spec.policy), o.store.versions, o.now);
  return nearer.length === 0 ? undefined : act({ kind: 'setExpiry', expiries: nearer });
}

/**
 * Versions whose end has come leave the store's live set; they are refused already, by the instants in their rows. By a wrong
 * clock nothing ends, and nothing else waits for that.
 */
export function retirementDue(o: Observed): Decision | undefined {
  return o.clockWrong === true ? undefined : endsDue(o);
}

/** What {@link retirementDue} does by a right clock. */
export function endsDue(o: Observed): Decision | undefined {
  const expired = o.store.versions.filter((version) => version.expiresAt !== undefined && version.expiresAt <= o.now);
  if (expired.length > 0) return act({ kind: 'endVersions', keyIds: expired.map((version) => version.keyId), reason: 'expired' });
  const retired = o.store.versions.filter((version) => version.notAfter !== undefined && version.notAfter <= o.now);
  if (retired.length > 0) return act({ kind: 'endVersions', keyIds: retired.map((version) => version.keyId), reason: 'retired' });
  return undefined;
}

/**
 * What an old version waited for is there: its end comes nearer, and is in its row from now on. By a wrong clock nothing comes
 * nearer, and nothing else waits for that.
 */
export function retirement(o: Observed): Decision | undefined {
  if (o.clockWrong === true) return undefined;
  const { bringForward } = retirementsOf(o, evidenceOf(o));
  return bringForward.length === 0 ? undefined : act({ kind: 'bringForward', ends: bringForward });
}

/**
 * Locations that the spec does not name any more are emptied, but a value that a new location still needs is copied
 * first: otherwise a moved path would cost the workload its key. A location that does not answer holds nothing up.
 */
export function withdrawals(o: Observed): Decision | undefined {
  const superfluous = o.store.deliveries.filter((delivery) => delivery.state === 'live' && !isWanted(o, delivery));
  if (superfluous.length > 0 && !isLastSource(o)) return act({ kind: 'beginWithdrawal', deliveries: superfluous });
  return withdrawNext(o);
}

/** Every safety rule, in order; the first that speaks decides. */
export const safetyRules = {
  takeOver,
  deletion,
  revoked,
  compromised,
  requests,
  revokedBefore,
  settings,
  expiryEdited,
  retirementDue,
  retirement,
  withdrawals,
} as const;

function withdrawNext(o: Observed, placeOf: (o: Observed, row: Delivery) => Location = placeOfRow): Decision | undefined {
  const open = o.store.deliveries.flatMap((delivery) =>
    delivery.state === 'withdrawing' && !isOutOfReach(o, delivery) ? [{ ...delivery, location: placeOf(o, delivery) }] : [],
  );
  const unseen = open.filter((delivery) => holdingAt(o, delivery.location).kind === 'unseen');
  if (unseen.length > 0) return act({ kind: 'look', at: unseen.map((delivery) => delivery.location), depth: 'mark' });
  for (const delivery of open) {
    const { reading, failure, vanished } = sightOf(o, delivery.location);
    if (vanished === true) return act({ kind: 'finishWithdrawal', delivery });
    if (failure !== undefined || reading === undefined) continue;
    // An earlier resource's mark is ours too: the row was read after the mark, so nobody else can have taken the place.
    const ours = reading.kind === 'marked' && isOurs(o, reading.mark);
    return act(ours ? { kind: 'withdraw', delivery, reading } : { kind: 'finishWithdrawal', delivery });
  }
  // What another place has says nothing of the accepted one. The KeyDestination may become that again.
  const lost = o.store.deliveries.find((row) => row.state === 'withdrawing' && isOutOfReach(o, row) && isOverdue(o, row));
  return lost === undefined ? undefined : act({ kind: 'finishWithdrawal', delivery: lost });
}

function placeOfRow(_: Observed, { location }: Delivery): Location {
  return location;
}

/**
 * For a key that ends: of a KeyDestination that came back under another uid, the same place is emptied through the one that
 * the spec names now. A key that lives goes on using what is there.
 */
function placeForGood(o: Observed, row: Delivery): Location {
  const isGone = sightOf(o, row.location).vanished === true;
  return (isGone ? successorOf(o, row) : undefined) ?? row.location;
}

/** A withdrawal that still counts. */
function firstWaiting(o: Observed): Delivery | undefined {
  return o.store.deliveries.find((delivery) => delivery.state === 'withdrawing' && !isOverdue(o, delivery));
}

/** Its deadline has passed. In a terminating namespace nothing is waited for. */
function isOverdue(o: Observed, { withdrawingSince = o.now }: Delivery): boolean {
  return o.namespaceTerminating || o.now >= withdrawingSince + o.limits.withdrawDeadlineMs;
}

/** A row is wanted while a target points there, or while its target's destination cannot be found to say where it points. */
function isWanted(o: Observed, delivery: Delivery): boolean {
  return o.targets.some((target) =>
    target.location === undefined ? target.name === delivery.targetName : sameLocation(target.location, delivery.location),
  );
}

/** Whether some open target still lacks the current version and may get it from a location that is about to go. */
function isLastSource(o: Observed): boolean {
  const current = pendingVersion(o) ?? activeVersion(o);
  if (current === undefined) return false;
  return openTargets(o).some((target) => {
    const row = deliveryAt(o, target.location);
    const holds = row?.state === 'live' && row.heldKeyId === current.keyId;
    return !holds && ['unseen', 'empty', 'ours', 'failed'].includes(holdingAt(o, target.location).kind);
  });
}

function sameLocation(a: Location, b: Location): boolean {
  return a.destinationUid === b.destinationUid && a.path === b.path;
}

function hasFinalizer(o: Observed): boolean {
  return o.resource.metadata.finalizers?.includes(finalizer) === true;
}
