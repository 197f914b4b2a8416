import { Rights, rulesFor } from '../domain/grants.ts';
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
  /** `undefined` = from anywhere. */
  readonly sources: Networks | undefined;
}

/** Joins a record with its compiled catalog. The result may serve many requests: it remembers what it was asked. */
export function proveKey(record: KeyRecord, catalog: CompiledCatalog): ProvenKey {
  const { accessType, selections } = record.key.settings;
  const rules = rulesFor(catalog.name, record.owner, record.groups);
  return {
    record,
    catalog,
    rights: new Rights({ index: catalog.index, accessType, selections, rules }),
    sources: selections.allowedSources === undefined ? undefined : parseNetworks(selections.allowedSources),
  };
}
