import { pino } from 'pino';
import type { DestinationStream } from 'pino';

import type { Log, LogFields } from './log.ts';

/** From the most to the least talkative. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** What {@link createLog} needs; without a destination, lines go to standard error. */
export interface LogInput {
  readonly level: LogLevel;
  readonly destination?: DestinationStream;
}

/** Every field that a line may carry. The type makes a new field of {@link LogFields} an error until it is listed here. */
const fieldNames: Readonly<Record<keyof LogFields, true>> = {
  apiKey: true,
  keyId: true,
  kind: true,
  name: true,
  destination: true,
  location: true,
  action: true,
  reason: true,
  failure: true,
  message: true,
  durationMs: true,
  retryInMs: true,
  count: true,
  address: true,
  version: true,
  file: true,
  line: true,
  stack: true,
};

/** A whole token of any catalog. A last net only: a secret is a type that cannot be printed. */
const tokenPattern = /[a-z][a-z0-9]{1,15}_[a-z][a-z0-9]{1,15}_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}/g;

/**
 * JSON lines: `level`, `time` (RFC 3339), `event`, then the fields that {@link LogFields} names. Anything else that a
 * caller slips past the types is dropped, objects included, and a text with a token in it loses the token.
 */
export function createLog(input: LogInput): Log {
  const options = {
    level: input.level,
    base: null,
    messageKey: 'event',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }) },
  };
  const sink = pino(options, input.destination ?? pino.destination({ dest: 2, sync: true }));
  return {
    trace: (event, fields) => {
      sink.trace(clean(fields), scrub(event));
    },
    debug: (event, fields) => {
      sink.debug(clean(fields), scrub(event));
    },
    info: (event, fields) => {
      sink.info(clean(fields), scrub(event));
    },
    warn: (event, fields) => {
      sink.warn(clean(fields), scrub(event));
    },
    error: (event, fields) => {
      sink.error(clean(fields), scrub(event));
    },
  };
}

/** Lines go to a file of this process, made with mode 0600; what is there stays, and is read on by `tail -f`. */
export function createFileLog(input: { readonly level: LogLevel; readonly path: string }): Log {
  return createLog({
    level: input.level,
    destination: pino.destination({ dest: input.path, sync: true, append: true, mode: 0o600 }),
  });
}

function clean(fields: LogFields = {}): Record<string, string | number> {
  const kept: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(fields) as [string, unknown][]) {
    if (!Object.hasOwn(fieldNames, name)) continue;
    if (typeof value === 'string') kept[name] = scrub(value);
    else if (typeof value === 'number') kept[name] = value;
  }
  return kept;
}

function scrub(text: string): string {
  return text.replace(tokenPattern, '[redacted]');
}
