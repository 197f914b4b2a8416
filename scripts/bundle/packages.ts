import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';

/** A package that is in the bundle. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** From the root: `node_modules/pg`. */
  readonly folder: string;
  /** What its manifest says: SPDX identifiers mostly; several in the old form of manifests. */
  readonly licences: readonly string[];
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string | readonly { readonly type: string }[];
}

/** The packages whose files are in the bundle, by what the bundler wrote; sorted by name and version. */
export function bundledPackages(root: string, metafile: Metafile): readonly BundledPackage[] {
  const used = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs));
  const folders = used.flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []);
  const packages = [...new Set(folders)].map((folder): BundledPackage => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Manifest;
    if (license === undefined) throw new Error(`${name} ${version} says nothing of its licence`);
    return { name, version, folder, licences: typeof license === 'string' ? [license] : license.map(({ type }) => type) };
  });
  return packages.sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
}

/** `pg@8.23.1`. */
export function idOf({ name, version }: Pick<BundledPackage, 'name' | 'version'>): string {
  return `${name}@${version}`;
}
