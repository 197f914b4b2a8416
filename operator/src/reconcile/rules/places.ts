import { formatLocation, type Location } from '../../domain/key.ts';
import { parsePastInstant, type Instant } from '../../domain/time.ts';
import type { Version } from '../../domain/version.ts';
import { act, type Decision, type WriteTarget } from '../action.ts';
import {
  activeVersion,
  deliveryAt,
  holdingAt,
  isForReaders,
  isOutOfReach,
  openTargets,
  pendingVersion,
  sightOf,
  usableVersions,
  type Holding,
  type Observed,
  type OpenTarget,
} from '../observed.ts';

/** Asks to read what this pass has not yet seen of all open targets. */
export function unseenTargets(o: Observed): Decision | undefined {
  return lookAtUnseen(o, openTargets(o));
}

/** Asks to read the marks that this pass has not read yet, then the values whose mark alone decides nothing. */
export function lookAtUnseen(o: Observed, targets: readonly OpenTarget[]): Decision | undefined {
  const unseen = targets.map(({ location }) => location).filter((location) => holdingAt(o, location).kind === 'unseen');
  if (unseen.length === 0) return undefined;
  const unmarked = unseen.filter((location) => sightOf(o, location).reading === undefined);
  return unmarked.length > 0
    ? act({ kind: 'look', at: unmarked, depth: 'mark' })
    : act({ kind: 'look', at: unseen, depth: 'value' });
}

/** The target as something to write `version` to, when it may and must be written. */
export function needsWrite(o: Observed, target: OpenTarget, version: Version): readonly WriteTarget[] {
  const holding = holdingAt(o, target.location);
  if (holding.kind === 'empty') return [{ ...target, reading: holding.reading }];
  if (holding.kind !== 'ours') return [];
  const isAsWritten = isServed(o, holding, version) && isMarked(o, holding, version) && !holding.altered;
  return isAsWritten ? [] : [{ ...target, reading: holding.reading }];
}

/**
 * Readers get the value of the version, but an entry beside it, our mark or our label is not as we write it. What this pass has
 * written and somebody (a webhook) changed at once serves the version all the same.
 */
export function isOnlyAltered(o: Observed, { location }: OpenTarget, version: Version): boolean {
  const holding = holdingAt(o, location);
  if (holding.kind !== 'ours' || !isServed(o, holding, version)) return false;
  return holding.altered || !isMarked(o, holding, version);
}

type Ours = Extract<Holding, { kind: 'ours' }>;

/** Whether readers get the value of the version there. */
function isServed(o: Observed, { proven, reading }: Ours, version: Version): boolean {
  // Staged, readers still get the value before it: for a version that awaits its activation that is as it should be.
  const hidden = reading.kind === 'marked' && reading.staged === true && isForReaders(o, version);
  return proven === version.keyId && !hidden;
}

/** Whether the mark says so. If not, the value is written again over itself, which repairs the mark. */
function isMarked(o: Observed, { claimed, reading }: Ours, version: Version): boolean {
  const mark = reading.kind === 'marked' ? reading.mark : undefined;
  return claimed === version.keyId && mark?.uid === o.ref.uid && mark.epoch === version.epoch;
}

/** The step that writes a version's value, which stands at `from`, to these places. */
export function copy(o: Observed, version: Version, from: Location, to: readonly WriteTarget[]): Decision {
  return act({ kind: 'copy', version, from, to, publish: isForReaders(o, version) });
}

/**
 * Until when the provider's pace keeps a place from being written again; a new version is not kept back, and neither is what
 * takes the place of a version that is refused: after a compromise its readers wait for it. Counted from the last confirmed
 * write, which the store remembers.
 */
export function pacedUntil(o: Observed, target: OpenTarget): Instant {
  const row = deliveryAt(o, target.location);
  const last = row?.deliveredAt;
  if (target.pace === undefined || last === undefined) return 0;
  const isRefused = !usableVersions(o).some(({ keyId }) => keyId === row?.heldKeyId);
  return isRefused ? 0 : last + target.pace.writeEveryMs;
}

/**
 * The longest pause, in milliseconds, before an altered entry, mark or label is written again. If somebody changes it each time, such as
 * a webhook, the pauses grow.
 */
const rarestAnswerMs = 3_600_000;

/** Until when such a place is left as it is: after our last write, for half of the time since it was first seen so. */
function contestedUntil(o: Observed, target: OpenTarget): Instant {
  const since = driftingSince(o);
  const active = activeVersion(o);
  const last = deliveryAt(o, target.location)?.deliveredAt;
  if (since === undefined || last === undefined || active === undefined || !isOnlyAltered(o, target, active)) return 0;
  return last + Math.min((o.now - since) / 2, rarestAnswerMs);
}

/** Until when a place that was written a moment ago must not be written again with the same version. */
export function restingUntil(o: Observed, target: OpenTarget): Instant {
  return Math.max(pacedUntil(o, target), contestedUntil(o, target));
}

/** A place lacks the active version, or has it in an old envelope, as far as the store or this pass knows. */
export function isBehind(o: Observed, target: OpenTarget): boolean {
  const active = activeVersion(o);
  const row = deliveryAt(o, target.location);
  if (active === undefined || pendingVersion(o) !== undefined || row?.state !== 'live') return false;
  const wanted = o.envelopes.get(active.keyId);
  const isStale = row.heldKeyId === active.keyId && wanted !== undefined && row.heldEnvelope !== wanted;
  return isStale || row.heldKeyId !== active.keyId || needsWrite(o, target, active).length > 0;
}

/** Since when some location has lacked the current version, by the last status. */
export function undeliveredSince(o: Observed): Instant | undefined {
  const delivered = o.resource.status?.conditions.find((condition) => condition.type === 'Delivered');
  return delivered?.status === 'False' ? parsePastInstant(delivered.lastTransitionTime, o.now) : undefined;
}

/** Since when what was written has been changed again and again, by the last status. */
function driftingSince(o: Observed): Instant | undefined {
  const reconciling = o.resource.status?.conditions.find(
    ({ type, reason }) => type === 'Reconciling' && reason === 'DestinationDrift',
  );
  return reconciling?.status === 'True' ? parsePastInstant(reconciling.lastTransitionTime, o.now) : undefined;
}

/** It was written a moment ago, and must not be written again yet. */
export function isPaced(o: Observed, target: OpenTarget): boolean {
  return restingUntil(o, target) > o.now;
}

/** Where a version's value can be copied from: looked for among all locations that the store or a mark names for it. */
export type Source =
  | { readonly kind: 'found'; readonly location: Location }
  | { readonly kind: 'look'; readonly decision: Decision }
  /** Some location that may have it does not answer. */
  | { readonly kind: 'unreachable' }
  | { readonly kind: 'none' };

export function lookAtSources(o: Observed, version: Version): Source {
  const places = new Map<string, Location>();
  for (const row of o.store.deliveries) {
    if (isOutOfReach(o, row)) continue;
    if (row.heldKeyId === version.keyId || row.intendedKeyId === version.keyId)
      places.set(formatLocation(row.location), row.location);
  }
  for (const target of openTargets(o)) places.set(formatLocation(target.location), target.location);
  const candidates = [...places.values()];
  const proven = candidates.find((location) => {
    const holding = holdingAt(o, location);
    return holding.kind === 'ours' && holding.proven === version.keyId;
  });
  if (proven !== undefined) return { kind: 'found', location: proven };
  const unread = candidates.filter((location) => {
    const sight = sightOf(o, location);
    return sight.failure === undefined && sight.value === undefined && sight.reading?.kind !== 'absent';
  });
  if (unread.length > 0) return { kind: 'look', decision: act({ kind: 'look', at: unread, depth: 'value' }) };
  return candidates.some((location) => mayHold(o, location, version)) ? { kind: 'unreachable' } : { kind: 'none' };
}

function mayHold(o: Observed, location: Location, version: Version): boolean {
  const row = deliveryAt(o, location);
  const { failure, vanished } = sightOf(o, location);
  return failure !== undefined && vanished !== true && (row?.heldKeyId === version.keyId || row?.intendedKeyId === version.keyId);
}

/** The target with what was seen there, when that is nothing or ours: what a write is conditional on. */
export function asWriteTarget(o: Observed, target: OpenTarget): readonly WriteTarget[] {
  const holding = holdingAt(o, target.location);
  return holding.kind === 'ours' || holding.kind === 'empty' ? [{ ...target, reading: holding.reading }] : [];
}
