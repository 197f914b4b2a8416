import type { Version } from '../../domain/version.ts';
import { act, hold, type Decision } from '../action.ts';
import {
  activeVersion,
  deliveryAt,
  holdingAt,
  isCompared,
  isStoreBehind,
  openTargets,
  sightOf,
  type Observed,
  type OpenTarget,
} from '../observed.ts';
import { mintForLostValue } from './minting.ts';
import { asWriteTarget, copy, isPaced, lookAtSources, lookAtUnseen, needsWrite, undeliveredSince } from './places.ts';

/**
 * Every location that should hold the active version is compared with it: when the store's row says otherwise, when a
 * watch or the drift interval asks, and never just so. A lost or changed value is copied from a sibling whose hash is
 * right; when no sibling has it, or those that may have it are silent for too long, a new version is minted.
 */
export function drift(o: Observed): Decision | undefined {
  const active = activeVersion(o);
  if (active === undefined) return undefined;
  const suspects = openTargets(o).filter((target) => isSuspect(o, target, active));
  const unseen = lookAtUnseen(o, suspects);
  if (unseen !== undefined) return unseen;
  const unproven = suspects.filter((target) => isUnproven(o, target));
  if (unproven.length > 0) return act({ kind: 'look', at: unproven.map((target) => target.location), depth: 'value' });

  const broken = suspects.flatMap((target) => needsWrite(o, target, active));
  if (broken.length > 0) {
    const source = lookAtSources(o, active);
    if (source.kind === 'look') return source.decision;
    if (source.kind === 'found') {
      const first = broken.filter((target) => sightOf(o, target.location).written !== true);
      const now = first.filter((target) => !isPaced(o, target));
      if (now.length > 0) return copy(o, active, source.location, now);
      if (first.length === 0)
        return hold('waiting', 'DestinationDrift', 'what was written was taken away or changed again at once');
    } else {
      if (source.kind === 'unreachable' && !isLongUndelivered(o))
        return hold(
          'waiting',
          'DestinationUnavailable',
          'a location lost the value, and the ones that may have it do not answer',
        );
      return mintForLostValue(o);
    }
  }
  const unconfirmed = suspects.filter((target) => isHolder(o, target, active) && !isRecorded(o, target, active));
  if (unconfirmed.length === 0) return undefined;
  return act({ kind: 'confirm', version: active, at: unconfirmed.flatMap((target) => asWriteTarget(o, target)) });
}

/** The record around the value is out of date (its expiry, its header line): the same value is written again with the right one. */
export function envelope(o: Observed): Decision | undefined {
  const active = activeVersion(o);
  if (active === undefined) return undefined;
  const wanted = o.envelopes.get(active.keyId);
  const stale = openTargets(o).filter((target) => {
    const row = deliveryAt(o, target.location);
    return row?.state === 'live' && row.heldKeyId === active.keyId && row.heldEnvelope !== wanted && !isPaced(o, target);
  });
  const unproven = stale.filter(
    (target) => sightOf(o, target.location).value === undefined && sightOf(o, target.location).failure === undefined,
  );
  if (unproven.length > 0) return act({ kind: 'look', at: unproven.map((target) => target.location), depth: 'value' });
  for (const target of stale) {
    if (!isHolder(o, target, active)) continue;
    return copy(o, active, target.location, asWriteTarget(o, target));
  }
  return undefined;
}

/**
 * Some location has lacked the current version for longer than the deadline, by the last status: a destination that is
 * silent for so long may be the very one that the key is moved away from, and must not keep it from arriving.
 */
function isLongUndelivered(o: Observed): boolean {
  const since = undeliveredSince(o);
  return since !== undefined && o.now >= since + o.limits.deliverDeadlineMs;
}

/** A target to be looked at: its row does not say that it holds the version, or a comparison is due, or it was seen anyway. */
function isSuspect(o: Observed, target: OpenTarget, active: Version): boolean {
  if (isCompared(o.compare, target) || isStoreBehind(o) || isTroubled(o, target)) return true;
  return sightOf(o, target.location).reading !== undefined || !isRecorded(o, target, active);
}

/**
 * The last status named a fault there, or there is no last status: without another look the next one would forget the
 * fault, and call a key Ready whose location holds somebody else's value.
 */
function isTroubled(o: Observed, target: OpenTarget): boolean {
  const { status } = o.resource;
  if (status?.observedGeneration === undefined) return true;
  return status.destinations?.some((one) => one.location === target.location.path && one.reason !== undefined) === true;
}

function isUnproven(o: Observed, target: OpenTarget): boolean {
  const holding = holdingAt(o, target.location);
  return holding.kind === 'ours' && !holding.valueSeen;
}

function isHolder(o: Observed, target: OpenTarget, version: Version): boolean {
  const holding = holdingAt(o, target.location);
  return holding.kind === 'ours' && holding.proven === version.keyId;
}

function isRecorded(o: Observed, target: OpenTarget, version: Version): boolean {
  const row = deliveryAt(o, target.location);
  return row?.state === 'live' && row.heldKeyId === version.keyId;
}
