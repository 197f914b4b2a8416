import { compileCatalog } from '../../operator/src/authorize/catalog.ts';
import type { CompiledCatalog } from '../../operator/src/authorize/catalog.ts';
import { decide } from '../../operator/src/authorize/decide.ts';
import type { Lookup } from '../../operator/src/authorize/lookup.ts';
import { proveKey } from '../../operator/src/authorize/provenkey.ts';
import type { AuthRequest } from '../../operator/src/authorize/request.ts';
import type { Verdict } from '../../operator/src/authorize/verdict.ts';
import type { Instant } from '../../operator/src/domain/time.ts';
import type { CatalogRow, KeyRecord } from '../../operator/src/store/port.ts';

/** A request for the first endpoint of `catalogModel`, over HTTPS, that names nothing else. */
export function authRequest(changes: Partial<AuthRequest> = {}): AuthRequest {
  return {
    credential: undefined,
    catalog: undefined,
    scheme: 'https',
    host: 'api.example.com',
    method: 'GET',
    path: '/v1/subscribers',
    application: undefined,
    customer: undefined,
    targetChannels: undefined,
    attributes: undefined,
    sourceIp: undefined,
    ...changes,
  };
}

/** What a look-up gives for a key whose value was presented to the catalog `addressed`; absent = to a host of none. */
export function knownKey(record: KeyRecord, addressed: CatalogRow | undefined): Lookup {
  const compiled = new Map<CatalogRow, CompiledCatalog>();
  const compile = (row: CatalogRow): CompiledCatalog => {
    const found = compiled.get(row) ?? compileCatalog(row);
    compiled.set(row, found);
    return found;
  };
  return {
    kind: 'known',
    keyId: record.version.keyId,
    ...(addressed === undefined ? {} : { catalog: compile(addressed) }),
    ...(record.catalog === undefined ? {} : { key: proveKey(record, compile(record.catalog)) }),
  };
}

/** Decides a request with a key that was proven. */
export function decideRecord(record: KeyRecord, request: Partial<AuthRequest>, now: Instant): Verdict {
  return decide(knownKey(record, record.catalog), authRequest(request), now);
}
