import type { AccessType, CatalogModel, Endpoint } from './catalog.ts';

/** A catalog with its names looked up once. An endpoint's number is its place in `model.endpoints`. */
export interface CatalogIndex {
  readonly model: CatalogModel;
  readonly types: ReadonlyMap<string, AccessType>;
  readonly numbers: ReadonlyMap<string, number>;
  /** By endpoint number: the scopes that contain it. */
  readonly scopesOf: readonly (readonly string[])[];
  readonly scopes: ReadonlySet<string>;
  readonly applications: ReadonlySet<string>;
  readonly channels: ReadonlySet<string>;
  readonly attributes: ReadonlySet<string>;
}

/**
 * Indexes a catalog that is valid as a whole, and ignores unknown endpoints of a scope. Do it once for each catalog: the largest one
 * has 200,000 names in its scopes.
 */
export function indexCatalog(model: CatalogModel): CatalogIndex {
  return {
    model,
    types: new Map(model.accessTypes.map((type) => [type.name, type])),
    numbers: new Map(model.endpoints.map((endpoint, number) => [endpoint.name, number])),
    scopesOf: scopesByEndpoint(model),
    scopes: new Set(model.scopes.map((scope) => scope.name)),
    applications: new Set(model.applications),
    channels: new Set(model.channels),
    attributes: new Set(model.attributes),
  };
}

function scopesByEndpoint(model: CatalogModel): readonly (readonly string[])[] {
  const byName = new Map<string, string[]>(model.endpoints.map((endpoint: Endpoint) => [endpoint.name, []]));
  for (const scope of model.scopes) {
    for (const name of scope.endpoints) byName.get(name)?.push(scope.name);
  }
  return model.endpoints.map((endpoint) => byName.get(endpoint.name) ?? []);
}
