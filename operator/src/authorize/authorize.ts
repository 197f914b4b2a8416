import { Failure, waiting } from '../domain/failure.ts';
import type { Clock, Instant } from '../domain/time.ts';
import type { Log, LogFields } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { CatalogCache } from './catalog.ts';
import { describeClient } from './client.ts';
import { decide } from './decide.ts';
import { lookup } from './lookup.ts';
import type { Lookup, LookupSources } from './lookup.ts';
import type { ProvenKey } from './provenkey.ts';
import type { AuthRequest } from './request.ts';
import type { Usage } from './usage.ts';
import type { Verdict } from './verdict.ts';

/** Decides one request. Never rejects: what fails inside is `authorizer_stale`. */
export type Authorize = (request: AuthRequest) => Promise<Verdict>;

/** What {@link createAuthorize} needs. */
export interface AuthorizeSources extends Omit<LookupSources, 'catalogs'> {
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'verified'>;
  /** The time that expiries are compared with; `undefined` = not known now, and nothing can be decided. Absent = the clock's. */
  readonly verifyNow?: () => Instant | undefined;
  /** Why nothing may be decided now; see {@link Freshness}. Absent = never. */
  readonly blocked?: () => Failure | undefined;
  /** Absent = nobody keeps what was used. */
  readonly usage?: Pick<Usage, 'note'>;
}

/** Nothing can be said of a key while the time is not known. */
const timeless: Lookup = {
  kind: 'stale',
  error: waiting('ClockWrong', 'the time is not known until the database has been asked'),
};

/** Joins lookup and decision. A log line says what failed, never what was presented. */
export function createAuthorize(sources: AuthorizeSources): Authorize {
  const { clock, log, metrics, usage } = sources;
  const catalogs = new CatalogCache();
  const staleness = new StalenessLog(clock, log);
  return async (request) => {
    const startedMs = clock.monotonicMs();
    const looked = await lookup(request, { ...sources, catalogs });
    const now = sources.verifyNow === undefined ? clock.now() : sources.verifyNow();
    // After the look-up: what was read meanwhile may have come from the wrong server.
    const blocked = sources.blocked?.();
    const found: Lookup = blocked === undefined ? (now === undefined ? timeless : looked) : { kind: 'stale', error: blocked };
    staleness.note(found);
    const verdict = decide(found, request, now ?? 0);
    // A wrong secret is no use of a key: ids are public.
    if (found.kind === 'known') usage?.note(found.keyId, clientOf(found.key, request));
    metrics.verified({ code: verdict.allowed ? 'allowed' : verdict.code, durationMs: clock.monotonicMs() - startedMs });
    return verdict;
  };
}

function clientOf(key: ProvenKey | undefined, { userAgent, sourceIp }: AuthRequest): string | undefined {
  return describeClient({ application: key?.record.key.settings.clientApplication, userAgent, sourceIp });
}

/** The least time between two lines about the same trouble: a dead database under full traffic must not fill the disk. */
const repeatMs = 10_000;

/** Tells when decisions cannot be made, and when they can be made again. */
class StalenessLog {
  readonly #clock: Clock;
  readonly #log: Log;
  #toldAtMs: number | undefined;
  #count = 0;

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  note(found: Lookup): void {
    if (found.kind === 'stale') this.#noteStale(found.error);
    // Only a proven key shows that the store answers; garbage is refused without asking it.
    else if (found.kind === 'known' && this.#toldAtMs !== undefined) {
      this.#log.info('verify answers again', { count: this.#count });
      this.#toldAtMs = undefined;
      this.#count = 0;
    }
  }

  #noteStale(error: unknown): void {
    this.#count += 1;
    const nowMs = this.#clock.monotonicMs();
    if (this.#toldAtMs !== undefined && nowMs - this.#toldAtMs < repeatMs) return;
    this.#toldAtMs = nowMs;
    this.#log.warn('verify without an answer', { ...describeStale(error), count: this.#count });
  }
}

function describeStale(error: unknown): LogFields {
  if (error instanceof Failure) return { reason: error.reason, failure: error.kind, message: error.message };
  // Another error's text is not ours: it may quote what was asked for.
  return { reason: 'InternalError', failure: error instanceof Error ? error.name : 'unknown' };
}
