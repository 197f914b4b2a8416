import { digestOf } from '../../store/digest.ts';
import type { Kinds } from '../../resources/port.ts';
import type { InForceRow } from '../../store/port.ts';
import { specRequester } from '../requester.ts';
import { catalogFaults, type Claim } from './faults.ts';
import { markOf, type ClusterDependencies, type Handling } from './handling.ts';
import { toCatalogRow, toCatalogSpec } from './model.ts';
import { planCatalog } from './plan.ts';

/**
 * How catalogs come into force and out of it. Only one pass over a catalog may run at a time: between the look at who holds a
 * host and the commit, no other catalog may take it.
 */
export function catalogs(deps: ClusterDependencies): Handling<'ApiCatalog'> {
  const { store, clock, inForce, counts } = deps;
  return {
    uidInForce: async (name) => (await store.listInForce('ApiCatalog', name))[0]?.uid,
    plan: async (resource) => {
      await recall(deps, resource);
      const others = claimsBeside(deps, resource.metadata.uid);
      const hosts = [resource, ...others].flatMap((one) => ('hosts' in one ? one.hosts : one.spec.requests.hosts));
      const found = inForce.catalog(resource.metadata.name);
      const holders = await holdersOf(deps, [...hosts, ...(found?.index.model.requests.hosts ?? [])]);
      return planCatalog({ resource, inForce: found, others, holders });
    },
    save: async (catalog) => {
      const row = toCatalogRow(catalog);
      await store.saveCatalog(row, clock.now(), specRequester(catalog.metadata));
      inForce.setCatalog(row.name, { ...row, catalog });
    },
    keep: async (name) => {
      const found = inForce.catalog(name);
      if (found === undefined) return;
      const { uid } = found.catalog.metadata;
      await store.saveCatalog({ uid, name, digest: found.digest, model: found.index.model }, clock.now());
    },
    remove: async (uid, name) => {
      const outcome = uid === undefined ? 'already' : await store.deleteCatalog(uid, clock.now());
      inForce.setCatalog(name, undefined);
      return outcome;
    },
    mark: (name) => markOf(inForce.catalog(name)?.catalog),
    status: async ({ metadata }) => {
      const found = inForce.catalog(metadata.name);
      const keys = (await counts.current()).byCatalog.get(metadata.name) ?? 0;
      return { keys, ...(found === undefined ? {} : { digest: found.digest }) };
    },
    next: () => ({ kind: 'awaitChange' }),
  };
}

/**
 * After a start the last valid specification is in the store only. A catalog of this name with another uid is an earlier
 * one that was taken away by force: nothing of it stays.
 */
async function recall(deps: ClusterDependencies, resource: Kinds['ApiCatalog']): Promise<void> {
  const { store, inForce, clock, assertLeading } = deps;
  const { name, uid } = resource.metadata;
  if (inForce.catalog(name)?.catalog.metadata.uid === uid) return;
  const row = await store.findCatalog({ name });
  inForce.setCatalog(name, undefined);
  if (row === undefined) return;
  if (row.uid !== uid) {
    assertLeading();
    await store.deleteCatalog(row.uid, clock.now());
    return;
  }
  const spec = toCatalogSpec(row.model);
  if (spec !== undefined)
    inForce.setCatalog(name, { catalog: { ...resource, spec }, model: row.model, digest: digestOf(row.model) });
}

/** What the other catalogs declare. An invalid edit claims nothing; what is in force still does. */
function claimsBeside({ resources, inForce }: ClusterDependencies, uid: string): readonly Claim[] {
  return resources.list('ApiCatalog').flatMap((metadata): readonly Claim[] => {
    if (metadata.uid === uid || metadata.deletionTimestamp !== undefined) return [];
    const spec = resources.get('ApiCatalog', metadata)?.spec;
    if (spec !== undefined && catalogFaults(spec).length === 0) return [{ metadata, hosts: spec.requests.hosts }];
    const found = inForce.catalog(metadata.name);
    return found === undefined ? [] : [{ metadata, hosts: found.index.model.requests.hosts }];
  });
}

/**
 * Who has each of these hosts in force. The store knows, also after a restart; what it has lost, to an older database, is known
 * here and comes back.
 */
async function holdersOf(
  { store, inForce }: ClusterDependencies,
  hosts: readonly string[],
): Promise<ReadonlyMap<string, InForceRow>> {
  const held = await store.findCatalogs({ hosts, names: [] });
  const known = inForce.catalogs().map(({ catalog, index }) => ({ ...catalog.metadata, model: index.model }));
  const holders = new Map<string, InForceRow>();
  // Verdicts take the first one of the store, too.
  for (const { uid, name, model } of [...held, ...known])
    for (const host of model.requests.hosts) if (!holders.has(host)) holders.set(host, { uid, name });
  return holders;
}
