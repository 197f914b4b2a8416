import type { ApiCatalog } from '../api/kinds.ts';
import { envelopeDigest, type Envelope } from '../destinations/record.ts';
import type { Instant } from '../domain/time.ts';
import type { Version } from '../domain/version.ts';

/** What should stand beside a version's value: its id, its expiry, and the line to send by the catalog's first header. */
export function envelopeOf(
  catalog: ApiCatalog,
  version: { readonly keyId: string; readonly expiresAt?: Instant | undefined },
): Envelope {
  const header = catalog.spec.credentials.headers[0] ?? { name: 'Authorization', scheme: 'Bearer' };
  return { keyId: version.keyId, expiresAt: version.expiresAt, headerName: header.name, headerScheme: header.scheme };
}

/** The digests by key id; without a catalog nothing can be said, and nothing is rewritten. */
export function envelopesOf(catalog: ApiCatalog | undefined, versions: readonly Version[]): ReadonlyMap<string, string> {
  if (catalog === undefined) return new Map();
  return new Map(versions.map((version) => [version.keyId, envelopeDigest(envelopeOf(catalog, version))]));
}
