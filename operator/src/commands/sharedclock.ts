import { Failure } from '../domain/failure.ts';
import type { Clock, Instant } from '../domain/time.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';

/** What a {@link SharedClock} needs. */
export interface SharedClockInit {
  /** This machine's own. */
  readonly own: Clock;
  /** What the database's clock says. */
  readonly databaseNow: () => Promise<Instant>;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'clockCompared'>;
}

const compareEveryMs = 60_000;
/** After a comparison that failed, and the least time between two that were asked for. */
const compareAgainMs = 5_000;
/** From here on a difference is told. */
const offMs = 5_000;
/** From here on one of the two clocks is wrong, and nobody knows which. */
const wrongMs = 60_000;
/** The wall clock and the monotonic one part by less than this in a minute, unless somebody set the time or the machine slept. */
const driftMs = 1_000;

/** What one comparison came to. */
interface Comparison {
  /** How far this machine's clock is ahead of the database's. */
  readonly skewMs: number;
  readonly wallAt: Instant;
  readonly atMs: number;
}

type State = 'right' | 'off' | 'wrong';

/**
 * The time that all processes of one database share: this machine's clock, corrected by the database's, which it is compared
 * with at the start, each minute, and as soon as the wall clock jumps. Between a jump and the next comparison time goes on as
 * the monotonic clock counts it, and {@link isRight} is false: whether somebody set the clock or the machine slept for a day
 * cannot be told without asking.
 */
export class SharedClock implements Clock {
  readonly #init: SharedClockInit;
  #last: Comparison | undefined;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #state: State = 'right';

  constructor(init: SharedClockInit) {
    this.#init = init;
  }

  /** The database's time, as far as the last comparison tells; before the first one, this machine's. */
  now(): Instant {
    const { own } = this.#init;
    if (this.#last === undefined) return own.now();
    const { driftedMs, expectedAt } = this.#drift(this.#last);
    const wallAt = driftedMs > driftMs ? expectedAt : own.now();
    return Math.round(wallAt - this.#last.skewMs);
  }

  /** {@link now} for a verdict: `undefined` while the time is not known. A difference of any size is no harm once it is known. */
  verifyNow(): Instant | undefined {
    return this.#isKnown() ? this.now() : undefined;
  }

  /** Whether versions may be minted and retired: false before the first comparison, after a jump, and while one clock is wrong. */
  isRight(): boolean {
    return this.#isKnown() && this.#state !== 'wrong';
  }

  monotonicMs(): number {
    return this.#init.own.monotonicMs();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#init.own.sleep(ms, signal);
  }

  /** Compares once, and then again and again until the signal is aborted. Rejects with a Failure, and may be called again then. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#compare();
    void this.#compareForEver(signal);
  }

  #isKnown(): boolean {
    return this.#last !== undefined && this.#drift(this.#last).driftedMs <= offMs;
  }

  /** How far the wall clock jumped since a comparison; a jump asks for the next one. */
  #drift({ wallAt, atMs }: Comparison): { readonly driftedMs: number; readonly expectedAt: Instant } {
    const { own } = this.#init;
    const expectedAt = wallAt + own.monotonicMs() - atMs;
    const driftedMs = Math.abs(own.now() - expectedAt);
    if (driftedMs > driftMs && own.monotonicMs() - this.#askedAtMs >= compareAgainMs) void this.#tryToCompare();
    return { driftedMs, expectedAt };
  }

  async #compareForEver(signal: AbortSignal): Promise<void> {
    let pauseMs = compareEveryMs;
    while (!signal.aborted) {
      await this.#init.own.sleep(pauseMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      pauseMs = (await this.#tryToCompare()) ? compareEveryMs : compareAgainMs;
    }
  }

  async #tryToCompare(): Promise<boolean> {
    this.#askedAtMs = this.monotonicMs();
    try {
      await this.#compare();
      return true;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#init.log.warn('clock not compared', { reason: error.reason, message: error.message });
      return false;
    }
  }

  async #compare(): Promise<void> {
    const { own, databaseNow, metrics } = this.#init;
    const asked = { wallAt: own.now(), atMs: own.monotonicMs() };
    const databaseAt = await databaseNow();
    const atMs = own.monotonicMs();
    // A clock that was set while the database was asked is asked about again.
    const wallAt = asked.wallAt + atMs - asked.atMs;
    const skewMs = provenSkewMs(databaseAt, asked.wallAt, wallAt);
    this.#last = { skewMs, wallAt, atMs };
    metrics.clockCompared(skewMs);
    this.#tell(skewMs);
  }

  #tell(skewMs: number): void {
    const { log } = this.#init;
    const state: State = Math.abs(skewMs) > wrongMs ? 'wrong' : Math.abs(skewMs) > offMs ? 'off' : 'right';
    if (state === this.#state) return;
    this.#state = state;
    const seconds = (Math.abs(skewMs) / 1000).toFixed(1);
    const message = `this machine's clock is ${seconds} s ${skewMs > 0 ? 'ahead of' : 'behind'} the database's`;
    if (state === 'right') log.info('clock right', { message });
    else if (state === 'off') log.warn('clock off', { message });
    else log.error('clock wrong', { reason: 'ClockWrong', message: `${message}: nothing is minted or retired` });
  }
}

/**
 * The least difference that an answer proves, positive = this machine is ahead: the database said `databaseAt` at some moment
 * between the question and the answer, so that a slow answer proves nothing that is not so.
 */
function provenSkewMs(databaseAt: Instant, askedAt: Instant, answeredAt: Instant): number {
  if (databaseAt < askedAt) return askedAt - databaseAt;
  return databaseAt > answeredAt ? answeredAt - databaseAt : 0;
}
