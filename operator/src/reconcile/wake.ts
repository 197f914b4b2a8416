import { parseInstant, type Instant } from '../domain/time.ts';
import { nextConsumerLook } from './consuming.ts';
import { readableOutlook } from './evidence.ts';
import { holdingAt, openTargets, sightOf, type Comparison, type Observed } from './observed.ts';
import { phaseOf } from './phase.ts';
import { isBehind, isPaced, restingUntil, undeliveredSince } from './rules/places.ts';
import { nextTelling } from './succession.ts';
import { deadlinesOf, lossBrake } from './rules/minting.ts';

/** How long a `waiting` look is put off when nothing says when to look again. */
export const waitingRetryMs = 60_000;
/** A stalled object is looked at again this often, in case a person mended what we do not watch. */
export const stalledRetryMs = 3_600_000;

/**
 * The next instant of a key's locations to be compared with the store: a fixed phase of the interval, from the uid, so
 * that nothing is remembered over a restart and the keys of a fleet do not come all at once.
 */
export function driftInstantAfter(uid: string, intervalMs: number, after: Instant): Instant {
  const offset = phaseOf(uid) % intervalMs;
  return Math.floor((after - offset) / intervalMs) * intervalMs + offset + intervalMs;
}

/** A place with a pace is compared at every so many comparisons of the others. */
const pacedEvery = 4;

/** What is to be compared at `now`, when `last` was the last comparison: the rare instants are among the frequent ones. */
export function comparisonDue(uid: string, intervalMs: number, last: Instant, now: Instant): Comparison {
  if (driftInstantAfter(uid, intervalMs, last) > now) return 'none';
  return driftInstantAfter(uid, pacedEvery * intervalMs, last) > now ? 'most' : 'all';
}

/**
 * How long to wait for each location that failed or must not be written yet, in milliseconds: as long as it asked for, and a
 * minute if it asked for nothing. No event reports that a stranger's value is gone. If a location is known to be down, its recovery
 * wakes the key.
 */
function patienceOf(o: Observed): readonly number[] {
  return openTargets(o).flatMap((target) => {
    const { failure } = sightOf(o, target.location);
    if (failure !== undefined) return [failure.retryAfterMs ?? waitingRetryMs];
    if (['foreign', 'taken'].includes(holdingAt(o, target.location).kind)) return [waitingRetryMs];
    return isPaced(o, target) && isBehind(o, target) ? [restingUntil(o, target) - o.now] : [];
  });
}

/** How long a key that waits for something is left alone, unless an instant of its own or an event comes first. */
export function waitingMs(o: Observed): number {
  const patience = patienceOf(o);
  return patience.length === 0 ? waitingRetryMs : Math.min(...patience);
}

/** When this key is to be looked at again although nothing changes: the earliest instant at which a rule would speak. */
export function nextInstant(o: Observed): Instant | undefined {
  const instants: Instant[] = [];
  const end = parseInstant(o.resource.spec.expiry?.at ?? '');
  instants.push(...[end, o.held?.endsAt].filter((at) => at !== undefined));
  for (const version of o.store.versions) {
    if (version.expiresAt !== undefined) instants.push(version.expiresAt);
    if (version.notAfter !== undefined) instants.push(version.notAfter);
    if (version.state === 'pending') instants.push(...deadlinesOf(o, version));
  }
  for (const delivery of o.store.deliveries) {
    if (delivery.state !== 'withdrawing') continue;
    instants.push(o.now + waitingRetryMs, (delivery.withdrawingSince ?? o.now) + o.limits.withdrawDeadlineMs);
  }
  instants.push(...patienceOf(o).map((ms) => o.now + ms));
  const undelivered = undeliveredSince(o);
  if (undelivered !== undefined) instants.push(undelivered + o.limits.deliverDeadlineMs);
  const brake = lossBrake(o);
  if (brake !== 'stalled') instants.push(brake);
  if (o.store.deliveries.length > 0) instants.push(driftInstantAfter(o.ref.uid, o.limits.driftIntervalMs, o.now));
  const outlook = readableOutlook(o);
  instants.push(...[outlook?.wakeAt, nextConsumerLook(o), nextTelling(o, outlook)].filter((at) => at !== undefined));
  const future = instants.filter((at) => at > o.now);
  return future.length === 0 ? undefined : Math.min(...future);
}
