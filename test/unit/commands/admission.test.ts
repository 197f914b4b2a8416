import { afterEach, describe, expect, it } from 'vitest';
import { admissionPolicy, admissionPolicyBinding } from '../../../operator/src/api/admission/policy.ts';
import { AdmissionGate, type AdmissionObjects } from '../../../operator/src/commands/admission.ts';
import { transient } from '../../../operator/src/domain/failure.ts';
import { parseInstant } from '../../../operator/src/domain/time.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { MemoryStore } from '../../harness/fakes/store.ts';

const stop: AbortController[] = [];
afterEach(() => {
  for (const one of stop.splice(0)) one.abort();
});

const created = '2025-12-01T00:00:00Z';
const asServed = (object: object, uid: string, generation = 1) => ({
  ...object,
  metadata: { name: 'keywright', uid, generation, creationTimestamp: created },
});
const inForce = (uid = 'policy-1', generation = 1): AdmissionObjects => ({
  policy: asServed(admissionPolicy(), uid, generation),
  binding: asServed(admissionPolicyBinding(), 'binding-1'),
  serverTime: parseInstant('2026-02-01T00:00:00Z'),
});
const absent: AdmissionObjects = { policy: undefined, binding: undefined, serverTime: undefined };

/** What the API server answers; a test changes it. */
interface Answers {
  now: AdmissionObjects | Error;
}

async function gate(answers: Answers, mode: 'required' | 'off' = 'required') {
  const clock = new FakeClock();
  const store = new MemoryStore({ clock });
  const logged: string[] = [];
  const periods: string[] = [];
  let looks = 0;
  const opened = new AdmissionGate({
    mode,
    lookUp: () => {
      looks += 1;
      return answers.now instanceof Error ? Promise.reject(answers.now) : Promise.resolve(answers.now);
    },
    periodOf: (identity, since) => store.admissionPeriod(identity, since),
    onPeriod: (period) => {
      periods.push(period);
      return Promise.resolve();
    },
    clock,
    log: { ...silentLog, error: (event: string) => logged.push(event), info: (event: string) => logged.push(event) },
  });
  const ended = new AbortController();
  stop.push(ended);
  await opened.start(ended.signal);
  return { opened, clock, store, logged, periods, looks: () => looks };
}

const kindOf = ({ opened }: Awaited<ReturnType<typeof gate>>) => opened.state().kind;

describe('the admission gate', () => {
  it('asks nobody where no policy is required', async () => {
    const found = await gate({ now: absent }, 'off');
    await found.opened.check();
    expect([kindOf(found), found.looks()]).toEqual(['notRequired', 0]);
  });

  it('finds a policy that appears within seconds, and logs each change once', async () => {
    const answers: Answers = { now: absent };
    const found = await gate(answers);
    await found.clock.advance(20_000);
    expect([kindOf(found), found.logged]).toEqual(['notInForce', ['admission policy not in force']]);
    answers.now = inForce();
    await found.clock.advance(5_000);
    expect([kindOf(found), found.logged.slice(1)]).toEqual(['inForce', ['admission policy in force']]);
  });

  it('says since when the policy is not in force, and why', async () => {
    const answers: Answers = { now: inForce() };
    const { opened, clock } = await gate(answers);
    answers.now = {
      ...inForce(),
      binding: { ...asServed(admissionPolicyBinding(), 'binding-1'), spec: { policyName: 'keywright' } },
    };
    await clock.advance(60_000);
    const since = clock.now();
    await clock.advance(30_000);
    expect(opened.state()).toMatchObject({
      kind: 'notInForce',
      since,
      why: expect.stringContaining('validationActions') as string,
    });
  });

  it.each([
    ['a refusal', transient('NotPermitted', 'the API server refuses: get ValidatingAdmissionPolicy')],
    ['no answer', transient('InternalError', 'no answer')],
  ])('fails closed at %s, however often the policy was seen before', async (_, failure) => {
    const answers: Answers = { now: inForce() };
    const found = await gate(answers);
    answers.now = failure;
    for (let times = 0; times < 10; times += 1) expect((await found.opened.check()).kind).toBe('notInForce');
    answers.now = inForce();
    expect((await found.opened.check()).kind).toBe('inForce');
    // Neither object was touched meanwhile, so the policy was in force all the time.
    expect(found.periods).toHaveLength(1);
  });

  it('begins another period when the policy was re-created or edited, though it is the same again', async () => {
    const answers: Answers = { now: inForce() };
    const { opened, periods } = await gate(answers);
    answers.now = inForce('policy-2');
    await opened.check();
    answers.now = inForce('policy-2', 3);
    await opened.check();
    expect(new Set(periods).size).toBe(3);
  });

  it('goes on in the period of the operator before it when nothing was touched', async () => {
    const first = await gate({ now: inForce() });
    const known = await first.store.admissionPeriod('policy-1:1:binding-1:1', 0);
    expect(first.opened.state()).toMatchObject({ period: known.id, since: known.since });
  });

  it('counts a policy that was never edited from its creation, and one that was from now', async () => {
    const untouched = await gate({ now: inForce() });
    expect(untouched.opened.state()).toMatchObject({ since: (parseInstant(created) ?? 0) + 1_000 });
    const edited = await gate({ now: inForce('policy-1', 2) });
    expect(edited.opened.state()).toMatchObject({ since: (parseInstant('2026-02-01T00:00:00Z') ?? 0) + 1_000 });
  });

  it('lets callers that come during a check share one that begins after they came', async () => {
    const { opened, looks } = await gate({ now: inForce() });
    const before = looks();
    await Promise.all([opened.check(), opened.check(), opened.check()]);
    expect(looks() - before).toBe(2);
  });

  it('carries acceptances over before anybody hears of the new period', async () => {
    const answers: Answers = { now: absent };
    const found = await gate(answers);
    answers.now = inForce();
    const state = await found.opened.check();
    expect(state).toMatchObject({ kind: 'inForce', period: found.periods[0] });
  });
});
