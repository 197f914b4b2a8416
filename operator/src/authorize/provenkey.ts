import { Rights, rulesFor } from '../domain/grants.ts';
import { formatRef } from '../domain/key.ts';
import { isInFormat } from '../keys/token.ts';
import { proposalsOf } from '../store/ceilings.ts';
import type { KeyRecord, KeySettings } from '../store/port.ts';
import type { CompiledCatalog } from './catalog.ts';
import { parseNetworks } from './source.ts';
import type { Networks } from './source.ts';

/** One set of settings that limits a key, with the rights that it gives. */
export interface Layer {
  readonly settings: KeySettings;
  readonly rights: Rights;
  /** `undefined` = from anywhere. */
  readonly sources: Networks | undefined;
}

/** A key whose value was presented, with its rights: what is decided about. */
export interface ProvenKey {
  readonly record: KeyRecord;
  /** The catalog that the key opens. */
  readonly catalog: CompiledCatalog;
  /** The layer of the effective settings. */
  readonly applied: Layer;
  /**
   * The effective layer first, then those that only narrow it: proposed settings, and the settings of an earlier ApiKey under
   * which the version was minted. Every layer must allow the request.
   */
  readonly layers: readonly Layer[];
  /** Whether the version is one of the catalog: by its name, prefix and environment. */
  readonly inCatalog: boolean;
  /** `namespace/name` of the ApiKey. */
  readonly apiKey: string;
}

/** Joins a record with its compiled catalog. The result may serve many requests: it remembers what it was asked. */
export function proveKey(record: KeyRecord, catalog: CompiledCatalog): ProvenKey {
  const { settings, proposed } = record.key;
  const rules = rulesFor(catalog.name, record.owner, record.groups);
  const layerOf = (one: KeySettings): Layer => {
    const { accessType, selections } = one;
    const sources = selections.allowedSources === undefined ? undefined : parseNetworks(selections.allowedSources);
    return { settings: one, rights: new Rights({ index: catalog.index, accessType, selections, rules }), sources };
  };
  const applied = layerOf(settings);
  const narrowing = [...proposalsOf(proposed), ...(record.ceilings ?? [])];
  const isOfCatalog = [settings, ...narrowing].every((one) => one.catalog === catalog.name);
  return {
    record,
    catalog,
    applied,
    layers: [applied, ...narrowing.map(layerOf)],
    inCatalog: isOfCatalog && isInFormat(record.version, catalog.index.model.key),
    apiKey: formatRef(record.key.ref),
  };
}
