import { Rights, rulesFor } from '../domain/grants.ts';
import { formatRef } from '../domain/key.ts';
import type { KeyRecord } from '../store/port.ts';
import type { CompiledCatalog } from './catalog.ts';
import { parseNetworks } from './source.ts';
import type { Networks } from './source.ts';

/** A key whose value was presented, with its rights: what is decided about. */
export interface ProvenKey {
  readonly record: KeyRecord;
  /** The catalog that the key opens. */
  readonly catalog: CompiledCatalog;
  readonly rights: Rights;
  /** Whether the version is one of the catalog: by its name, prefix and environment. */
  readonly inCatalog: boolean;
  /** `namespace/name` of the ApiKey. */
  readonly apiKey: string;
  /** `undefined` = from anywhere. */
  readonly sources: Networks | undefined;
}

/** Joins a record with its compiled catalog. The result may serve many requests: it remembers what it was asked. */
export function proveKey(record: KeyRecord, catalog: CompiledCatalog): ProvenKey {
  const { accessType, selections } = record.key.settings;
  const { prefix, environment } = catalog.index.model.key;
  const { display, keyId } = record.version;
  const rules = rulesFor(catalog.name, record.owner, record.groups);
  return {
    record,
    catalog,
    rights: new Rights({ index: catalog.index, accessType, selections, rules }),
    inCatalog: catalog.name === record.key.settings.catalog && display === `${prefix}_${environment}_${keyId}`,
    apiKey: formatRef(record.key.ref),
    sources: selections.allowedSources === undefined ? undefined : parseNetworks(selections.allowedSources),
  };
}
