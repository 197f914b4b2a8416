/** The keys that a log line may carry. A closed list, so that lines can be searched and nothing slips in. */
export interface LogFields {
  readonly apiKey?: string;
  readonly keyId?: string;
  readonly kind?: string;
  readonly name?: string;
  readonly destination?: string;
  readonly location?: string;
  readonly action?: string;
  readonly reason?: string;
  readonly failure?: string;
  readonly message?: string;
  readonly durationMs?: number;
  readonly retryInMs?: number;
  readonly count?: number;
  readonly address?: string;
  readonly version?: string;
  readonly file?: string;
  readonly line?: number;
  readonly stack?: string;
}

/** Structured logging: an event name in `lowercase words`, then fields. */
export interface Log {
  trace(event: string, fields?: LogFields): void;
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

/** Says nothing: for tests and library use. */
export const silentLog: Log = { trace: () => {}, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
