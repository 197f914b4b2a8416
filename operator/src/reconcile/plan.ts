import type { Instant } from '../domain/time.ts';
import { reasons } from '../domain/reason.ts';
import { needsRightClock, type Decision, type Plan } from './action.ts';
import {
  activeVersion,
  holdingAt,
  holdOf,
  isCatalogReplaced,
  openTargets,
  type Blocker,
  type Observed,
  type OpenTarget,
} from './observed.ts';
import { firstStuck } from './rules/minting.ts';
import { isBehind, isOnlyAltered, isPaced } from './rules/places.ts';
import { progressRules } from './rules/progress.ts';
import { endsDue, safetyRules } from './rules/safety.ts';
import { catalogReplacedMessage, targetFault } from './verdict.ts';
import { nextInstant, stalledRetryMs, waitingMs } from './wake.ts';

/** A rule and its name. */
export type Rule = readonly [name: string, decide: (o: Observed) => Decision | undefined];

/** Safety before progress; the first that speaks decides. */
export const everyRule: readonly Rule[] = [...Object.entries(safetyRules), ...Object.entries(progressRules)];

const { retirementDue: _due, retirement: _retirement, withdrawals: _withdrawals, ...takingAway } = safetyRules;

/**
 * The rules that take something away in the store at once: they need no destination, no workload and no record of use. Not those of
 * retirement: a version whose end has come is refused already, and the record of use tells why it ended.
 */
export const urgentRules: readonly Rule[] = Object.entries(takingAway);

/**
 * What is to be done next for one ApiKey. Two ordered lists, first match wins, safety before progress: safety waits for
 * no reference, permission or valid spec. Pure: the same observation gives the same plan. Tests and {@link urgentRules} leave rules out.
 *
 * Safety: takeOver → deletion → revoked → compromised → requests → revokedBefore → settings → expiryEdited → retirementDue → retirement →
 * withdrawals.
 * Progress: finalizing → acceptance → paused → namespaceTerminating → references → validity → ownerBinding → expiryLater → pendingEpoch →
 * nothingLive → compromisedNewest → ownVersion → drift → envelope → rotation → rollouts → steady.
 */
export function plan(o: Observed, rules: readonly Rule[] = everyRule): Plan {
  for (const [rule, decide] of rules) {
    const decision = decide(o);
    if (decision !== undefined) return conclude(o, rule, decision);
  }
  const obstacle = obstacleOf(o);
  return obstacle === undefined ? rest(o, 'steady', undefined) : conclude(o, 'steady', { kind: 'hold', blocker: obstacle });
}

const clockWrong: Blocker = { kind: 'waiting', reason: 'ClockWrong', message: reasons.ClockWrong };

function conclude(o: Observed, rule: string, decision: Decision): Plan {
  if (decision.kind === 'hold') return rest(o, rule, decision.blocker);
  const { action } = decision;
  if (o.clockWrong !== true || !needsRightClock(action)) return { rule, action };
  return rest(o, rule, clockWrong);
}

/** Nothing to do now: when to look again. A stalled or waiting key is looked at even if no instant of its own is near. */
function rest(o: Observed, rule: string, obstacle: Blocker | undefined): Plan {
  const blocker = heldBlocker(o, rule, obstacle) ?? obstacle;
  const retries = [obstacle, blocker].map((one) => one && o.now + (one.kind === 'stalled' ? stalledRetryMs : waitingMs(o)));
  const wakeAt = earliest(nextInstant(o), ...retries);
  return { rule, ...(blocker === undefined ? {} : { blocker }), ...(wakeAt === undefined ? {} : { wakeAt }) };
}

/** The status names a held change first: no pause, and no obstacle to what goes on, may hide it. */
function heldBlocker(o: Observed, rule: string, obstacle: Blocker | undefined): Blocker | undefined {
  const hold = Object.hasOwn(safetyRules, rule) ? undefined : holdOf(o);
  if (hold === undefined || obstacle === undefined || obstacle.reason === hold.reason) return hold;
  return { ...hold, message: `${hold.message}; what was accepted before: ${obstacle.message}` };
}

/** What is left when everything that could be done is done: mostly what keeps a destination from holding the current version. */
function obstacleOf(o: Observed): Blocker | undefined {
  const blocked = o.targets.find((target) => target.blocked !== undefined)?.blocked;
  if (blocked !== undefined) return blocked;
  // The delivered value is refused, wherever it is.
  if (isCatalogReplaced(o))
    return { kind: 'stalled', reason: 'CatalogReplaced', message: catalogReplacedMessage(o.resource.spec.catalog) };
  const stuck = firstStuck(o, openTargets(o));
  if (stuck?.kind === 'hold') return stuck.blocker;
  for (const target of openTargets(o)) {
    const holding = holdingAt(o, target.location);
    if (isBehind(o, target) && isPaced(o, target)) return pacedBlocker(o, target);
    if (holding.kind === 'failed')
      return {
        kind: holding.failure.kind === 'stalled' ? 'stalled' : 'waiting',
        reason: holding.failure.reason,
        message: `${target.name}: ${holding.failure.message}`,
      };
  }
  return o.clockWrong === true && endsDue(o) !== undefined ? clockWrong : undefined;
}

/** Why a place that needs a write does not get it yet. */
function pacedBlocker(o: Observed, target: OpenTarget): Blocker {
  const active = activeVersion(o);
  if (active !== undefined && isOnlyAltered(o, target, active)) {
    const changed = `${target.name}: the mark beside the key was changed outside Keywright`;
    const { message } = targetFault(o, target) ?? { message: changed };
    return { kind: 'waiting', reason: 'DestinationDrift', message: `${message}; it is restored later` };
  }
  const message = `${target.name}: the provider is written to again in a few minutes`;
  return { kind: 'waiting', reason: 'Delivering', message };
}

function earliest(...instants: readonly (Instant | undefined)[]): Instant | undefined {
  const known = instants.filter((at) => at !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
