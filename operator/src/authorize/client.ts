import { networkOf } from './source.ts';

/** What a request and its key say about who uses the key. */
export interface Client {
  /** The key's `clientApplication`. */
  readonly application: string | undefined;
  /** The request's User-Agent, as it came. */
  readonly userAgent: string | undefined;
  readonly sourceIp: string | undefined;
}

/**
 * A product with a version at the start of a User-Agent (RFC 9110 section 10.1.5), as libraries spell it: `curl/8.5.0`,
 * `Go-http-client/1.1`, `kube-probe/1.31+`. Words of letters with at most two digits, and a version of numbers. Anything else may
 * be a key value in the wrong header, and is left out.
 */
const productPattern =
  /^(?=.{1,32}\/)([A-Za-z]+[0-9]{0,2}(?:[-_.][A-Za-z]+[0-9]{0,2}){0,4})\/v?[0-9]{1,5}(?:\.[0-9]{1,5}){0,3}\+?(?![^\s;,()])/;
const wordMaxLength = 16;

/**
 * Who uses a key, as one short text (≤ 200 characters): `billing, curl/8.5.0, 10.20.3.0/24`, as far as it is known. Addresses
 * are kept as networks, so that no person's address is. `undefined` = nothing is known.
 */
export function describeClient({ application, userAgent, sourceIp }: Client): string | undefined {
  const known = [application, productOf(userAgent), networkOf(sourceIp)].filter((part) => part !== undefined);
  return known.length === 0 ? undefined : known.join(', ').slice(0, 200);
}

function productOf(userAgent = ''): string | undefined {
  const [product, name = ''] = productPattern.exec(userAgent.slice(0, 256)) ?? [];
  return name.split(/[-_.]/).every((word) => word.length <= wordMaxLength) ? product : undefined;
}
