import { createHash } from 'node:crypto';

import { canonicalJson } from '../domain/canonical.ts';
import type { CatalogModel } from '../domain/catalog.ts';

/** SHA-256 in hex of the model with its members in one order: equal models have equal digests. */
export function digestOf(model: CatalogModel): string {
  return createHash('sha256').update(canonicalJson(model)).digest('hex');
}
