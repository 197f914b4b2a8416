import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SharedClock } from '../../../operator/src/commands/sharedclock.ts';
import type { Clock, Instant } from '../../../operator/src/domain/time.ts';
import { reconcile } from '../../../operator/src/reconcile/reconciler.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import type { FakeClock } from '../../harness/fakes/clock.ts';
import { MemoryStore } from '../../harness/fakes/store.ts';
import { World } from '../../builders/world.ts';

const hour = 3_600_000;
const overlapMs = 4 * hour;
/** A machine that slept for less than five seconds is not told from one whose clock was set, until the next comparison. */
const unseenMs = 5_000;

interface Happening {
  readonly do: 'set' | 'sleep' | 'advance' | 'set the database';
  readonly ms: number;
}

/** The database's: it counts every second of the machine, also those in which the machine sleeps, and can be set too. */
class DatabaseClock implements Clock {
  readonly #machine: FakeClock;
  readonly #startedAt: Instant;
  aheadMs = 0;

  constructor(machine: FakeClock) {
    this.#machine = machine;
    this.#startedAt = machine.now();
  }

  now(): Instant {
    return this.#startedAt + this.#machine.monotonicMs() + this.aheadMs;
  }

  monotonicMs(): number {
    return this.#machine.monotonicMs();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#machine.sleep(ms, signal);
  }
}

/** An operator on a machine whose clock cannot be trusted, and a database whose clock is right until somebody sets it. */
class Jumping {
  readonly database: DatabaseClock;
  readonly machine: FakeClock;
  readonly world: World;
  readonly clock: SharedClock;
  /** When the database's clock said so: each transition of the store. */
  readonly ended: { readonly keyId: string; readonly reason: string; readonly earlyMs: number }[] = [];

  private constructor(world: World) {
    this.world = world;
    this.machine = world.clock;
    this.database = new DatabaseClock(this.machine);
    world.store = new MemoryStore({ clock: this.database });
    this.clock = new SharedClock({
      own: this.machine,
      databaseNow: () => Promise.resolve(this.database.now()),
      log: silentLog,
      metrics: silentMetrics,
    });
  }

  static async open(signal: AbortSignal): Promise<Jumping> {
    const jumping = new Jumping(await World.open());
    const { world, clock } = jumping;
    await world.store.takeFence();
    await clock.start(signal);
    world.createKey({ expiry: { after: '40h' }, rotation: { every: '10h', overlap: '4h', retireOldKey: 'AfterOverlap' } });
    await jumping.pass();
    return jumping;
  }

  async happen({ do: what, ms }: Happening): Promise<void> {
    if (what === 'advance') await this.machine.advance(ms);
    else if (what === 'set the database') this.database.aheadMs += ms;
    else this.machine.jump(ms);
    if (what === 'sleep') this.database.aheadMs += ms;
    // What is asked at once is answered before anything else happens, or after: both must be right.
    if (ms % 2 === 0) await this.machine.advance(0);
    await this.pass();
  }

  async pass(): Promise<void> {
    const { world, clock } = this;
    const key = world.key();
    if (key === undefined) throw new Error('the key is gone');
    const before = new Map(world.store.database.rows.versions.map((version) => [version.keyId, version.state]));
    const deps = { ...world.deps, clock, clockIsRight: () => clock.isRight() };
    await reconcile(deps, key, 'none');
    const { versions } = world.store.database.rows;
    for (const version of versions) {
      if (version.state !== 'ended' || before.get(version.keyId) === 'ended') continue;
      const reason = version.endedReason ?? '';
      const successor = versions.find((one) => one.epoch === version.epoch + 1);
      const due = reason === 'expired' ? (version.expiresAt ?? 0) : (successor?.activatedAt ?? 0) + overlapMs;
      this.ended.push({ keyId: version.keyId, reason, earlyMs: due - this.database.now() });
    }
  }
}

const jump = fc.oneof(fc.integer({ min: -90_000, max: 90_000 }), fc.integer({ min: -200 * hour, max: 200 * hour }));

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('set' as const), ms: jump }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sleep' as const), ms: fc.integer({ min: 0, max: 50 * hour }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 6 * hour }) }) },
);

async function live(happenings: readonly Happening[]): Promise<Jumping> {
  const stop = new AbortController();
  try {
    const jumping = await Jumping.open(stop.signal);
    for (const one of happenings) await jumping.happen(one);
    return jumping;
  } finally {
    stop.abort();
  }
}

describe('whatever happens to the clock of the machine', () => {
  it('no version is retired before its overlap is over, nor expires early, by the database’s clock', async () => {
    let ends = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { minLength: 10, maxLength: 30 }), async (happenings) => {
        const { ended } = await live(happenings);
        ends += ended.length;
        for (const { earlyMs } of ended) expect(earlyMs).toBeLessThanOrEqual(unseenMs);
      }),
      { numRuns: 40 },
    );
    // A handful is enough to show that something was looked at.
    expect(ends).toBeGreaterThan(3);
  });

  it('once it is right again, nothing that has ended is still in the store’s live set', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { maxLength: 20 }), async (happenings) => {
        const set = happenings.reduce((sum, one) => sum + (one.do === 'set' ? one.ms : 0), 0);
        const mended: Happening[] = [
          { do: 'set', ms: -set },
          { do: 'advance', ms: 120_000 },
          { do: 'advance', ms: 0 },
        ];
        const { world, database, clock } = await live([...happenings, ...mended]);
        expect(clock.isRight()).toBe(true);
        const overdue = world.store.database.rows.versions.filter(
          ({ state, expiresAt, notAfter }) =>
            state !== 'ended' && Math.min(expiresAt ?? Infinity, notAfter ?? Infinity) < database.now() - unseenMs,
        );
        expect(overdue).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  it('a database whose clock is set by a day ends nothing: one of the two is wrong, and nobody knows which', async () => {
    const jumping = await live([
      { do: 'set the database', ms: 36 * hour },
      { do: 'advance', ms: 60_000 },
      { do: 'advance', ms: 60_000 },
    ]);
    expect([jumping.clock.isRight(), jumping.ended]).toEqual([false, []]);
  });
});
