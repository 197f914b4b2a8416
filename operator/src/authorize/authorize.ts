import { Failure } from '../domain/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { decide } from './decide.ts';
import { lookup } from './lookup.ts';
import type { LookupSources } from './lookup.ts';
import type { AuthRequest } from './request.ts';
import type { Verdict } from './verdict.ts';

/** Decides one request. Never rejects: what fails inside is `authorizer_stale`. */
export type Authorize = (request: AuthRequest) => Promise<Verdict>;

/** What {@link createAuthorize} needs. */
export interface AuthorizeSources extends LookupSources {
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'verified'>;
}

/** Joins lookup and decision. A log line says what failed, never what was presented. */
export function createAuthorize(sources: AuthorizeSources): Authorize {
  const { clock, log, metrics } = sources;
  return async (request) => {
    const startedMs = clock.monotonicMs();
    const found = await lookup(request.credential, sources);
    if (found.kind === 'stale') log.warn('verify without an answer', describeStale(found.error));
    const verdict = decide(found, request, clock.now());
    metrics.verified({ code: verdict.code, durationMs: clock.monotonicMs() - startedMs });
    return verdict;
  };
}

function describeStale(error: unknown): { readonly reason: string; readonly failure?: string; readonly message?: string } {
  if (error instanceof Failure) return { reason: error.reason, failure: error.kind, message: error.message };
  // Another error's text is not ours: it may quote what was asked for.
  return error === undefined
    ? { reason: 'StoreUnavailable' }
    : { reason: 'InternalError', failure: error instanceof Error ? error.name : 'unknown' };
}
