import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { SharedClock } from '../../../operator/src/commands/sharedclock.ts';
import { waiting } from '../../../operator/src/domain/failure.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const day = 86_400_000;
const start = Date.parse('2026-01-01T00:00:00Z');

const stop: AbortController[] = [];
afterEach(() => {
  for (const one of stop.splice(0)) one.abort();
});

/** This machine, and a database whose clock is right: it counts every second, also those in which this machine sleeps. */
class Machines {
  readonly own = new FakeClock(start);
  readonly told: string[] = [];
  readonly skews: number[] = [];
  comparisons = 0;
  answers = true;
  /** How long the database takes to answer. */
  answerMs = 0;
  #sleptMs = 0;
  #databaseAheadMs = 0;
  readonly clock: SharedClock;

  constructor() {
    const note =
      (level: string) =>
      (event: string, fields?: { readonly message?: string }): void => {
        this.told.push(`${level} ${event}: ${fields?.message ?? ''}`);
      };
    this.clock = new SharedClock({
      own: this.own,
      databaseNow: async () => {
        this.comparisons += 1;
        if (!this.answers) throw waiting('StoreUnavailable', 'no answer');
        if (this.answerMs > 0) await this.own.sleep(this.answerMs);
        return this.truth();
      },
      log: { ...silentLog, info: note('info'), warn: note('warn'), error: note('error') },
      metrics: { clockCompared: (skewMs) => this.skews.push(skewMs) },
    });
  }

  static async open(prepare: (machines: Machines) => void = () => {}): Promise<Machines> {
    const machines = new Machines();
    prepare(machines);
    await machines.start();
    return machines;
  }

  async start(): Promise<void> {
    const ended = new AbortController();
    stop.push(ended);
    await this.clock.start(ended.signal);
  }

  /** What the database's clock says. */
  truth(): number {
    return start + this.own.monotonicMs() + this.#sleptMs + this.#databaseAheadMs;
  }

  /** Somebody sets this machine's clock. */
  set(ms: number): void {
    this.own.jump(ms);
  }

  /** The machine is suspended: its wall clock goes on, its monotonic clock does not. */
  suspend(ms: number): void {
    this.#sleptMs += ms;
    this.own.jump(ms);
  }

  setDatabase(ms: number): void {
    this.#databaseAheadMs += ms;
  }
}

describe('the time that the processes of a database share', () => {
  it('is right where the clocks agree, and says nothing of it', async () => {
    const machines = await Machines.open();
    await machines.own.advance(150_000);
    expect([machines.clock.now(), machines.clock.isRight(), machines.comparisons]).toEqual([machines.truth(), true, 3]);
    expect([machines.told, machines.skews]).toEqual([[], [0, 0, 0]]);
  });

  it('is not right before the first comparison, and has no instant for a verdict', () => {
    const machines = new Machines();
    expect([machines.clock.isRight(), machines.clock.verifyNow()]).toEqual([false, undefined]);
  });

  it('is the database’s where this machine is some seconds off, and a warning says so once', async () => {
    const machines = await Machines.open((one) => {
      one.set(7_200);
    });
    await machines.own.advance(180_000);
    expect([machines.clock.now(), machines.clock.isRight()]).toEqual([machines.truth(), true]);
    expect(machines.told).toEqual(["warn clock off: this machine's clock is 7.2 s ahead of the database's"]);
    expect(new Set(machines.skews)).toEqual(new Set([7_200]));
  });

  it('corrects less than five seconds without a word', async () => {
    const machines = await Machines.open((one) => {
      one.set(-4_900);
    });
    expect([machines.clock.now(), machines.told]).toEqual([machines.truth(), []]);
  });

  it('is wrong with more than a minute between the clocks, says so as an error, and is right again by itself', async () => {
    const machines = await Machines.open((one) => {
      one.set(-61_000);
    });
    expect([machines.clock.isRight(), machines.clock.verifyNow()]).toEqual([false, machines.truth()]);
    machines.set(61_000);
    expect(machines.clock.isRight()).toBe(false);
    await machines.own.advance(0);
    expect([machines.clock.isRight(), machines.clock.now()]).toEqual([true, machines.truth()]);
    expect(machines.told).toEqual([
      "error clock wrong: this machine's clock is 61.0 s behind the database's: nothing is minted or retired",
      "info clock right: this machine's clock is 0.0 s behind the database's",
    ]);
  });

  it('a database whose clock is set shows within a minute', async () => {
    const machines = await Machines.open();
    machines.setDatabase(-2 * day);
    await machines.own.advance(59_000);
    expect(machines.clock.isRight()).toBe(true);
    await machines.own.advance(1_000);
    expect([machines.clock.isRight(), machines.clock.now()]).toEqual([false, machines.truth()]);
  });

  it.each([
    ['forward', day],
    ['back', -day],
  ])('a clock that is set a day %s moves no instant, not even until the next comparison', async (_, ms) => {
    const machines = await Machines.open();
    await machines.own.advance(10_000);
    machines.set(ms);
    expect([machines.clock.now(), machines.clock.isRight(), machines.clock.verifyNow()]).toEqual([
      machines.truth(),
      false,
      undefined,
    ]);
    await machines.own.advance(0);
    expect([machines.comparisons, machines.clock.verifyNow(), machines.clock.isRight()]).toEqual([2, machines.truth(), false]);
  });

  it('a machine that slept for a day decides nothing before it has asked, which it does at once', async () => {
    const machines = await Machines.open();
    await machines.own.advance(10_000);
    machines.suspend(day);
    expect([machines.clock.verifyNow(), machines.clock.isRight()]).toEqual([undefined, false]);
    await machines.own.advance(0);
    expect([machines.clock.verifyNow(), machines.clock.isRight()]).toEqual([machines.truth(), true]);
  });

  it('a slow answer corrects nothing that it does not prove', async () => {
    const machines = await Machines.open();
    machines.answerMs = 4_000;
    await machines.own.advance(70_000);
    expect([machines.skews, machines.clock.now()]).toEqual([[0, 0], machines.truth()]);
  });

  it('a database that does not answer is asked each five seconds, also after a jump', async () => {
    const machines = await Machines.open();
    machines.answers = false;
    machines.set(day);
    for (let look = 0; look < 100; look += 1) machines.clock.isRight();
    await machines.own.advance(0);
    expect(machines.comparisons).toBe(2);
    for (let second = 0; second < 20; second += 1) {
      machines.clock.now();
      await machines.own.advance(1_000);
    }
    expect(machines.comparisons).toBe(5);
    expect(machines.clock.now()).toBe(machines.truth());
    machines.answers = true;
    await machines.own.advance(60_000);
    expect(machines.clock.verifyNow()).toBe(machines.truth());
  });

  it('fails to start while the database does not answer, and starts when it does', async () => {
    const machines = new Machines();
    machines.answers = false;
    await expect(machines.start()).rejects.toMatchObject({ kind: 'waiting', reason: 'StoreUnavailable' });
    machines.answers = true;
    await machines.start();
    expect(machines.clock.isRight()).toBe(true);
  });

  it('whatever happens to this machine’s clock, no verdict is off by more than a jump that nobody can see', async () => {
    const happening = fc.oneof(
      fc.record({ do: fc.constant('set' as const), ms: fc.integer({ min: -400 * day, max: 400 * day }) }),
      fc.record({ do: fc.constant('set' as const), ms: fc.integer({ min: -10_000, max: 10_000 }) }),
      fc.record({ do: fc.constant('suspend' as const), ms: fc.integer({ min: 0, max: 30 * day }) }),
      fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 200_000 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { maxLength: 30 }), async (happenings) => {
        const machines = await Machines.open();
        for (const { do: what, ms } of happenings) {
          if (what === 'advance') await machines.own.advance(ms);
          else machines[what](ms);
          const verifyAt = machines.clock.verifyNow();
          // A suspension of less than five seconds cannot be told from a clock that was set by as much.
          if (verifyAt !== undefined) expect(Math.abs(verifyAt - machines.truth())).toBeLessThanOrEqual(10_000);
          await machines.own.advance(0);
        }
      }),
      { numRuns: 200 },
    );
  });
});
