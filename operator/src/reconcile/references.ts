import type { ApiCatalog, KeyOwner } from '../api/kinds.ts';
import type { GrantRule } from '../domain/catalog.ts';
import type { CatalogIndex } from '../domain/catalogindex.ts';

/** A catalog in force: its last valid specification, and what the store has of it. */
export interface CatalogInForce {
  readonly catalog: ApiCatalog;
  /** Of the model in `index`. */
  readonly digest: string;
  readonly index: CatalogIndex;
}

/** What keys refer to, as it is in force: valid as a whole, and committed to the store, so that verdicts know it too. */
export interface References {
  /** `undefined` = there is none, it was never valid, it is being deleted, or another catalog has its host. */
  catalog(name: string): CatalogInForce | undefined;
  /** `undefined` = there is none, or it is being deleted. */
  owner(name: string): KeyOwner | undefined;
  /** The rules that count for an owner: its own, then those of its groups that exist. */
  rules(owner: KeyOwner): readonly GrantRule[];
}
