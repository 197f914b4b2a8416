import { indexCatalog } from '../domain/catalogindex.ts';
import type { CatalogIndex } from '../domain/catalogindex.ts';
import { customerIdPattern } from '../domain/customerid.ts';
import type { CatalogRow } from '../store/port.ts';
import { buildRoutes } from './match.ts';
import type { RouteNode } from './match.ts';

/** A catalog in force, ready to be asked. */
export interface CompiledCatalog {
  readonly uid: string;
  readonly name: string;
  readonly index: CatalogIndex;
  readonly routes: RouteNode;
  /** Whether a customer id is spelled as the catalog wants it. */
  readonly fitsCustomer: (customer: string) => boolean;
}

const customerMaxLength = 64;
const defaultCustomerPattern = '^(0|[1-9][0-9]*|[a-z][a-z0-9_-]*)$';

/** Builds what verdicts ask of a catalog. It takes milliseconds for thousands of endpoints: keep the result. */
export function compileCatalog({ uid, name, model }: Pick<CatalogRow, 'uid' | 'name' | 'model'>): CompiledCatalog {
  const { application } = model.requests;
  const applicationParameter = application !== undefined && 'pathParam' in application ? application.pathParam : undefined;
  const pattern = customerIdPattern(model.requests.customer?.pattern ?? defaultCustomerPattern);
  return {
    uid,
    name,
    index: indexCatalog(model),
    routes: buildRoutes(model.endpoints, applicationParameter),
    fitsCustomer: (customer) => customer.length <= customerMaxLength && pattern?.test(customer) === true,
  };
}

/** The catalogs seen last, compiled once per content. */
export class CatalogCache {
  readonly #limit: number;
  readonly #compiled = new Map<string, CompiledCatalog>();

  /** `limit`: how many are kept, from 1; the one that was asked for longest ago goes first. */
  constructor(limit = 64) {
    this.#limit = limit;
  }

  get(row: CatalogRow): CompiledCatalog {
    // The name is not part of the digest; a catalog of another uid is another one, whatever it says.
    const key = `${row.uid} ${row.name} ${row.digest}`;
    const known = this.#compiled.get(key);
    // The store gives the same object again, unless the model is not the one of the digest.
    const compiled = known?.index.model === row.model ? known : compileCatalog(row);
    this.#compiled.delete(key);
    this.#compiled.set(key, compiled);
    const [oldest] = this.#compiled.keys();
    if (this.#compiled.size > this.#limit && oldest !== undefined) this.#compiled.delete(oldest);
    return compiled;
  }
}
