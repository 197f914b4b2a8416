import { afterEach, expect, it } from 'vitest';
import { AdmissionGate } from '../../../operator/src/commands/admission.ts';
import { transient } from '../../../operator/src/domain/failure.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const minuteMs = 60_000;
const clock = new FakeClock();
let stop = new AbortController();
afterEach(() => {
  stop.abort();
  stop = new AbortController();
});

function gate(lookUp: () => Promise<boolean>, mode: 'required' | 'off' = 'required'): AdmissionGate {
  return new AdmissionGate({ mode, lookUp, clock, log: silentLog });
}

it('is closed until the policy has been seen', async () => {
  const one = gate(async () => true);
  expect(one.isOpen()).toBe(false);
  await one.start(stop.signal);
  expect(one.isOpen()).toBe(true);
});

it('opens and closes within a minute of the policy', async () => {
  let present = false;
  const one = gate(async () => present);
  await one.start(stop.signal);
  expect(one.isOpen()).toBe(false);
  for (const next of [true, false, true]) {
    present = next;
    await clock.advance(minuteMs);
    expect(one.isOpen()).toBe(next);
  }
});

it('stays as it was while the API server does not answer, and goes on looking', async () => {
  const answers: readonly (boolean | undefined)[] = [undefined, true, undefined, false];
  let at = -1;
  const one = gate(async () => {
    at += 1;
    const answer = answers[at];
    if (answer === undefined) throw transient('InternalError', 'no answer');
    return answer;
  });
  await one.start(stop.signal);
  const seen = [one.isOpen()];
  for (let round = 1; round < answers.length; round += 1) {
    await clock.advance(minuteMs);
    seen.push(one.isOpen());
  }
  expect(seen).toEqual([false, true, true, false]);
});

it('asks for nothing when it is off', async () => {
  const one = gate(async () => expect.unreachable(), 'off');
  await one.start(stop.signal);
  expect(one.isOpen()).toBe(true);
});
