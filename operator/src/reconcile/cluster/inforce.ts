import type { ApiCatalog, KeyOwner, KeyOwnerGroup } from '../../api/kinds.ts';
import type { CatalogModel, GrantRule } from '../../domain/catalog.ts';
import { indexCatalog } from '../../domain/catalogindex.ts';
import type { CatalogInForce, References } from '../references.ts';
import { toGroupRow, toOwnerRow } from './model.ts';

/** What of the cluster kinds is in force: filled after the store's commit, and emptied after it. */
export class InForce implements References {
  readonly #catalogs = new Map<string, CatalogInForce>();
  readonly #owners = new Map<string, KeyOwner>();
  readonly #groups = new Map<string, KeyOwnerGroup>();

  catalog(name: string): CatalogInForce | undefined {
    return this.#catalogs.get(name);
  }

  catalogs(): readonly CatalogInForce[] {
    return [...this.#catalogs.values()];
  }

  owner(name: string): KeyOwner | undefined {
    return this.#owners.get(name);
  }

  group(name: string): KeyOwnerGroup | undefined {
    return this.#groups.get(name);
  }

  rules(owner: KeyOwner): readonly GrantRule[] {
    const groups = owner.spec.groups.flatMap((name) => {
      const group = this.#groups.get(name);
      return group === undefined ? [] : toGroupRow(group).rules;
    });
    return [...toOwnerRow(owner).rules, ...groups];
  }

  /** The names of the owners that name a group. */
  membersOf(group: string): readonly string[] {
    return [...this.#owners.values()].filter(({ spec }) => spec.groups.includes(group)).map(({ metadata }) => metadata.name);
  }

  setCatalog(
    name: string,
    found: { readonly catalog: ApiCatalog; readonly digest: string; readonly model: CatalogModel } | undefined,
  ): void {
    put(this.#catalogs, name, found && { catalog: found.catalog, digest: found.digest, index: indexCatalog(found.model) });
  }

  setOwner(name: string, found: KeyOwner | undefined): void {
    put(this.#owners, name, found);
  }

  setGroup(name: string, found: KeyOwnerGroup | undefined): void {
    put(this.#groups, name, found);
  }
}

function put<T>(map: Map<string, T>, name: string, value: T | undefined): void {
  if (value === undefined) map.delete(name);
  else map.set(name, value);
}
