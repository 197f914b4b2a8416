import type { Endpoint } from '../../operator/src/domain/catalog.ts';

/** An endpoint without flags. */
export function endpointAt(method: string, path: string, name: string, changes: Partial<Endpoint> = {}): Endpoint {
  return { name, method, path, perApplication: false, transactional: false, admin: false, upgrade: false, cost: 1, ...changes };
}
