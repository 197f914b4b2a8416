import { networkOf } from './source.ts';

/** What a request and its key say about who uses the key. */
export interface Client {
  /** The key's `clientApplication`. */
  readonly application: string | undefined;
  /** The request's User-Agent, as it came. */
  readonly userAgent: string | undefined;
  readonly sourceIp: string | undefined;
}

/** One product of RFC 9110, 10.1.5: a token, and a version after a slash. */
const productPattern = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:\/[A-Za-z0-9!#$%&'*+.^_`|~-]+)?/;
/** A longer one is left out, not cut: it may be a value that was put into the wrong header (the shortest has 57 characters). */
const productMaxLength = 48;

/**
 * Who uses a key, as one short text (≤ 200 characters): `billing, curl/8.5.0, 10.20.3.0/24`, as far as it is known. Addresses
 * are kept as networks, so that no person's address is. `undefined` = nothing is known.
 */
export function describeClient({ application, userAgent, sourceIp }: Client): string | undefined {
  const known = [application, productOf(userAgent), networkOf(sourceIp)].filter((part) => part !== undefined);
  return known.length === 0 ? undefined : known.join(', ').slice(0, 200);
}

function productOf(userAgent: string | undefined): string | undefined {
  const product = productPattern.exec(userAgent?.slice(0, 256) ?? '')?.[0];
  return product === undefined || product.length > productMaxLength ? undefined : product;
}
