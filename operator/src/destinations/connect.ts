import { lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isForbiddenAddress, isLoopbackAddress } from './endpoint.ts';

/** A name leads to an address that no destination may have. The code is used like those of Node's own connection errors. */
export class ForbiddenAddress extends Error {
  readonly code = 'FORBIDDEN_ADDRESS';

  constructor() {
    super('the name leads to an address that no destination may have');
    this.name = 'ForbiddenAddress';
  }
}

/** The system's resolver, or one of a test. */
export type Resolve = (
  hostname: string,
  options: LookupOptions & { readonly all: true },
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * A look-up for connections: a name that leads to a forbidden address fails, whatever other addresses it has. It checks the very
 * addresses of the connection, so that a name server cannot answer the check and the connection differently.
 */
export function guardedLookup(mayLoopback: boolean, resolve: Resolve = systemLookup): LookupFunction {
  return (hostname, options, done) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        done(error, []);
        return;
      }
      const isForbidden = ({ address }: LookupAddress) =>
        isForbiddenAddress(address) || (!mayLoopback && isLoopbackAddress(address));
      const [first] = addresses;
      if (first === undefined || addresses.some(isForbidden)) done(new ForbiddenAddress(), []);
      else if (options.all === true) done(null, addresses);
      else done(null, first.address, first.family);
    });
  };
}
