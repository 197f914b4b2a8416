import { ceilToSecond, type Instant } from '../../domain/time.ts';
import type { MintCause } from '../../domain/version.ts';
import type { RotationDue } from './due.ts';
import { nextOpen, type RotationWindow } from './windows.ts';

/** What may put a rotation off. Compromise, leak and lost value ask none of it. */
export interface Brakes {
  readonly windows: readonly RotationWindow[];
  /** When the older version ends at the latest, while two versions live; lost attempts do not count. */
  readonly olderEndsAt?: Instant;
  /** Before it a provider takes no further write (AWS: 10 minutes after the last one to the same secret). */
  readonly writableAt?: Instant;
  readonly suspended: boolean;
}

/** Why a rotation waits. `NotDue` and `WriteInterval` are for logs; the others are reasons of the vocabulary. */
export type Delay = 'NotDue' | 'OverlapRunning' | 'WriteInterval' | 'OutsideWindow';

/** What becomes of the next rotation at one instant. Without `dueAt` somebody asked for it: nobody knows since when. */
export type RotationStep =
  | { readonly kind: 'none' }
  | { readonly kind: 'begin'; readonly cause: MintCause; readonly dueAt?: Instant }
  /** Put off until a person resumes the key. */
  | { readonly kind: 'suspended'; readonly cause: MintCause; readonly dueAt?: Instant }
  | {
      readonly kind: 'wait';
      readonly cause: MintCause;
      readonly dueAt?: Instant;
      readonly why: Delay;
      /** When it will begin, as far as is known now. */
      readonly beginsAt: Instant;
      /** When something changes that the status tells: always after now. */
      readonly wakeAt: Instant;
    };

/** Whether a planned rotation begins now, and else why not and when. */
export function stepOfPlanned(due: RotationDue | undefined, brakes: Brakes, now: Instant): RotationStep {
  if (due === undefined) return { kind: 'none' };
  if (brakes.suspended) return { kind: 'suspended', cause: due.cause, dueAt: due.at };
  const { at: dueAt, cause, lastAt } = due;
  return stepOf({ cause, dueAt, ...(lastAt === undefined ? {} : { lastAt }) }, brakes, now);
}

/** The same for a rotation that somebody asked for: it waits for no window. */
export function stepOfRequested(brakes: Brakes, now: Instant): RotationStep {
  return brakes.suspended
    ? { kind: 'suspended', cause: 'Requested' }
    : stepOf({ cause: 'Requested' }, { ...brakes, windows: [] }, now);
}

/** `status.nextRotationAt`: when the next rotation begins, as far as is known; what is overdue keeps its instant. */
export function nextRotationAt(step: RotationStep): Instant | undefined {
  switch (step.kind) {
    case 'none':
    case 'suspended':
      return undefined;
    case 'begin':
      return step.dueAt;
    case 'wait':
      return step.beginsAt;
  }
}

interface Wanted {
  readonly cause: MintCause;
  readonly dueAt?: Instant;
  readonly lastAt?: Instant;
}

function stepOf({ lastAt, ...told }: Wanted, brakes: Brakes, now: Instant): RotationStep {
  const last = lastAt ?? Number.POSITIVE_INFINITY;
  const dueAt = told.dueAt ?? now;
  const olderEndsAt = brakes.olderEndsAt ?? now;
  // A key that would expire meanwhile is written all the same: the provider's interval is advice, an expired key is an outage.
  const writableAt = Math.min(brakes.writableAt ?? now, Math.max(last, now));
  const freeAt = Math.max(now, dueAt, olderEndsAt, writableAt);
  const openAt = nextOpen(brakes.windows, freeAt);
  if (openAt === undefined && lastAt === undefined) return { kind: 'none' };
  const beginsAt = openAt === undefined || openAt > last ? freeAt : openAt;
  if (beginsAt <= now) return { kind: 'begin', ...told };
  const why: Delay =
    now < dueAt ? 'NotDue' : olderEndsAt > now ? 'OverlapRunning' : writableAt > now ? 'WriteInterval' : 'OutsideWindow';
  const known = why === 'NotDue' ? dueAt : why === 'OutsideWindow' ? beginsAt : freeAt;
  return { kind: 'wait', ...told, why, beginsAt: ceilToSecond(beginsAt), wakeAt: ceilToSecond(known) };
}
