import { Failure, stalled, unanswered, waiting, type FailureDetail } from '../../domain/failure.ts';
import { noAws } from '../untrusted.ts';
import { TransportFault } from './transport.ts';

/**
 * What an error of the SDK means. `missing`, `exists`, `refused` (the state of the secret forbids the call) and
 * `invalid` (a parameter does not fit, e.g. a stage that is not where it was said to be) are answers that a caller may
 * expect. A new login may cure `credentials`, a second try `passing`.
 */
export type Judged =
  | { readonly kind: 'missing' | 'exists' | 'refused' | 'invalid' }
  | { readonly kind: 'credentials' | 'passing' | 'failed'; readonly failure: Failure };

/** The class names of errors, by what they mean. From the API references of Secrets Manager, STS and their common errors. */
const expected: Readonly<Record<string, 'missing' | 'exists' | 'refused' | 'invalid'>> = {
  ResourceNotFoundException: 'missing',
  ResourceExistsException: 'exists',
  InvalidRequestException: 'refused',
  InvalidParameterException: 'invalid',
};
const throttles = [
  'ThrottlingException',
  'Throttling',
  'ThrottledException',
  'RequestThrottledException',
  'TooManyRequestsException',
  'RequestLimitExceeded',
  'SlowDown',
];
const badLogins = [
  'ExpiredTokenException',
  'ExpiredToken',
  'RequestExpired',
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'SignatureDoesNotMatch',
  'IncompleteSignature',
  'IncompleteSignatureException',
  'MissingAuthenticationToken',
  'MissingAuthenticationTokenException',
  'NotAuthorized',
  'AuthFailure',
];
const denials = ['AccessDeniedException', 'AccessDenied', 'UnauthorizedOperation', 'OptInRequired'];
const kmsFaults = ['DecryptionFailure', 'EncryptionFailure', 'KMSAccessDeniedException', 'KMSDisabledException'];
const badTokens = ['InvalidIdentityToken', 'InvalidIdentityTokenException', 'IDPRejectedClaim', 'IDPRejectedClaimException'];

/** When AWS limits our rate without saying for how long, in milliseconds. */
const throttledForMs = 10_000;
const [leastWaitMs, mostWaitMs] = [1000, 600_000];

/** An answer that has the right form, but is not that of the service. */
export function garbage(): Failure {
  return noAws({ class: 'answer', text: 'the answer has an unknown shape' });
}

/** The record is larger than a secret may be (65,536 bytes: quotas of Secrets Manager). */
export function tooLarge(): Failure {
  return stalled('DestinationUnavailable', 'the record is larger than the 65,536 bytes that a secret of AWS may have');
}

/**
 * Classifies an error by its class and status alone, and drops it: it may carry the request with the value. `right` is
 * what the call needs, e.g. `secretsmanager:PutSecretValue`.
 */
export function judge(error: unknown, right: string): Judged {
  if (error instanceof Failure) return { kind: 'failed', failure: error };
  if (error instanceof TransportFault) {
    const code = error.code === undefined ? '' : `: ${error.code}`;
    const failure = noAws({ ...roads[error.fault], text: `${roads[error.fault].text}${code}` });
    return { kind: error.fault === 'unreachable' ? 'passing' : 'failed', failure };
  }
  const name = error instanceof Error ? error.name : '';
  const status = statusOf(error);
  // A gateway's HTML has no class of error, and a redirect none that we know.
  const kind = status !== undefined && status >= 400 && status < 500 ? expected[name] : undefined;
  if (kind !== undefined) return { kind };
  if (throttles.includes(name) || status === 429) {
    return { kind: 'failed', failure: waiting('DestinationUnavailable', 'AWS limits our rate', waitOf(error)) };
  }
  const sentence = sentenceOf(name, right);
  if (sentence !== undefined) {
    return { kind: badLogins.includes(name) ? 'credentials' : 'failed', failure: waiting('DestinationUnavailable', sentence) };
  }
  if (status !== undefined && status >= 500) {
    return { kind: 'passing', failure: unanswered('DestinationUnavailable', `AWS failed (${status})`) };
  }
  if (status !== undefined && status >= 300 && status < 400) {
    const text = `the endpoint redirects elsewhere (${status}), which is not followed`;
    return { kind: 'failed', failure: noAws({ class: 'answer', text }) };
  }
  if (status === undefined || status < 300) return { kind: 'failed', failure: garbage() };
  return { kind: 'failed', failure: waiting('DestinationUnavailable', `AWS refuses ${right} (${status})`) };
}

const roads: Readonly<Record<TransportFault['fault'], FailureDetail>> = {
  unreachable: { class: 'unreachable', text: 'the endpoint cannot be reached, or the connection broke' },
  timeout: { class: 'timeout', text: 'the endpoint did not answer in time' },
  tooLarge: { class: 'answer', text: 'the answer is too large' },
};

function sentenceOf(name: string, right: string): string | undefined {
  if (badLogins.includes(name)) return 'AWS does not accept our credentials';
  if (denials.includes(name)) return denialOf(right);
  if (kmsFaults.includes(name)) return 'the KMS key of the secret cannot be used; is it enabled, and may we use it?';
  if (badTokens.includes(name))
    return 'AWS STS does not accept the token of the ServiceAccount; does the account trust its issuer?';
  if (name === 'LimitExceededException') return 'a quota of AWS Secrets Manager is reached';
  if (name === 'RegionDisabledException') return 'AWS STS is not enabled in the region';
  return undefined;
}

/** Which right is missing. With a KMS key of one's own its rights are missing under the same class of error. */
function denialOf(right: string): string {
  if (right.startsWith('sts:')) return `AWS denies ${right}: the trust policy of the role does not admit us`;
  const also = right === 'secretsmanager:CreateSecret' ? ', secretsmanager:TagResource' : '';
  const usesKms = /:(CreateSecret|PutSecretValue|GetSecretValue)$/.test(right);
  return `AWS denies ${right}${also}${usesKms ? ' or the use of the KMS key' : ''}`;
}

function statusOf(error: unknown): number | undefined {
  const status = memberOf(memberOf(error, '$metadata'), 'httpStatusCode') ?? memberOf(memberOf(error, '$response'), 'statusCode');
  return typeof status === 'number' ? status : undefined;
}

/** `Retry-After` in seconds, within reason. */
function waitOf(error: unknown): number {
  const text = memberOf(memberOf(memberOf(error, '$response'), 'headers'), 'retry-after');
  const seconds = typeof text === 'string' && /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
  return seconds === undefined ? throttledForMs : Math.min(Math.max(seconds * 1000, leastWaitMs), mostWaitMs);
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && name in value ? (value as Record<string, unknown>)[name] : undefined;
}
