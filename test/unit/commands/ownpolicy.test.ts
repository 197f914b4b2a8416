import { afterEach, describe, expect, it } from 'vitest';
import { operatorPolicy, operatorPolicyBinding } from '../../../operator/src/api/admission/operatorpolicy.ts';
import { watchOwnPolicy } from '../../../operator/src/commands/ownpolicy.ts';
import { transient } from '../../../operator/src/domain/failure.ts';
import type { PolicyPair } from '../../../operator/src/resources/kube/admission.ts';
import { silentLog, type LogFields } from '../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const system = 'keywright-system';
const served = (object: object) => ({ ...object, metadata: { name: 'keywright-operator', uid: 'u', generation: 1 } });
const whole: PolicyPair = {
  policy: served(operatorPolicy(system)),
  binding: served(operatorPolicyBinding()),
  serverTime: undefined,
};
const ended = new AbortController();
afterEach(() => {
  ended.abort();
});

describe("the policy for the operator's own account", () => {
  it('is checked each minute, and a fault is logged immediately, then hourly, and stops nothing', async () => {
    const clock = new FakeClock();
    const said: string[] = [];
    const seen: boolean[] = [];
    const note = (event: string, { message = '' }: LogFields = {}) => said.push(`${event}: ${message}`);
    let now: PolicyPair | Error = whole;
    const watching = watchOwnPolicy({
      lookUp: () => (now instanceof Error ? Promise.reject(now) : Promise.resolve(now)),
      operatorNamespace: system,
      metrics: { ownPolicy: (isInForce) => seen.push(isInForce) },
      clock,
      log: { ...silentLog, warn: note, info: note },
      signal: ended.signal,
    });
    await clock.advance(0);
    expect([seen, said]).toEqual([[true], []]);
    for (const [next, says] of [
      [{ ...whole, policy: undefined }, 'the ValidatingAdmissionPolicy keywright-operator does not exist'],
      [
        { ...whole, policy: served(operatorPolicy('another')) },
        "does not limit the operator's account as it should: spec.matchConditions",
      ],
      [
        { ...whole, binding: { ...served(operatorPolicyBinding()), spec: { policyName: 'keywright-operator' } } },
        'validationActions',
      ],
      [transient('InternalError', 'no answer'), 'it cannot be checked: no answer'],
    ] as const) {
      now = next;
      await clock.advance(120_000);
      expect([seen.at(-1), said.at(-1)]).toEqual([false, expect.stringContaining(says)]);
    }
    expect(said).toHaveLength(4);
    await clock.advance(3_700_000);
    expect(said).toHaveLength(5);
    now = whole;
    await clock.advance(60_000);
    expect([seen.at(-1), said.at(-1)]).toEqual([true, "policy for the operator's account in force: "]);
    ended.abort();
    await watching;
  });
});
