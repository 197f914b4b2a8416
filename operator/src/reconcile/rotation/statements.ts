import { spellDuration } from '../../domain/duration.ts';
import { formatInstant, type Instant } from '../../domain/time.ts';
import type { MintCause, Version } from '../../domain/version.ts';
import type { Reason } from '../../domain/reason.ts';
import type { UsageHorizon } from '../../store/horizon.ts';
import { no, yes, type Statement } from '../verdict.ts';
import { nextRotationAt, type RotationStep } from './begin.ts';
import { nextNoticeAt, noticeAt } from './notices.ts';
import type { EndCause, Retirement, WaitCause } from './retire.ts';

// No instant of now and no last use is in these messages: a status that says nothing new must not be written again.

const blindness: Readonly<Record<Extract<UsageHorizon, { kind: 'unknown' }>['why'], string>> = {
  'no replica': 'no authorizer reports usage',
  lagging: 'an authorizer is behind with its reports of usage',
  dropping: 'an authorizer had to drop reports of usage',
};

/** Adopted: the current version was seen in use, and every rollout is complete. `rollouts` is what the consumers say, if there are any. */
export function adoptedOf(
  current: Pick<Version, 'firstUsedAt'>,
  horizon: UsageHorizon,
  rollouts: Statement | undefined,
): Statement {
  if (rollouts !== undefined && rollouts.status !== 'True') return rollouts;
  if (current.firstUsedAt !== undefined) return yes('SeenInUse', `First used at ${formatInstant(current.firstUsedAt)}.`);
  return horizon.kind === 'known'
    ? no('NotSeenYet')
    : { status: 'Unknown', reason: 'UsageUnknown', message: `Not seen yet, but ${blindness[horizon.why]}.` };
}

/** What Rotating is made from. */
export interface Rotation {
  /** A version on its way that will replace an active one. */
  readonly pending?: Pick<Version, 'keyId' | 'cause'>;
  /** The version that workloads should use, and the older one that is still valid. */
  readonly replaced?: {
    readonly cause: MintCause;
    readonly old: Pick<Version, 'keyId' | 'usedBy'>;
    readonly retirement: Retirement;
  };
  readonly step: RotationStep;
}

/** Rotating: a newer version replaces the current one, with its cause; else when the next rotation is due, and what holds it up. */
export function rotatingOf({ pending, replaced, step }: Rotation): Statement {
  if (pending !== undefined) return yes(reasonOf(pending.cause), `Version ${pending.keyId} is being delivered.`);
  if (replaced !== undefined)
    return yes(reasonOf(replaced.cause), sentenceOfOld(replaced.old, replaced.retirement) + afterwards(step));
  switch (step.kind) {
    case 'none':
      return no('Steady', 'No rotation is planned.');
    case 'begin':
      return no(reasonOf(step.cause), `${dueOf(step)}.`);
    case 'suspended':
      return no('Suspended', `${dueOf(step)}; it waits while the key is suspended.`);
    case 'wait': {
      const plan = `${dueOf(step)}; it begins at ${formatInstant(step.beginsAt)}`;
      if (step.why === 'OutsideWindow') return no('OutsideWindow', `${plan}, when its window opens.`);
      if (step.why === 'OverlapRunning') return no('OverlapRunning', `${plan}, when the old version has ended.`);
      return no(
        'Steady',
        step.beginsAt === step.dueAt ? `The next rotation is due at ${formatInstant(step.dueAt)}.` : `${plan}.`,
      );
    }
  }
}

/** What a request that came during the rotation waits for: otherwise it would look ignored. */
function afterwards(step: RotationStep): string {
  if (step.kind === 'none' || step.kind === 'begin' || step.cause !== 'Requested') return '';
  const until =
    step.kind === 'suspended'
      ? 'waits while the key is suspended'
      : `begins when the old version has ended, at ${formatInstant(step.beginsAt)} at the latest`;
  return ` Another rotation was asked for; it ${until}.`;
}

function dueOf({ dueAt }: { readonly dueAt?: Instant }): string {
  return dueAt === undefined ? 'A rotation was asked for' : `A rotation is due at ${formatInstant(dueAt)}`;
}

/** No version is replaced by a first one; every other cause is a word of the vocabulary. */
function reasonOf(cause: MintCause): Reason {
  return cause === 'Initial' ? 'Minting' : cause;
}

const endings: Readonly<Record<EndCause, string>> = {
  Unused: 'it is not used any more',
  OverlapOver: 'the overlap is over then',
  MaxOverlap: 'spec.rotation.maxOverlap is over then',
  SuccessorDue: 'the version that took its place is to be replaced then',
  ExpiryFirst: 'it expires then',
};

const waits: Readonly<Record<WaitCause, string>> = {
  Delivering: 'not every destination holds the new version',
  OverlapRunning: 'the overlap is running',
  NotSeenYet: 'the new version has not been seen in use',
  UsageUnknown: 'not every authorizer has reported its usage',
  StillUsed: 'it was used until just now',
};

/** Until when an old version is valid, and why so long. */
export function sentenceOfOld(old: Pick<Version, 'keyId' | 'usedBy'>, retirement: Retirement): string {
  const until = `The old version ${old.keyId} is valid until ${formatInstant(retirement.notAfter)}`;
  if (retirement.kind === 'ends') return `${until}: ${endings[retirement.why]}.`;
  const users = namesOfUsers(old);
  const who = retirement.why === 'StillUsed' && users.length > 0 ? `it is used by ${users.join('; ')}` : waits[retirement.why];
  return `${until} at the latest: ${who}.`;
}

/** Who was last seen using a version, in alphabetical order, so that it stays the same. */
export function namesOfUsers({ usedBy = [] }: Pick<Version, 'usedBy'>): readonly string[] {
  return [...new Set(usedBy.map((use) => use.by))].sort();
}

/** The end of a notice: whom it concerns. */
export function contactOf(contactEmail: string | undefined): string {
  return contactEmail === undefined ? '' : ` Contact: ${contactEmail}.`;
}

/** What Expiring is made from. */
export interface ExpiryOutlook {
  readonly active: Pick<Version, 'keyId' | 'issuedAt' | 'expiresAt'>;
  readonly step: RotationStep;
  readonly overlapMs: number;
  /** Whom a notice names. */
  readonly contactEmail: string | undefined;
}

/**
 * Expiring: the key will expire, a notice is due, and no rotation comes first. A rotation that has used up its margin and
 * still has not happened does not count as coming.
 */
export function expiringOf(outlook: ExpiryOutlook, now: Instant): Statement {
  const { active, step, contactEmail } = outlook;
  if (active.expiresAt === undefined) return no('Steady', 'The key does not expire.');
  const end = formatInstant(active.expiresAt);
  const notice = noticeAt(active, now);
  if (notice === undefined || isRotatedFirst(outlook, active.expiresAt, now)) return no('Steady', `Expires at ${end}.`);
  const why =
    step.kind === 'none'
      ? 'no rotation comes first'
      : step.kind === 'suspended'
        ? 'its rotation waits while the key is suspended'
        : 'its rotation is late';
  return yes(
    'Expiring',
    `Version ${active.keyId} expires at ${end}, in ${spellDuration(notice.beforeMs)} or less, and ${why}.${contactOf(contactEmail)}`,
  );
}

/** When {@link expiringOf} may next say something else; `undefined` = never. */
export function nextExpiringAt({ active, overlapMs }: ExpiryOutlook, now: Instant): Instant | undefined {
  if (active.expiresAt === undefined) return undefined;
  const late = active.expiresAt - overlapMs;
  const instants = [nextNoticeAt(active, now), late > now ? late : undefined].filter((at) => at !== undefined);
  return instants.length === 0 ? undefined : Math.min(...instants);
}

function isRotatedFirst({ step, overlapMs }: ExpiryOutlook, expiresAt: Instant, now: Instant): boolean {
  const at = nextRotationAt(step);
  return at !== undefined && at < expiresAt && now < expiresAt - overlapMs;
}
