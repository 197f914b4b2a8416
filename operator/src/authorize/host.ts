/** A host as catalogs write it, and its port, which no catalog has. */
interface Host {
  /** Lower case, without the final dot. */
  readonly name: string;
  readonly port: number | undefined;
}

/**
 * Reads a host with or without a port. `undefined` = no host name, which no catalog has. Anything beyond ASCII is refused before
 * folding: `K` (U+212A) in lower case is `k`.
 */
export function parseHost(text: string): Host | undefined {
  const [, name, port] = /^([A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?)\.?(?::([0-9]{1,5}))?$/.exec(text) ?? [];
  return name === undefined ? undefined : { name: name.toLowerCase(), port: port === undefined ? undefined : Number(port) };
}
