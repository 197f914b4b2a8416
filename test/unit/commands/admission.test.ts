import { afterEach, describe, expect, it } from 'vitest';
import { AdmissionGate } from '../../../operator/src/commands/admission.ts';
import { transient } from '../../../operator/src/domain/failure.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const stop: AbortController[] = [];
afterEach(() => {
  for (const one of stop.splice(0)) one.abort();
});

async function gate(answers: { present: boolean | Error }, mode: 'required' | 'off' = 'required') {
  const clock = new FakeClock();
  const told: string[] = [];
  const log = { ...silentLog, error: (event: string) => told.push(event), info: (event: string) => told.push(event) };
  let looks = 0;
  const lookUp = (): Promise<boolean> => {
    looks += 1;
    return answers.present instanceof Error ? Promise.reject(answers.present) : Promise.resolve(answers.present);
  };
  const opened = new AdmissionGate({ mode, lookUp, clock, log });
  const ended = new AbortController();
  stop.push(ended);
  await opened.start(ended.signal);
  return { opened, clock, told, looks: () => looks };
}

describe('the admission gate', () => {
  it('is open without a look where nothing is required', async () => {
    const { opened, looks } = await gate({ present: false }, 'off');
    expect([opened.isOpen(), looks()]).toEqual([true, 0]);
  });

  it('opens within seconds of the policy, and says each change once', async () => {
    const answers = { present: false };
    const { opened, clock, told } = await gate(answers);
    await clock.advance(20_000);
    expect([opened.isOpen(), told]).toEqual([false, ['admission policy missing']]);
    answers.present = true;
    await clock.advance(5_000);
    expect([opened.isOpen(), told.slice(1)]).toEqual([true, ['admission policy found']]);
  });

  it('looks once a minute while the policy is there, and closes when it is gone', async () => {
    const answers = { present: true };
    const { opened, clock, told, looks } = await gate(answers);
    await clock.advance(59_000);
    expect(looks()).toBe(1);
    answers.present = false;
    await clock.advance(1_000);
    expect([opened.isOpen(), told.at(-1)]).toEqual([false, 'admission policy missing']);
  });

  it('stays closed when the first look fails', async () => {
    const { opened } = await gate({ present: transient('InternalError', 'no answer') });
    expect(opened.isOpen()).toBe(false);
  });

  it('stays as it was while the API server does not answer', async () => {
    const answers: { present: boolean | Error } = { present: true };
    const { opened, clock } = await gate(answers);
    answers.present = transient('InternalError', 'no answer');
    await clock.advance(60_000);
    expect(opened.isOpen()).toBe(true);
    answers.present = false;
    await clock.advance(60_000);
    expect(opened.isOpen()).toBe(false);
  });
});
