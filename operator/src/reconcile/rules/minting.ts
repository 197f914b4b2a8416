import { annotations } from '../../api/meta.ts';
import type { Instant } from '../../domain/time.ts';
import { isLive, maxEpoch, type MintCause, type Version } from '../../domain/version.ts';
import { noMintMessage } from '../acceptance.ts';
import { act, hold, type Action, type Decision } from '../action.ts';
import { appliedOf } from '../applied.ts';
import {
  activeVersion,
  deliveryAt,
  holdingAt,
  holdOf,
  isForReaders,
  isOurs,
  liveVersions,
  openTargets,
  pendingVersion,
  sightOf,
  strangerAt,
  usableVersions,
  type Holding,
  type Observed,
  type OpenTarget,
} from '../observed.ts';
import { evidenceOf } from '../evidence.ts';
import { answeredByMint } from '../handled.ts';
import { isReturning, terminalOf, type Afterlife } from '../rotation/lifespan.ts';
import { endOfPredecessor, requestsOf } from '../rotation/outlook.ts';
import { expiryNow, expiryOfNext } from '../validate.ts';
import { asWriteTarget, copy, isOnlyAltered, lookAtSources, needsWrite, unseenTargets } from './places.ts';

/** More attempts of one epoch than this mean that something swallows what is written. */
const maxAttemptsPerEpoch = 3;
/** Then they are this far apart, doubled each time. */
const attemptBackOffMs = 10 * 60_000;
const attemptBackOffMaxMs = 60 * 60_000;

/**
 * An attempt is on its way. From its row on a workload may hold it, so it is finished if any location has its value,
 * and replaced by a new attempt of the same epoch only when none has.
 */
export function pendingEpoch(o: Observed): Decision | undefined {
  const pending = pendingVersion(o);
  if (pending === undefined) return undefined;
  const unseen = unseenTargets(o);
  if (unseen !== undefined) return unseen;
  const targets = openTargets(o);
  const unproven = targets.filter((target) => isUnproven(o, target, pending));
  if (unproven.length > 0) return act({ kind: 'look', at: unproven.map((target) => target.location), depth: 'value' });

  const holders = targets.filter((target) => provenAt(o, target) === pending.keyId);
  const lacking = targets.filter((target) => provenAt(o, target) !== pending.keyId);
  const open = targets.filter((one) => sightOf(o, one.location).written !== true || !isOnlyAltered(o, one, pending));
  const writable = open.flatMap((target) => needsWrite(o, target, pending));
  const failing = lacking.filter((target) => holdingAt(o, target.location).kind === 'failed');
  const late = o.now >= pending.issuedAt + o.limits.deliverDeadlineMs;

  if (writable.length > 0) {
    const source = lookAtSources(o, pending);
    if (source.kind === 'look') return source.decision;
    if (source.kind === 'found') return copy(o, pending, source.location, writable);
    if (source.kind === 'unreachable' && !late) return waitFor(o, failing, 'cannot be read, and may hold the value');
    return anotherAttempt(o, pending);
  }
  if (holders.length === 0) {
    const stuck = firstStuck(o, targets);
    if (stuck !== undefined) return stuck;
    return late ? anotherAttempt(o, pending) : waitFor(o, failing, 'does not answer');
  }
  if (failing.length > 0 && o.now < Math.min(...deadlinesOf(o, pending))) return waitFor(o, failing, 'does not answer');
  // A target that may not be written to still has the old version.
  const isEverywhere = lacking.length === 0 && o.targets.every((target) => target.blocked === undefined);
  const unconfirmed = holders.filter((target) => !isConfirmed(o, target, pending));
  if (unconfirmed.length > 0)
    return act({ kind: 'confirm', version: pending, at: unconfirmed.flatMap((target) => asWriteTarget(o, target)) });
  return act({ kind: 'activate', version: pending, oldNotAfter: endOfOld(o, pending, isEverywhere) });
}

/**
 * From when on a pending version that some location holds is activated without those that fail: after the deadline, before
 * what it replaces expires, and at once after a compromise, whether it was minted for that or before.
 */
export function deadlinesOf(o: Observed, pending: Version): readonly Instant[] {
  const { deliverDeadlineMs } = o.limits;
  const old = activeVersion(o)?.expiresAt;
  return [
    pending.issuedAt + (pending.cause === 'Compromise' || o.store.compromised !== undefined ? 0 : deliverDeadlineMs),
    ...(old === undefined ? [] : [old - deliverDeadlineMs]),
  ];
}

/** No version lives that could be delivered: mint, unless the end was meant. */
export function nothingLive(o: Observed): Decision | undefined {
  if (activeVersion(o) !== undefined || pendingVersion(o) !== undefined) return undefined;
  const ended = endOfKey(o);
  if (ended !== undefined) return ended;
  // A user without the right to mint could otherwise get versions again and again, by ending the one before.
  const held = holdOf(o);
  if (held !== undefined && (o.store.compromised !== undefined || o.store.lastEnded?.reason !== 'expired'))
    return { kind: 'hold', blocker: held };
  const unseen = unseenTargets(o);
  if (unseen !== undefined) return unseen;
  const targets = openTargets(o);
  const stuck = firstStuck(o, targets);
  if (stuck !== undefined) return stuck;
  const { epoch, cause } = nextEpoch(o);
  return mint(o, epoch, causeOfReturn(o) ?? cause, []);
}

/** Why a key without a live version gets one, when that is more than its end tells. */
function causeOfReturn(o: Observed): MintCause | undefined {
  if (o.store.compromised !== undefined) return 'Compromise';
  const isOver = terminalOf({ ...afterlifeOf(o), rotateAsked: false }, o.now) !== undefined;
  return isOver ? 'Requested' : undefined;
}

/**
 * The newest version was compromised while the one before it still lives: it died on its way, and what was meant to come is
 * minted once more. Where that is not possible now, the living value is first put back in the place of the dead one.
 */
export function compromisedNewest(o: Observed): Decision | undefined {
  if (!isNewestCompromised(o) || o.admission.kind === 'notInForce' || o.clockWrong === true) return undefined;
  return mintAfterCompromise(o);
}

/**
 * Whether somebody still waits for a version that was compromised before it became active; nobody waits for an older one. Not
 * while a change is held, which may be the report itself.
 */
export function isNewestCompromised(o: Observed): boolean {
  if (o.acceptance.kind === 'held') return false;
  return o.store.compromised?.newest === true && pendingVersion(o) === undefined && activeVersion(o) !== undefined;
}

export function mintAfterCompromise(o: Observed): Decision {
  return unseenTargets(o) ?? mint(o, nextEpoch(o).epoch, 'Compromise', []);
}

/**
 * What lives was minted for an earlier ApiKey of this name, and is limited to its settings for good: this one gets a version of its
 * own at once, but no third one beside two that are of use. Where it cannot be minted now, the living value is kept delivered.
 */
export function ownVersion(o: Observed): Decision | undefined {
  if (!lacksOwnVersion(o) || o.admission.kind === 'notInForce' || o.clockWrong === true) return undefined;
  return mintOwnVersion(o);
}

export function lacksOwnVersion(o: Observed): boolean {
  if (o.store.newestInherited !== true || pendingVersion(o) !== undefined || activeVersion(o) === undefined) return false;
  return usableVersions(o).filter(({ lost }) => !lost).length < 2;
}

export function mintOwnVersion(o: Observed): Decision {
  return unseenTargets(o) ?? mint(o, nextEpoch(o).epoch, 'Initial', []);
}

/** A new epoch because the delivered value is nowhere any more. */
export function mintForLostValue(o: Observed): Decision {
  const brakeUntil = lossBrake(o);
  if (brakeUntil === 'stalled') {
    return hold(
      'stalled',
      'DestinationDrift',
      'the delivered value was lost again and again; nothing is minted before an earlier version has ended',
    );
  }
  if (brakeUntil > o.now)
    return hold('waiting', 'DestinationDrift', 'the delivered value was lost again; minting is slowed down');
  const { epoch, cause } = nextEpoch(o);
  return mint(o, epoch, cause === 'StoreBehind' ? cause : 'ValueLost', []);
}

/** The instant before which a second loss mints nothing: 10 minutes, doubled with each earlier loss, at most 6 hours. */
export function lossBrake(o: Observed): Instant | 'stalled' {
  const losses = liveVersions(o).filter((version) => version.cause === 'ValueLost');
  if (losses.length === 0) return 0;
  if (losses.length >= 5) return 'stalled';
  const newest = Math.max(...losses.map((version) => version.issuedAt));
  return newest + Math.min(10 * 60_000 * 2 ** (losses.length - 1), 6 * 3_600_000);
}

/** The one way to a new attempt: not while the admission policy is missing, and only where a location could be read. */
export function mint(o: Observed, epoch: number, cause: MintCause, lostKeyIds: readonly string[]): Decision {
  if (o.admission.kind === 'notInForce') return hold('waiting', 'AdmissionPolicyMissing', noMintMessage(o.admission));
  const targets = openTargets(o).flatMap((target) => (isReadable(holdingAt(o, target.location)) ? asWriteTarget(o, target) : []));
  if (targets.length === 0) return firstStuck(o, openTargets(o)) ?? waitFor(o, openTargets(o), 'does not answer');
  const handled = answeredByMint(o);
  const action: Action = {
    kind: 'mint',
    epoch,
    cause,
    expiresAt: expiryOfNext(o),
    targets,
    lostKeyIds,
    applied: appliedOf(o),
    publish: isForReaders(o, { state: 'pending' }),
    ...(handled === undefined ? {} : { handled }),
  };
  return act(action);
}

function anotherAttempt(o: Observed, pending: Version): Decision {
  const more = o.store.attemptsOfHighestEpoch - maxAttemptsPerEpoch;
  const pastBackOff =
    o.now >= pending.issuedAt + Math.min(attemptBackOffMs * 2 ** Math.min(Math.max(more, 0), 10), attemptBackOffMaxMs);
  if (more >= 0 && !pastBackOff) {
    return hold(
      'waiting',
      'DestinationUnavailable',
      `${maxAttemptsPerEpoch} attempts were written and lost; the next one is tried later`,
    );
  }
  return mint(o, pending.epoch, pending.cause, [pending.keyId]);
}

/** When the whole key is over: expired for good, or its expiry lies in the past. */
export function endOfKey(o: Observed): Decision | undefined {
  switch (terminalOf(afterlifeOf(o), o.now)) {
    case 'AtHasPassed':
      return hold('stalled', 'Expired', 'spec.expiry.at has passed; set a later one to have a new key');
    case 'OnExpiryExpire':
      return hold(
        'stalled',
        'Expired',
        `the key expired and spec.rotation.onExpiry is Expire; a change of the spec, or a new value of the annotation ${annotations.rotate}, brings it back`,
      );
    case undefined:
      return undefined;
  }
}

/** Nothing lives, and somebody changed the spec of a key that had ended for good: it comes back. */
export function isComingBack(o: Observed): boolean {
  return activeVersion(o) === undefined && endOfKey(o) === undefined && isReturning(afterlifeOf(o));
}

function afterlifeOf(o: Observed): Afterlife {
  const { spec, metadata } = o.resource;
  return {
    expiry: expiryNow(o),
    onExpiry: spec.rotation.onExpiry,
    lastEnded: o.store.lastEnded?.reason,
    // A held change brings nothing back, although it has a new generation.
    expiredGeneration: o.acceptance.kind === 'held' ? undefined : o.store.key?.expiredGeneration,
    generation: metadata.generation,
    rotateAsked: requestsOf(o).rotate.kind === 'asked',
  };
}

/**
 * How far a mark, or the status, may be ahead of the store: a restored database lacks the epochs since its backup. Anything
 * further ahead is not plausible and is ignored. So somebody with write access beside a value can move the count by at most a
 * thousand for each minted version, and cannot reach the largest epoch. Only the operator writes a status.
 */
const epochsAhead = { mark: 1_000, status: 1_000_000 };

/**
 * The next epoch is above everything that was ever seen: the store's, a mark's, the status'. A mark or a status that is
 * ahead of the store means a restored database, whose own counting would repeat an epoch.
 */
export function nextEpoch(o: Observed): { readonly epoch: number; readonly cause: MintCause } {
  const { highestEpoch } = o.store;
  const within = (epoch: number, ahead: number): number => (epoch <= highestEpoch + ahead ? epoch : 0);
  const marked = openTargets(o).map((target) => {
    const holding = holdingAt(o, target.location);
    return holding.kind === 'ours' && holding.reading.kind === 'marked' && isOurs(o, holding.reading.mark)
      ? within(holding.reading.mark.epoch, epochsAhead.mark)
      : 0;
  });
  const told = within(o.resource.status?.currentKey?.epoch ?? 0, epochsAhead.status);
  const seen = Math.max(0, told, ...marked);
  const behind = highestEpoch > 0 && seen > highestEpoch;
  const cause: MintCause =
    highestEpoch === 0 || o.store.newestInherited === true
      ? 'Initial'
      : behind
        ? 'StoreBehind'
        : o.store.lastEnded?.reason === 'expired'
          ? 'Expired'
          : 'ValueLost';
  return { epoch: Math.min(Math.max(seen, highestEpoch) + 1, maxEpoch), cause };
}

/**
 * Until when the version that is replaced stays valid, by what is known at the activation. Lost attempts end with it, and
 * without it too: nobody may be left with a key that nothing ever ends.
 */
function endOfOld(o: Observed, pending: Version, everywhere: boolean): Instant | undefined {
  const olds = o.store.versions.filter((version) => isLive(version, o.now) && (version.state === 'active' || version.lost));
  if (olds.length === 0) return undefined;
  const succession = { current: pending, activatedAt: o.now, deliveredAt: everywhere ? o.now : undefined };
  return Math.max(...olds.map((old) => endOfPredecessor(o, old, succession, evidenceOf(o)).notAfter));
}

/** A foreign value or another key's location stops a first mint: nobody's value is overwritten, and no key is made for nothing. */
export function firstStuck(o: Observed, targets: readonly OpenTarget[]): Decision | undefined {
  for (const target of targets) {
    const blocker = strangerAt(target, target.location, holdingAt(o, target.location));
    if (blocker !== undefined) return { kind: 'hold', blocker };
  }
  return undefined;
}

/** Waits for them, unless one says that a person has to mend it first. */
function waitFor(o: Observed, targets: readonly OpenTarget[], what: string): Decision {
  for (const target of targets) {
    const holding = holdingAt(o, target.location);
    if (holding.kind === 'failed' && holding.failure.kind === 'stalled')
      return hold('stalled', holding.failure.reason, `${target.name}: ${holding.failure.message}`);
  }
  const names = targets.map((target) => target.name).join(', ');
  return hold('waiting', 'DestinationUnavailable', `${names}: the destination ${what}`);
}

function isReadable(holding: Holding): boolean {
  return holding.kind === 'empty' || holding.kind === 'ours';
}

/** Its mark says that the pending value stands there, or this pass wrote it there, and nobody looked yet. */
function isUnproven(o: Observed, { location }: OpenTarget, pending: Version): boolean {
  const holding = holdingAt(o, location);
  if (holding.kind !== 'ours' || holding.valueSeen) return false;
  return holding.claimed === pending.keyId || sightOf(o, location).written === true;
}

function provenAt(o: Observed, target: OpenTarget): string | undefined {
  const holding = holdingAt(o, target.location);
  return holding.kind === 'ours' ? holding.proven : undefined;
}

function isConfirmed(o: Observed, target: OpenTarget, version: Version): boolean {
  const row = deliveryAt(o, target.location);
  return row?.state === 'live' && row.heldKeyId === version.keyId;
}
