import { Failure, waiting } from '../domain/failure.ts';
import type { Clock, Instant } from '../domain/time.ts';
import type { Peppers } from '../keys/pepper.ts';
import type { Store } from '../store/port.ts';
import type { Log, LogFields } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { CatalogCache } from './catalog.ts';
import { describeClient } from './client.ts';
import { decide } from './decide.ts';
import { lookup, readCredential } from './lookup.ts';
import type { Lookup } from './lookup.ts';
import type { ProvenKey } from './provenkey.ts';
import { StoreReads } from './reads.ts';
import type { Lane, LaneBounds } from './reads.ts';
import { Refusals } from './refusals.ts';
import type { AuthRequest } from './request.ts';
import type { Usage } from './usage.ts';
import type { Denial, Verdict } from './verdict.ts';

/** Decides one request. Never rejects: what fails inside is `authorizer_stale`. */
export type Authorize = (request: AuthRequest) => Promise<Verdict>;

/** What protects the store and the keys from callers without a key; each member has a default. */
export interface AuthorizeLimits {
  readonly lanes?: LaneBounds;
  /** The minimum time between two shared look-ups of unproven keys, in milliseconds. */
  readonly spacingMs?: number;
  /** How many refusals a second one client network gets, in the long run; from 1. */
  readonly refusalsPerSecond?: number | undefined;
  /** When a refusal is sent, in milliseconds after the request; 0 = at once. */
  readonly refusalStepMs?: number;
}

/** What {@link createAuthorize} needs. */
export interface AuthorizeSources {
  readonly store: Pick<Store, 'findByKeyIds' | 'findCatalogs'>;
  readonly peppers: Peppers;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'verified' | 'verifyShed' | 'verifyLimited'>;
  /** The longest wait for the store, in milliseconds; 2,000 without. */
  readonly timeoutMs?: number | undefined;
  /** The time that expiries are compared with; `undefined` = not known now, and nothing can be decided. Absent = the clock's. */
  readonly verifyNow?: () => Instant | undefined;
  /** Why the authorizer must not decide now; see {@link Freshness}. Absent = never. */
  readonly blocked?: () => Failure | undefined;
  /** Absent = nobody keeps what was used. */
  readonly usage?: Pick<Usage, 'note'>;
  readonly limits?: AuthorizeLimits;
}

/** Nothing can be said of a key while the time is not known. */
const timeless: Lookup = {
  kind: 'stale',
  error: waiting('ClockWrong', 'the time is not known until the database has been asked'),
};
const overloaded: Lookup = {
  kind: 'stale',
  error: waiting('StoreUnavailable', 'too many requests wait for the store'),
};
const limited: Denial = { allowed: false, code: 'rate_limited' };

/** Joins lookup and decision. A log line says what failed, never what was presented. */
export function createAuthorize(sources: AuthorizeSources): Authorize {
  const { clock, log, metrics, usage, peppers, limits = {} } = sources;
  const { lanes, spacingMs, refusalsPerSecond, refusalStepMs } = limits;
  const reads = new StoreReads({ store: sources.store, clock, bounds: lanes, spacingMs });
  const refusals = new Refusals({ clock, perSecond: refusalsPerSecond, stepMs: refusalStepMs });
  const inner = { reads, peppers, clock, catalogs: new CatalogCache(), timeoutMs: sources.timeoutMs };
  const staleness = new StalenessLog(clock, log);
  const judge = (looked: Lookup, request: AuthRequest, before: Failure | undefined): Verdict => {
    const now = sources.verifyNow === undefined ? clock.now() : sources.verifyNow();
    // After the look-up, too, because it may have read from the wrong server.
    const blocked = before ?? sources.blocked?.();
    const found: Lookup = blocked === undefined ? (now === undefined ? timeless : looked) : { kind: 'stale', error: blocked };
    staleness.note(found);
    // A wrong secret is no use of a key: ids are public.
    if (found.kind === 'known') usage?.note(found.keyId, clientOf(found.key, request));
    return decide(found, request, now ?? 0);
  };
  const shed = (lane: Lane, request: AuthRequest): Verdict => {
    metrics.verifyShed(lane);
    return lane === 'limited' ? limited : judge(overloaded, request, undefined);
  };
  return async (request) => {
    const startedMs = clock.monotonicMs();
    const presented = readCredential(request.credential, peppers);
    const attempt = presented.kind === 'token' ? refusals.begin(presented, request.sourceIp) : undefined;
    const lane = attempt?.lane ?? refusals.laneOf(request.sourceIp);
    const blocked = sources.blocked?.();
    const looked = await lookup(presented, lane, request, inner);
    const judged = looked === 'shed' ? shed(lane, request) : judge(looked, request, blocked);
    const verdict = attempt?.settle(judged) ?? judged;
    const code = verdict.allowed ? 'allowed' : verdict.code;
    metrics.verified({ code, durationMs: clock.monotonicMs() - startedMs });
    if (code === 'rate_limited') metrics.verifyLimited();
    if (code === 'key_invalid' || code === 'rate_limited') await attempt?.refuse();
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
