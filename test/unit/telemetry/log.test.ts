import { describe, expect, test } from 'vitest';

import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import type { Log, LogFields } from '../../../operator/src/telemetry/log.ts';
import { createLog } from '../../../operator/src/telemetry/pino.ts';
import type { LogLevel } from '../../../operator/src/telemetry/pino.ts';
import { keyRecord } from '../../builders/keyrecord.ts';

const { token, record } = keyRecord();

function capture(level: LogLevel, write: (log: Log) => void): readonly Record<string, unknown>[] {
  const lines: string[] = [];
  write(createLog({ level, destination: { write: (line) => void lines.push(line) } }));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('a log line', () => {
  test('is one JSON object of level, time, event and the named fields', () => {
    const [line] = capture('info', (log) => log.info('delivered', { apiKey: 'payments/billing', keyId: 'abc', durationMs: 12 }));
    expect(Object.keys(line ?? {})).toEqual(['level', 'time', 'apiKey', 'keyId', 'durationMs', 'event']);
    expect(line).toMatchObject({ level: 'info', apiKey: 'payments/billing', keyId: 'abc', durationMs: 12, event: 'delivered' });
    expect(line?.['time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test('carries no field that is not on the list, and no object', () => {
    const slipped = {
      value: 'x',
      err: new Error('x'),
      keyId: { deep: 'x' },
      name: ['x'],
      reason: 'Pending',
    } as unknown as LogFields;
    const [line] = capture('info', (log) => log.info('event', slipped));
    expect(Object.keys(line ?? {})).toEqual(['level', 'time', 'reason', 'event']);
  });

  test('cannot carry a secret: not as its type, not as text [S1-8]', () => {
    const secret = token.reveal();
    const lines = capture('trace', (log) => {
      log.trace('event', { message: token as unknown as string, keyId: record.version.keyId });
      log.debug(`minted ${secret}`, {
        message: `wrote ${secret} to vault`,
        stack: `Error: ${secret}\n at x`,
        location: `"${secret}${secret}"`,
      });
      log.error('event', { file: String(token) });
    });
    expect(lines).toHaveLength(3);
    expect(JSON.stringify(lines)).not.toContain(secret.slice(-38));
    expect(lines[1]).toMatchObject({ event: 'minted [redacted]', message: 'wrote [redacted] to vault' });
    expect(new Plaintext(secret).reveal()).toBe(secret);
  });

  test('below the level is not written', () => {
    const events = (level: LogLevel): unknown[] =>
      capture(level, (log) => {
        for (const name of ['trace', 'debug', 'info', 'warn', 'error'] as const) log[name](name);
      }).map((line) => line['level']);
    expect(events('warn')).toEqual(['warn', 'error']);
    expect(events('trace')).toEqual(['trace', 'debug', 'info', 'warn', 'error']);
    expect(events('silent')).toEqual([]);
  });
});
