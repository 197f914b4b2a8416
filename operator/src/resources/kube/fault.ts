import { stalled, transient, waiting } from '../../domain/failure.ts';
import type { Failure } from '../../domain/failure.ts';

/**
 * How a call failed. `refused`: no connection was made, so nothing was done. `broken`: the connection ended before the
 * answer did; something may have been done. `timeout`: the same, after a wait. `tooLarge`: the answer was given up.
 * `credentials`: ours could not be read. A number is the server's HTTP status.
 */
export type FaultCode = 'refused' | 'broken' | 'timeout' | 'credentials' | 'tooLarge' | number;

/** What a failed call tells, without the server's text. Stays inside `kube/`: {@link failureOf} makes what leaves it. */
export class KubeFault extends Error {
  readonly code: FaultCode;
  /** From `Retry-After`, in milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Machine-readable causes of the server's Status, e.g. `NamespaceTerminating`, `ResourceVersionTooLarge`; ours is `ExceededQuota`. */
  readonly causes: readonly string[];

  constructor(code: FaultCode, retryAfterMs?: number, causes: readonly string[] = []) {
    super(`the API server call failed: ${String(code)}`);
    this.name = 'KubeFault';
    this.code = code;
    this.retryAfterMs = retryAfterMs;
    this.causes = causes;
  }
}

/** One cause of a Kubernetes Status. */
export interface StatusCause {
  readonly reason: string;
  readonly field: string;
}

/** The causes of a Kubernetes Status: closed words and field paths, never messages. */
export function causesOf(body: unknown): readonly StatusCause[] {
  const causes = (body as { details?: { causes?: unknown } } | null | undefined)?.details?.causes;
  if (!Array.isArray(causes)) return [];
  return causes.map((cause: { reason?: unknown; field?: unknown } | null) => ({
    reason: typeof cause?.reason === 'string' ? cause.reason : '',
    field: typeof cause?.field === 'string' ? cause.field : '',
  }));
}

/**
 * Whether a Status says that a ResourceQuota is used up. The API server answers 403, as for a missing right, without a
 * machine-readable cause (plugin/pkg/admission/resourcequota/controller.go): only its text tells the two apart.
 */
export function isOverQuota(body: unknown): boolean {
  const message = (body as { message?: unknown } | null | undefined)?.message;
  return typeof message === 'string' && / is forbidden: exceeded quota: /.test(message);
}

/** No connection was made: DNS, refusal, unreachable, or a TLS handshake that failed. From Node's and undici's error codes. */
const refusedCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const timeoutCodes = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT']);

/** Classifies what undici threw. Its text may quote addresses and headers, so that only the code is looked at. */
export function faultOf(error: unknown): KubeFault {
  if (error instanceof KubeFault) return error;
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  if (name === 'TimeoutError') return new KubeFault('timeout');
  const text = typeof code === 'string' ? code : '';
  if (refusedCodes.has(text) || text.startsWith('ERR_TLS') || text.includes('CERT')) return new KubeFault('refused');
  return new KubeFault(timeoutCodes.has(text) ? 'timeout' : 'broken');
}

/** What leaves the adapter: a failure in our words. `what` is e.g. `read ApiKey`. */
export function failureOf(fault: KubeFault, what: string): Failure {
  const { code, retryAfterMs } = fault;
  if (fault.causes.includes('NamespaceTerminating')) return waiting('NamespaceTerminating', 'the namespace is being deleted');
  if (fault.causes.includes('ExceededQuota'))
    return waiting('InternalError', `the quota of the namespace leaves no room to ${what}`);
  if (code === 401 || code === 403)
    return waiting('InternalError', `the API server does not let us ${what} (${String(code)}): look at our role`);
  if (typeof code === 'string')
    return transient('InternalError', `the API server cannot be reached to ${what} (${code})`, retryAfterMs);
  if (code === 429 || code >= 500)
    return transient('InternalError', `the API server cannot ${what} now (${String(code)})`, retryAfterMs);
  return stalled('InternalError', `the API server refuses to ${what} (${String(code)})`);
}
