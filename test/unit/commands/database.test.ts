import { describe, expect, it, test } from 'vitest';
import type { CommandContext } from '../../../operator/src/commands/command.ts';
import { schemaThere, whenReachable } from '../../../operator/src/commands/database.ts';
import { readConfig } from '../../../operator/src/config.ts';
import { stalled, waiting } from '../../../operator/src/domain/failure.ts';
import { programSchemaVersion } from '../../../operator/src/store/migrations/index.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import type { LogFields } from '../../../operator/src/telemetry/log.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { MemoryStore } from '../../harness/fakes/store.ts';

const silent = waiting('StoreUnavailable', 'the database does not answer');

function setting() {
  const clock = new FakeClock();
  const stop = new AbortController();
  const screen = { isTerminal: false, size: () => ({ columns: 80, rows: 24 }) };
  const environment = {
    kubeconfig: undefined,
    inPod: false,
    namespace: 'keywright-system',
    hostname: 'test',
    callerFolder: '/',
    screen,
  };
  const context: CommandContext = {
    config: readConfig({}),
    clock,
    log: silentLog,
    signal: stop.signal,
    print: () => {},
    environment,
  };
  return { clock, stop, context };
}

describe('waiting for the database', () => {
  it('has no end by itself, and gives the answer when it comes', async () => {
    const { clock, context } = setting();
    let answers = false;
    const call = whenReachable(context, () => (answers ? Promise.resolve('here') : Promise.reject(silent)));
    await clock.advance(3_600_000);
    answers = true;
    await clock.advance(1_000);
    expect(await call).toBe('here');
  });

  it('gives up with the last failure when somebody waits for the end', async () => {
    const { clock, context } = setting();
    let calls = 0;
    const call = whenReachable(
      context,
      () => {
        calls += 1;
        return Promise.reject(silent);
      },
      { giveUpAfterMs: 60_000 },
    );
    const ended = expect(call).rejects.toBe(silent);
    await clock.advance(59_000);
    expect(calls).toBe(60);
    await clock.advance(2_000);
    await ended;
    expect(calls).toBe(61);
  });

  it('ends with the wish to stop, and with what no waiting cures', async () => {
    const { clock, stop, context } = setting();
    const call = expect(whenReachable(context, () => Promise.reject(silent))).rejects.toThrow('stop');
    await clock.advance(5_000);
    stop.abort(new Error('stop'));
    await call;
    const broken = stalled('InvalidSpec', 'broken');
    await expect(whenReachable(setting().context, () => Promise.reject(broken))).rejects.toBe(broken);
  });
});

test('an authorizer waits for the schema that it needs, and says which one it found', async () => {
  const { clock, context } = setting();
  const messages: (string | undefined)[] = [];
  const log = { ...silentLog, warn: (_event: string, { message }: LogFields = {}) => messages.push(message) };
  const store = new MemoryStore({ clock });
  let version = 3;
  store.schemaVersion = () => Promise.resolve(version);
  let ready = false;
  const waited = schemaThere({ ...context, log }, store).then(() => (ready = true));
  await clock.advance(500);
  expect(messages).toEqual([expect.stringContaining('the database schema has version 3')]);
  expect(ready).toBe(false);
  version = programSchemaVersion + 1;
  await clock.advance(1_000);
  await waited;
  expect(ready).toBe(true);
});
