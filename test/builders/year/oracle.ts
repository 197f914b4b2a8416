import type { Instant } from '../../../operator/src/domain/time.ts';
import type { MintCause } from '../../../operator/src/domain/version.ts';
import { blindness, outages, type Happening, type YearKey, type YearOutage } from './keys.ts';
import { Openings } from './openings.ts';

/** One version as the store has it after the year. */
export interface Lived {
  readonly keyId: string;
  readonly state: string;
  readonly endedReason: string | null;
  readonly lost: boolean;
  readonly cause: MintCause;
  readonly issuedAt: Instant;
  readonly activatedAt: Instant | null;
  readonly expiresAt: Instant | null;
  readonly notAfter: Instant | null;
  readonly endedAt: Instant | null;
}

/** What must be: an instant, or the span in which it must lie; `Infinity` = not in this year. */
interface Span {
  readonly from: Instant;
  readonly to: Instant;
}

interface Expected extends Span {
  readonly cause: MintCause;
}

interface End extends Span {
  readonly reason: string;
}

const hour = 3_600_000;
/** A destination that answers again is found by a probe within 15 s, and its keys come back over 30 s. */
const healMs = 60_000;
/** Attempts whose writes hung may be an hour apart by then. */
const healFromHangingMs = 75 * 60_000;
/** Use is asked for at most ten minutes apart, and written at most a minute late. */
const lookMs = 11 * 60_000;

/**
 * What the year of one key must look like, by the words of the documentation and with nothing of the program: for each
 * version, when and why the next one comes, and when and why it ends.
 */
export class Oracle {
  readonly #key: YearKey;
  readonly #start: Instant;
  readonly #end: Instant;
  readonly #openings: Openings | undefined;

  constructor(key: YearKey, start: Instant, end: Instant) {
    this.#key = key;
    this.#start = start;
    this.#end = end;
    const { window } = key.policy;
    this.#openings = window === undefined ? undefined : new Openings(window, start - 10 * 24 * hour, end + 60 * 24 * hour);
  }

  /** When the key is over for good, or the year is. */
  overAt(): Instant {
    const { policy, happenings, createdAt } = this.#key;
    const gone = happenings.find(({ do: what }) => what === 'revoke' || what === 'delete')?.at ?? this.#end;
    return Math.min(gone, policy.expiresAt ?? this.#end, this.#end, Math.max(createdAt, this.#end));
  }

  /** What differs from what must be, as sentences. */
  judge(versions: readonly Lived[]): readonly string[] {
    const winners = winnersOf(versions);
    const problems: string[] = [];
    const [first] = winners;
    if (first === undefined) return [`${this.#key.name} was never delivered`];
    if (first.issuedAt !== this.#key.createdAt || first.cause !== 'Initial') problems.push(this.#say('begins wrongly', first));
    for (const attempt of versions.filter((one) => one.activatedAt === null))
      if (!this.#isLostInTime(attempt, winners)) problems.push(this.#say('keeps a lost attempt', attempt));
    for (const [index, version] of winners.entries()) {
      const next = winners[index + 1];
      problems.push(...this.#judgeNext(version, winners[index - 1], next));
      problems.push(...this.#judgeEnd(version, next));
    }
    return problems;
  }

  /** When notices of the expiry are due: none for a key that is rotated first, nor for an attempt that a crash lost. */
  notices(versions: readonly Lived[]): readonly Instant[] {
    const { policy } = this.#key;
    if (policy.expiresAt === undefined && policy.onExpiry !== 'Expire') return [];
    return winnersOf(versions)
      .flatMap(({ issuedAt, expiresAt }) =>
        expiresAt === null
          ? []
          : [30, 7, 1].map((days) => expiresAt - Math.min(days * 24 * hour, Math.floor((expiresAt - issuedAt) / 3))),
      )
      .filter((at) => at <= this.#end);
  }

  /** When the key expires for good. */
  expiries(versions: readonly Lived[]): readonly Instant[] {
    if (this.notices(versions).length === 0) return [];
    return winnersOf(versions).flatMap(({ expiresAt }) => (expiresAt === null || expiresAt > this.#end ? [] : [expiresAt]));
  }

  /** An attempt whose value a crash lost ends an overlap after the version that took its place. */
  #isLostInTime({ lost, issuedAt, endedAt }: Lived, winners: readonly Lived[]): boolean {
    const winner = winners.find((one) => one.issuedAt >= issuedAt);
    const latest = winner === undefined ? this.#end : seconds((winner.activatedAt ?? 0) + this.#key.policy.overlap * hour);
    return lost && (endedAt === null ? latest >= this.#end : endedAt <= latest);
  }

  #judgeNext(version: Lived, older: Lived | undefined, next: Lived | undefined): readonly string[] {
    const expected = this.#nextAfter(version, older);
    if (expected === undefined || expected.from > this.#end)
      return next === undefined ? [] : [this.#say('has a version too many', next)];
    if (next === undefined) return expected.to > this.#end ? [] : [this.#say(`lacks a version at ${text(expected)}`, version)];
    const isRight = inside(next.issuedAt, expected) && next.cause === expected.cause;
    const problems = isRight ? [] : [this.#say(`is not replaced at ${text(expected)} (${expected.cause})`, next)];
    const activation = this.#activationOf(next.issuedAt);
    return inside(next.activatedAt ?? 0, activation)
      ? problems
      : [...problems, this.#say(`is not activated at ${text(activation)}`, next)];
  }

  /** The first of all that makes a next version. */
  #nextAfter(version: Lived, older: Lived | undefined): Expected | undefined {
    const since = version.activatedAt ?? version.issuedAt;
    const over = this.overAt();
    const events = this.#key.happenings.filter(({ at, value }) => at >= since && value !== undefined);
    const olderEnd = older === undefined ? 0 : (older.endedAt ?? older.notAfter ?? Number.POSITIVE_INFINITY);
    const candidates: Expected[] = [];
    const planned = this.#planned(version, olderEnd);
    if (planned !== undefined) candidates.push(planned);
    for (const { do: what, at } of events) {
      if (what === 'compromise' && at > since) candidates.push({ from: at, to: at, cause: 'Compromise' });
      if (what === 'rotate' && at > since) {
        const begins = Math.max(at, olderEnd);
        candidates.push({ ...this.#deliverable({ from: begins, to: begins }), cause: 'Requested' });
      }
      // Asked for while the version that answers the request before was still in its overlap.
      if (what === 'rotate' && at === since) continue;
    }
    const first = candidates.sort((a, b) => a.from - b.from)[0];
    return first === undefined || first.from >= over ? undefined : first;
  }

  #planned(version: Lived, olderEnd: Instant): Expected | undefined {
    const { after, every, beforeExpiry, onExpiry, overlap } = this.#key.policy;
    const since = version.activatedAt ?? version.issuedAt;
    const lifetime = (after ?? Number.POSITIVE_INFINITY) * hour;
    const last = this.#lastMoment(version);
    const scheduled = every === undefined ? Number.POSITIVE_INFINITY : since + every * hour;
    const share = every === undefined ? { from: (lifetime * 2) / 3, to: (lifetime * 2.2) / 3 } : undefined;
    let saving: Span = { from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY };
    if (version.expiresAt !== null && after !== undefined && (onExpiry !== 'Expire' || beforeExpiry !== undefined)) {
      if (beforeExpiry !== undefined) saving = at(version.expiresAt - beforeExpiry * hour);
      else if (share !== undefined)
        saving = { from: seconds(version.issuedAt + share.from), to: seconds(version.issuedAt + share.to) };
      else saving = at(last);
      saving = { from: Math.min(saving.from, last), to: Math.min(saving.to, last) };
    }
    const cause = scheduled <= saving.from ? 'Scheduled' : 'BeforeExpiry';
    const due = cause === 'Scheduled' ? at(scheduled) : saving;
    if (!Number.isFinite(due.from) || overlap < 0) return undefined;
    const begin = (wanted: Instant): Instant => this.#begin(Math.max(wanted, olderEnd), last);
    return { ...this.#deliverable({ from: begin(due.from), to: begin(due.to) }), cause };
  }

  /** A window is waited for up to the last moment, and a resumption for ever. */
  #begin(wanted: Instant, last: Instant): Instant {
    const opened = this.#openings?.firstFrom(wanted) ?? wanted;
    const begins = opened > last ? wanted : opened;
    const suspended = this.#key.happenings.find(({ do: what }) => what === 'suspend')?.at;
    const resumed = this.#key.happenings.find(({ do: what }) => what === 'resume')?.at;
    if (suspended === undefined || resumed === undefined) return begins;
    return suspended <= begins && begins < resumed ? resumed : begins;
  }

  #lastMoment({ expiresAt }: Lived): Instant {
    const { after, overlap } = this.#key.policy;
    if (expiresAt === null || after === undefined) return Number.POSITIVE_INFINITY;
    return expiresAt - overlap * hour - Math.min(hour, (after * hour) / 10);
  }

  /** Nothing is minted that could be written nowhere. */
  #deliverable({ from, to }: Span): Span {
    const down = this.#key.places.includes('file') ? undefined : this.#outageAt(from);
    if (down === undefined) return { from, to };
    // That writes hang shows only when a value is there to be written.
    return { from: down.do === 'hang' ? from : down.to, to: Math.max(down.to, to) + healing(down) };
  }

  #outageAt(at: Instant): YearOutage | undefined {
    if (!this.#key.places.includes('vault')) return undefined;
    return outages(this.#start).find(({ from, to }) => from <= at && at < to);
  }

  /** With one place of two out of reach a version waits an hour for it, or until it answers. */
  #activationOf(issuedAt: Instant): Span {
    const down = this.#outageAt(issuedAt);
    if (down === undefined) return { from: issuedAt, to: issuedAt };
    const from = Math.min(issuedAt + hour, down.to);
    return { from, to: from + healing(down) };
  }

  #judgeEnd(version: Lived, next: Lived | undefined): readonly string[] {
    const expected = this.#endOf(version, next);
    const ended = version.endedAt;
    if (expected === undefined || expected.from > this.#end)
      return ended === null ? [] : [this.#say('ended for no reason', version)];
    if (ended === null) return expected.to >= this.#end ? [] : [this.#say(`does not end at ${text(expected)}`, version)];
    const isRight = inside(ended, expected) && version.endedReason === expected.reason;
    return isRight ? [] : [this.#say(`does not end at ${text(expected)} (${expected.reason})`, version)];
  }

  /** The first of all that ends a version; `undefined` = it lives. */
  #endOf(version: Lived, next: Lived | undefined): End | undefined {
    const ends: End[] = [];
    const lived = (happening: Happening): boolean => happening.at > version.issuedAt;
    for (const happening of this.#key.happenings.filter(lived)) {
      const { do: what, at: when, value } = happening;
      if (what === 'revoke' || what === 'delete' || (what === 'compromise' && value !== undefined))
        ends.push({ ...at(when), reason: 'revoked' });
    }
    if (version.expiresAt !== null) ends.push({ ...at(version.expiresAt), reason: 'expired' });
    const retired = next === undefined ? undefined : this.#retirement(version, next);
    if (retired !== undefined) ends.push({ ...retired, reason: 'retired' });
    return ends.sort((a, b) => a.from - b.from)[0];
  }

  #retirement(version: Lived, next: Lived): Span {
    const { retire, overlap, maxOverlap } = this.#key.policy;
    const { switchMs } = this.#key;
    const activatedAt = next.activatedAt ?? next.issuedAt;
    const down = this.#outageAt(next.issuedAt);
    // The place that was out of reach gets its value when it answers.
    const deliveredBy: Span =
      down === undefined || activatedAt >= down.to ? at(activatedAt) : { from: down.to, to: down.to + healing(down) };
    const overlapEnd = { from: deliveredBy.from + overlap * hour, to: seconds(deliveredBy.to + overlap * hour) };
    const latest = Math.min(
      activatedAt + maxOverlap * hour,
      Math.max(overlapEnd.to, this.#lastMoment(next)),
      version.expiresAt ?? Number.POSITIVE_INFINITY,
    );
    const capped = ({ from, to }: Span): Span => ({ from: Math.min(from, latest), to: Math.min(to, latest) });
    if (retire === 'AfterOverlap') return capped(overlapEnd);
    if (switchMs === undefined) return at(latest);
    const quietAt = next.issuedAt + switchMs + 10 * 60_000;
    const ready = { from: Math.max(overlapEnd.from, quietAt), to: Math.max(overlapEnd.to, quietAt) + lookMs };
    const blind = blindness(this.#start);
    const isBlind = ready.from < blind.to && ready.to > blind.from;
    return capped(isBlind ? { from: ready.from, to: blind.to + 2 * lookMs } : ready);
  }

  #say(what: string, { cause, issuedAt, activatedAt, endedAt, endedReason }: Lived): string {
    const instants = [issuedAt, activatedAt, endedAt].map((one) => (one === null ? '-' : new Date(one).toISOString()));
    return `${this.#key.name} ${what}: ${cause}, issued, activated, ended ${instants.join(', ')} ${endedReason ?? ''}`;
  }
}

/** What was due in an outage is there so long after its end at the latest, in milliseconds. */
function healing(down: YearOutage): number {
  return down.do === 'hang' ? healFromHangingMs : healMs;
}

/** The versions that were delivered; the others are attempts that a crash lost, and another took their place. */
function winnersOf(versions: readonly Lived[]): readonly Lived[] {
  return versions.filter((one) => one.activatedAt !== null);
}

function at(instant: Instant): Span {
  const whole = seconds(instant);
  return { from: whole, to: whole };
}

/** Ends are whole seconds, rounded up. */
function seconds(instant: Instant): Instant {
  return Math.ceil(instant / 1000) * 1000;
}

function inside(instant: Instant, { from, to }: Span): boolean {
  return from <= instant && instant <= to;
}

function text({ from, to }: Span): string {
  const [first, last] = [from, to].map((one) => (Number.isFinite(one) ? new Date(one).toISOString() : 'never'));
  return first === last ? `${first}` : `${first}…${last}`;
}
