/**
 * A host as catalogs write it: lower case, without port and final dot. `undefined` = no host name, which no catalog has.
 * Anything beyond ASCII is refused before folding: `K` (U+212A) in lower case is `k`.
 */
export function normaliseHost(text: string): string | undefined {
  const match = /^([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?)\.?(?::[0-9]{1,5})?$/.exec(text);
  return match?.[1]?.toLowerCase();
}
