import { Cron } from 'croner';
import type { ApiKeySpec } from '../../api/kinds.ts';
import { durationMs } from '../../domain/duration.ts';
import { ceilToSecond, type Instant } from '../../domain/time.ts';

/** One entry of `spec.rotation.windows`. */
export type WindowSpec = NonNullable<ApiKeySpec['rotation']['windows']>[number];

/**
 * A window, ready to be asked. It opens at each instant of its schedule and stays open for `durationMs` of real time: a
 * change of the clocks inside it makes it neither longer nor shorter.
 *
 * Clocks go forward: a schedule at a time that the day does not have opens when that gap ends. Clocks go back: a schedule
 * at a fixed time opens once, at the first of the two; one with `*` in its minutes or hours at both.
 */
export interface RotationWindow {
  readonly schedule: Cron;
  readonly durationMs: number;
}

/** What a window is not, with the member that says so. */
export interface WindowFault {
  readonly index: number;
  readonly member: 'schedule' | 'timezone';
  readonly message: string;
}

/** The windows of a spec that {@link windowFault} finds nothing wrong with. No window = at any time. */
export function windowsOf(specs: readonly WindowSpec[] | undefined): readonly RotationWindow[] {
  return (specs ?? []).map((spec) => ({ schedule: scheduleOf(spec), durationMs: durationMs(spec.duration) }));
}

/**
 * The first window that cannot be: an unknown time zone, no schedule of five fields, or one that never comes (31 February).
 * The search ends after some milliseconds however the schedule is written: the calendar is searched by months, up to the
 * year 9999.
 */
export function windowFault(specs: readonly WindowSpec[] | undefined, now: Instant): WindowFault | undefined {
  for (const [index, spec] of (specs ?? []).entries()) {
    if (!isTimeZone(spec.timezone))
      return { index, member: 'timezone', message: `${spec.timezone} is no time zone of the IANA database` };
    const schedule = parseSchedule(spec);
    if (schedule === undefined)
      return { index, member: 'schedule', message: `${spec.schedule} is no cron schedule of five fields` };
    if (openingAfter(schedule, now) === undefined)
      return { index, member: 'schedule', message: `${spec.schedule} never comes, so the window never opens` };
  }
  return undefined;
}

/** Whether any of the windows is open; without a window, always. */
export function isOpen(windows: readonly RotationWindow[], at: Instant): boolean {
  return windows.length === 0 || windows.some((window) => isWindowOpen(window, at));
}

/** The first instant from `from` on at which a window is open: `from` itself, or the next opening. `undefined` = never again. */
export function nextOpen(windows: readonly RotationWindow[], from: Instant): Instant | undefined {
  if (isOpen(windows, from)) return from;
  const openings = windows.flatMap((window) => openingAfter(window.schedule, from) ?? []);
  return openings.length === 0 ? undefined : Math.min(...openings);
}

/** Of the openings of one window the latest also closes last, so that no other needs to be asked. */
function isWindowOpen({ schedule, durationMs: lengthMs }: RotationWindow, at: Instant): boolean {
  // The search looks strictly before its reference, and openings are whole seconds.
  const [opened] = schedule.previousRuns(1, new Date(ceilToSecond(at + 1)));
  return opened !== undefined && at < opened.getTime() + lengthMs;
}

function openingAfter(schedule: Cron, after: Instant): Instant | undefined {
  return schedule.nextRun(new Date(after))?.getTime();
}

/** Without a function to call croner starts no timer: it only answers when a schedule comes. */
function scheduleOf({ schedule, timezone }: WindowSpec): Cron {
  return new Cron(schedule, { timezone, mode: '5-part' });
}

function parseSchedule(spec: WindowSpec): Cron | undefined {
  try {
    return scheduleOf(spec);
  } catch {
    return undefined;
  }
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
