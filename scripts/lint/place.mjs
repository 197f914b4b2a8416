import { posix, sep } from 'node:path';

/** Folders whose subfolders are adapters, each a unit of its own; the files beside these are the port. */
const WITH_ADAPTERS = ['consumers', 'destinations', 'resources', 'store'];

/**
 * A file's path inside operator/src without the extension, as `store/postgres/rows`; `undefined` when it lies elsewhere.
 *
 * @param {string} filename absolute, or relative to the repository
 */
export function sourcePath(filename) {
  const path = filename.split(sep).join('/');
  const inside = /(?:^|\/)operator\/src\/(.+)\.ts$/.exec(path)?.[1];
  return inside === undefined ? undefined : posix.normalize(inside);
}

/**
 * The unit that the import rules speak of: `domain`, `store` (the port), `store/postgres` (an adapter),
 * `destinations/registry`, `main`.
 *
 * @param {string} path as {@link sourcePath} gives it
 */
export function unitOf(path) {
  const [first = '', second] = path.split('/');
  if (!WITH_ADAPTERS.includes(first)) return first;
  // A registry chooses among the adapters: it is no part of the port.
  return path.split('/').length > 2 || second === 'registry' ? `${first}/${second}` : first;
}
