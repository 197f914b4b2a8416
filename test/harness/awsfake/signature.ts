import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AwsError } from './error.ts';

/** Where a signature must be scoped to. */
export interface Scope {
  readonly region: string;
  readonly service: string;
}

/** What a request says of its signer, before it is believed. */
export interface Claim {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const MAX_SKEW_MS = 5 * 60_000;

/** Reads the Authorization header of Signature Version 4. */
export function readClaim(request: IncomingMessage): Claim {
  const header = request.headers.authorization;
  if (header === undefined) throw new AwsError('MissingAuthenticationTokenException', 'Missing Authentication Token');
  const found =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]*)\/([^/]*)\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      header,
    );
  if (found === null) throw new AwsError('IncompleteSignatureException', 'The Authorization header is not a signature.');
  const [, accessKeyId = '', date = '', region = '', service = '', signedHeaders = '', signature = ''] = found;
  return { accessKeyId, date, region, service, signedHeaders: signedHeaders.split(';'), signature };
}

/**
 * Computes the signature of Signature Version 4 and compares it. The date must be within five minutes, host and all
 * `x-amz-` headers and the content type must be signed.
 */
export function checkSignature(
  request: IncomingMessage,
  body: Buffer,
  claim: Claim,
  scope: Scope,
  secretAccessKey: string,
): void {
  if (claim.service !== scope.service) throw refused(`Credential should be scoped to correct service: '${scope.service}'.`);
  if (claim.region !== scope.region) throw refused('Credential should be scoped to a valid region.');
  const at = one(request, 'x-amz-date');
  checkDate(at, claim.date);
  const must = Object.keys(request.headers).filter((name) => name.startsWith('x-amz-') || name === 'content-type');
  const unsigned = ['host', ...must].filter((name) => !claim.signedHeaders.includes(name));
  if (unsigned.length > 0) throw refused(`'${unsigned.join("', '")}' must be a 'SignedHeader' in the AWS Authorization.`);
  const scopeText = `${claim.date}/${claim.region}/${claim.service}/aws4_request`;
  const toSign = [ALGORITHM, at, scopeText, sha256(canonical(request, body, claim.signedHeaders))].join('\n');
  const key = [claim.date, claim.region, claim.service, 'aws4_request'].reduce<Buffer>(
    (parent, part) => hmac(parent, part),
    Buffer.from(`AWS4${secretAccessKey}`),
  );
  if (timingSafeEqual(hmac(key, toSign), Buffer.from(claim.signature, 'hex'))) return;
  throw refused(
    'The request signature we calculated does not match the signature you provided. ' +
      'Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
  );
}

/** Both protocols that we serve send everything in the body of `POST /`. */
function canonical(request: IncomingMessage, body: Buffer, signedHeaders: readonly string[]): string {
  const headers = signedHeaders.map((name) => `${name}:${one(request, name).trim().replaceAll(/ +/g, ' ')}\n`).join('');
  const payload = sha256(body);
  const said = request.headers['x-amz-content-sha256'];
  if (said !== undefined && said !== payload) throw refused('The body does not have the hash that the request names.');
  return [request.method ?? '', request.url ?? '', '', headers, signedHeaders.join(';'), payload].join('\n');
}

function checkDate(at: string, day: string): void {
  const instant = Date.parse(at.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (!(Math.abs(Date.now() - instant) <= MAX_SKEW_MS)) throw refused('Signature expired: the date is too far away.');
  if (!at.startsWith(day))
    throw refused('Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.');
}

function one(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  if (typeof value !== 'string') throw refused(`The header ${name} is missing.`);
  return value;
}

function refused(message: string): AwsError {
  return new AwsError('InvalidSignatureException', message);
}

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}
