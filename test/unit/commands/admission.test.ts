import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { admissionPolicy, admissionPolicyBinding } from '../../../operator/src/api/admission/policy.ts';
import { AdmissionGate } from '../../../operator/src/commands/admission.ts';
import { transient, waiting } from '../../../operator/src/domain/failure.ts';
import { floorToSecond, parseInstant } from '../../../operator/src/domain/time.ts';
import type { PolicyPair, ProbeAnswer } from '../../../operator/src/resources/kube/admission.ts';
import { silentLog, type LogFields } from '../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { MemoryStore } from '../../harness/fakes/store.ts';

const stop: AbortController[] = [];
afterEach(() => {
  for (const one of stop.splice(0)) one.abort();
});

const asServed = (object: object, uid: string, generation = 1) => ({
  ...object,
  metadata: { name: 'keywright', uid, generation },
});
/** Both objects; those of a test that counts generations begin with the seventh of the binding. */
const inForce = (
  uid = 'policy-1',
  generation = 1,
  bindingUid = 'binding-1',
  bindingGeneration = generation === 1 ? 1 : 7,
): PolicyPair => ({
  policy: asServed(admissionPolicy(), uid, generation),
  binding: asServed(admissionPolicyBinding(), bindingUid, bindingGeneration),
  serverTime: undefined,
});
const absent: PolicyPair = { policy: undefined, binding: undefined, serverTime: undefined };

/** What the API server answers, and what is in the store; a test changes it. */
interface Given {
  now: PolicyPair | Error;
  /** The API server's answer to a probe; absent = that of an existing policy that acts. */
  probe?: () => Promise<ProbeAnswer>;
  store?: MemoryStore;
  carryOver?: (period: string) => Promise<void>;
}

let clock: FakeClock;
beforeEach(() => {
  clock = new FakeClock(parseInstant('2026-02-01T00:00:00Z'));
});

async function gate(given: Given, mode: 'required' | 'off' = 'required') {
  const store = given.store ?? new MemoryStore({ clock });
  await store.takeFence();
  const logged: string[] = [];
  const periods: string[] = [];
  const away: (number | undefined)[] = [];
  let looks = 0;
  let probes = 0;
  const serverTime = () => floorToSecond(clock.now());
  let lost = 0;
  const opened = new AdmissionGate({
    mode,
    lookUp: () => {
      looks += 1;
      const { now } = given;
      return now instanceof Error ? Promise.reject(now) : Promise.resolve({ ...now, serverTime: serverTime() });
    },
    probe: () => {
      probes += 1;
      return given.probe?.() ?? Promise.resolve({ kind: 'refused', serverTime: serverTime() });
    },
    store,
    carryOver: (period) => {
      periods.push(period);
      return given.carryOver?.(period) ?? Promise.resolve();
    },
    newId: () => randomUUID(),
    onFenceLost: () => {
      lost += 1;
    },
    metrics: {
      admission: (since) => {
        away.push(since);
      },
    },
    clock,
    log: {
      ...silentLog,
      error: (event: string) => logged.push(event),
      warn: (event: string) => logged.push(event),
      info: (event: string, { message }: LogFields = {}) => logged.push(`${event}${message === undefined ? '' : ' yet'}`),
    },
  });
  const ended = new AbortController();
  stop.push(ended);
  const started = opened.start(ended.signal);
  await clock.advance(0);
  await started;
  return { opened, store, logged, periods, away, looks: () => looks, probes: () => probes, lost: () => lost };
}

type Found = Awaited<ReturnType<typeof gate>>;
/** As long as the operator takes to rely on an existing policy. */
const settle = () => clock.advance(7_500);
const kindOf = ({ opened }: Found) => opened.state().kind;
const whyOf = ({ opened }: Found) => {
  const state = opened.state();
  return state.kind === 'notInForce' ? state.why : state.kind;
};
const periodOf = ({ opened }: Found) => {
  const state = opened.state();
  return state.kind === 'inForce' ? state.period : state.kind;
};

describe('the admission gate', () => {
  it('asks nobody where no policy is required', async () => {
    const found = await gate({ now: absent }, 'off');
    await found.opened.check();
    expect([kindOf(found), found.looks()]).toEqual(['notRequired', 0]);
  });

  it('finds a policy that appears within seconds, and logs each change once', async () => {
    const given: Given = { now: absent };
    const found = await gate(given);
    await clock.advance(20_000);
    expect([kindOf(found), found.logged]).toEqual(['notInForce', ['admission policy not in force']]);
    given.now = inForce();
    await clock.advance(5_000);
    await settle();
    expect([kindOf(found), found.logged.at(-1)]).toEqual(['inForce', 'admission policy in force']);
  });

  it('says since when the policy is not in force, and why, and repeats it hourly', async () => {
    const given: Given = { now: inForce() };
    const found = await gate(given);
    await settle();
    given.now = {
      ...inForce(),
      binding: { ...asServed(admissionPolicyBinding(), 'binding-1'), spec: { policyName: 'keywright' } },
    };
    await found.opened.check();
    const since = clock.now();
    await clock.advance(30_000);
    expect(found.opened.state()).toMatchObject({
      kind: 'notInForce',
      since,
      why: expect.stringContaining('validationActions') as string,
    });
    expect(found.away.at(-1)).toBe(since);
    const count = () => found.logged.filter((event) => event === 'admission policy not in force').length;
    expect(count()).toBe(1);
    await clock.advance(2.5 * 3_600_000);
    expect(count()).toBe(3);
    given.now = inForce();
    await found.opened.check();
    expect(found.away.at(-1)).toBeUndefined();
  });

  it.each([
    ['a refusal', transient('NotPermitted', 'the API server refuses: get ValidatingAdmissionPolicy')],
    ['no answer', transient('InternalError', 'no answer')],
  ])('fails closed at %s, however often the policy was seen before', async (_, failure) => {
    const given: Given = { now: inForce() };
    const found = await gate(given);
    await settle();
    const period = periodOf(found);
    given.now = failure;
    for (let times = 0; times < 10; times += 1) expect((await found.opened.check()).kind).toBe('notInForce');
    given.now = inForce();
    await found.opened.check();
    // Neither object was touched meanwhile, so the policy was in force all the time.
    expect(periodOf(found)).toBe(period);
  });

  it('relies on a policy when the API server has refused what the policy refuses for seconds, and from then on', async () => {
    const found = await gate({ now: inForce() });
    await clock.advance(4_500);
    expect([whyOf(found), found.opened.isSettling()]).toEqual([
      'it took effect just now: the operator relies on it in a few seconds',
      true,
    ]);
    expect([found.periods, await found.store.readAdmission()]).toEqual([[], undefined]);
    // The last refusal of the proof is at 5 s; keys created in that second do not count, and the period is reported only after
    // it.
    const since = clock.now() + 500;
    await clock.advance(1_000);
    expect(kindOf(found)).toBe('notInForce');
    await clock.advance(500);
    expect([found.opened.state(), found.opened.isSettling()]).toMatchObject([{ kind: 'inForce', since }, false]);
    const probes = found.probes();
    await clock.advance(300_000);
    expect(found.probes()).toBe(probes);
  });

  it('does not rely on a policy that is there, however long, while a dry run that it must refuse is not refused', async () => {
    const given: Given = { now: inForce(), probe: () => Promise.resolve({ kind: 'passed' }) };
    const found = await gate(given);
    await clock.advance(600_000);
    expect(whyOf(found)).toBe('it has no effect on the API server: it did not refuse a dry run that it must refuse');
    delete given.probe;
    await clock.advance(5_000);
    expect(kindOf(found)).toBe('notInForce');
    await clock.advance(2_000);
    expect(kindOf(found)).toBe('inForce');
  });

  it.each<readonly [string, () => Promise<ProbeAnswer>, string]>([
    [
      'is not allowed to ask',
      () => Promise.reject(waiting('InternalError', 'the operator needs "create" on leases')),
      'it cannot be checked: the operator needs "create" on leases',
    ],
    [
      'is not told when that was',
      () => Promise.resolve({ kind: 'refused', serverTime: undefined }),
      'the API server sends no Date header, so nothing shows since when the policy acts',
    ],
  ])('does not rely on a policy whose effect it %s', async (_, probe, why) => {
    const found = await gate({ now: inForce(), probe });
    await clock.advance(60_000);
    expect(whyOf(found)).toBe(why);
  });

  it.each<readonly [string, (given: Given) => Promise<void>]>([
    ['the API server stands still', () => clock.leap(60_000)],
    [
      'the policy does not act for a moment',
      async (given) => {
        given.probe = () => Promise.resolve({ kind: 'passed' });
        await clock.advance(500);
        delete given.probe;
      },
    ],
    [
      'the policy cannot be read for a moment',
      async (given) => {
        const { now } = given;
        given.now = transient('InternalError', 'no answer');
        await clock.advance(500);
        given.now = now;
      },
    ],
  ])('begins to wait anew when %s meanwhile', async (_, interrupt) => {
    const given: Given = { now: inForce() };
    const found = await gate(given);
    await clock.advance(4_500);
    await interrupt(given);
    const at = clock.now();
    await clock.advance(5_000);
    expect(kindOf(found)).toBe('notInForce');
    await clock.advance(2_500);
    const state = found.opened.state();
    expect(state).toMatchObject({ kind: 'inForce' });
    expect(state.kind === 'inForce' && state.since).toBeGreaterThanOrEqual(at + 4_500);
  });

  it('begins to wait anew when the policy is edited once more meanwhile', async () => {
    const given: Given = { now: inForce('policy-1', 4) };
    const found = await gate(given);
    await clock.advance(4_000);
    given.now = inForce('policy-1', 5);
    await clock.advance(5_000);
    expect(kindOf(found)).toBe('notInForce');
    await clock.advance(2_500);
    expect(kindOf(found)).toBe('inForce');
  });

  it.each([
    ['no object was touched', inForce('policy-1', 3), 'the same'],
    ['one write changed the policy', inForce('policy-1', 4), 'the same'],
    ['one write changed each of them', inForce('policy-1', 4, 'binding-1', 8), 'the same'],
    ['two writes changed the policy', inForce('policy-1', 5), 'another'],
    ['two writes changed the binding', inForce('policy-1', 3, 'binding-1', 9), 'another'],
    ['the policy was created anew', inForce('policy-2', 4), 'another'],
    ['the binding was created anew', inForce('policy-1', 3, 'binding-2', 8), 'another'],
    ['etcd went back to before', inForce('policy-1', 2), 'another'],
  ])('has the period go on only if no other text can have been between: %s', async (_, after, outcome) => {
    // In the same process, and in the one after it.
    for (const isRestarted of [false, true]) {
      const given: Given = { now: inForce('policy-1', 3) };
      const first = await gate(given);
      await settle();
      const known = await first.store.readAdmission();
      expect(known).toMatchObject({ id: periodOf(first), identity: 'policy-1:3:binding-1:7' });
      given.now = after;
      if (!isRestarted) await first.opened.check();
      const found = isRestarted ? await gate({ now: after, store: first.store }) : first;
      if (outcome === 'the same') expect(found.opened.state()).toMatchObject({ period: known?.id, since: known?.since });
      else expect(kindOf(found)).toBe('notInForce');
      await settle();
      expect(periodOf(found) === known?.id).toBe(outcome === 'the same');
      expect((await found.store.readAdmission())?.id).toBe(periodOf(found));
    }
  });

  it('has the period go on over an upgrade in which the operator before it finds a text that it does not know', async () => {
    const given: Given = { now: inForce('policy-1', 3) };
    const before = await gate(given);
    await settle();
    const period = periodOf(before);
    const { binding, policy } = inForce('policy-1', 4);
    given.now = { binding, policy: { ...(policy as object), spec: {} }, serverTime: undefined };
    expect((await before.opened.check()).kind).toBe('notInForce');
    const after = await gate({ now: inForce('policy-1', 4), store: before.store });
    expect(periodOf(after)).toBe(period);
  });

  it('carries acceptances over before anybody hears of a new period, and does not let anybody wait for that', async () => {
    let carried: () => void = () => {};
    const given: Given = { now: absent };
    const found = await gate(given);
    given.carryOver = () => new Promise((resolve) => (carried = resolve));
    given.now = inForce();
    await found.opened.check();
    await settle();
    expect([kindOf(found), found.periods.length, await found.store.readAdmission()]).toEqual(['notInForce', 1, undefined]);
    expect(whyOf(found)).toContain('carried over');
    carried();
    await clock.advance(0);
    expect([periodOf(found), (await found.store.readAdmission())?.id]).toEqual([found.periods[0], found.periods[0]]);
  });

  it('carries acceptances over once more after a restart, while the period goes on', async () => {
    const first = await gate({ now: inForce() });
    await settle();
    const again = await gate({ now: inForce(), store: first.store, carryOver: () => new Promise(() => {}) });
    expect([periodOf(again), again.periods]).toEqual([periodOf(first), [periodOf(first)]]);
  });

  it('tries again when the carry fails', async () => {
    let failures = 2;
    const carryOver = () => {
      failures -= 1;
      return failures < 0 ? Promise.resolve() : Promise.reject(transient('StoreUnavailable', 'no answer'));
    };
    const found = await gate({ now: inForce(), carryOver });
    await clock.advance(6_500);
    expect(kindOf(found)).toBe('notInForce');
    expect(found.logged).toContain('acceptances not carried over');
    await clock.advance(2_000);
    expect([kindOf(found), found.periods.length, new Set(found.periods).size]).toEqual(['inForce', 3, 1]);
  });

  it('lets callers that come during a check share one that begins after they came', async () => {
    const { opened, looks } = await gate({ now: inForce() });
    await settle();
    const before = looks();
    await Promise.all([opened.check(), opened.check(), opened.check()]);
    expect(looks() - before).toBe(2);
  });

  it('ends the process when another one leads, and goes on after a defect', async () => {
    const given: Given = { now: inForce() };
    const found = await gate(given);
    await settle();
    await new MemoryStore({ clock, database: found.store.database }).takeFence();
    given.now = inForce('policy-1', 2, 'binding-1', 1);
    await clock.advance(60_000);
    expect([found.lost(), found.logged.at(-1)]).toEqual([1, 'leadership lost in the store']);
    const other: Given = { now: absent };
    const defective = await gate(other);
    other.now = new TypeError('a defect');
    await clock.advance(5_000);
    expect(defective.logged.at(-1)).toBe('defect');
    other.now = inForce();
    await clock.advance(5_000);
    await settle();
    expect(kindOf(defective)).toBe('inForce');
  });
});
