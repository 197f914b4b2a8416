import type { Instant } from '../../../operator/src/domain/time.ts';
import type { Policy } from './keys.ts';

type Window = NonNullable<Policy['window']>;

const stepMs = 30 * 60_000;
const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

/**
 * When a window opens, found by walking through the year with the calendar of its time zone in hand: at the wall time of its
 * schedule; where the clocks leave that time out, when the gap ends; where they show it twice, at the first.
 */
export class Openings {
  readonly #instants: readonly Instant[];
  readonly #lengthMs: number;

  constructor(window: Window, from: Instant, to: Instant) {
    this.#instants = walk(window, from, to);
    this.#lengthMs = window.hours * 3_600_000;
  }

  /** `at` itself when the window is open then, else its next opening. */
  firstFrom(at: Instant): Instant {
    const isOpen = this.#instants.some((opened) => opened <= at && at < opened + this.#lengthMs);
    return isOpen ? at : (this.#instants.find((opened) => opened > at) ?? Number.POSITIVE_INFINITY);
  }
}

function walk({ schedule, timezone }: Window, from: Instant, to: Instant): readonly Instant[] {
  const [minute = '0', hour = '0', , , weekday = '*'] = schedule.split(' ');
  const wanted = Number(hour) * 60 + Number(minute);
  const format = new Intl.DateTimeFormat('en-US', {
    ...{ timeZone: timezone, hourCycle: 'h23', weekday: 'short', day: 'numeric', month: 'numeric' },
    ...{ hour: 'numeric', minute: 'numeric' },
  });
  const found: Instant[] = [];
  let before = { date: '', minutes: 0 };
  let lastDate = '';
  for (let at = from; at < to; at += stepMs) {
    const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]));
    const date = `${parts['month'] ?? ''}/${parts['day'] ?? ''}`;
    const minutes = Number(parts['hour']) * 60 + Number(parts['minute']);
    const isDay = weekday === '*' || weekdays[Number(weekday)] === parts['weekday'];
    const isSkipped = before.date === date && before.minutes < wanted && wanted < minutes;
    if (isDay && date !== lastDate && (minutes === wanted || isSkipped)) {
      found.push(at);
      lastDate = date;
    }
    before = { date, minutes };
  }
  return found;
}
