import { execFile } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Metafile } from 'esbuild';

/** A package that is in the bundle. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** From the root: `node_modules/pg`. */
  readonly folder: string;
  readonly license: string;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
}

/** The packages whose files are in the bundle, by what the bundler wrote; sorted by name. */
export function bundledPackages(root: string, metafile: Metafile): readonly BundledPackage[] {
  const used = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs));
  const folders = used.flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? []);
  const packages = [...new Set(folders)].map((folder): BundledPackage => {
    const {
      name,
      version,
      license = 'NOASSERTION',
    } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Manifest;
    return { name, version, folder, license };
  });
  return packages.sort((a, b) => (`${a.name} ${a.version}` < `${b.name} ${b.version}` ? -1 : 1));
}

/** Every licence and notice that those packages carry: who hands the bundle on hands these on. */
export function licenceTexts(root: string, packages: readonly BundledPackage[]): string {
  const sections = packages.map(({ name, version, folder, license }) => {
    const files = readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile() && /^(licen[cs]e|notice|copying)/i.test(entry.name))
      .map((entry) => entry.name);
    const texts = files.map((file) => readFileSync(join(root, folder, file), 'utf8').trim());
    return [`${name} ${version} (${license})`, ...texts].join('\n\n');
  });
  const rule = `\n\n${'-'.repeat(80)}\n\n`;
  return `Keywright (Apache-2.0) holds these packages.${rule}${sections.join(rule)}\n`;
}

/** A CycloneDX document, as far as it is read here. */
export interface Materials {
  readonly metadata: { readonly component: object };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
  readonly [member: string]: unknown;
}

interface Component {
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
}

/** npm's own bill of materials of the repository, narrowed to what is in the bundle. */
export async function materials(root: string, packages: readonly BundledPackage[]): Promise<Materials> {
  const args = ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application'];
  const { stdout } = await promisify(execFile)('npm', args, { cwd: root, maxBuffer: 64 * 1024 * 1024 });
  const all = JSON.parse(stdout) as Materials;
  const wanted = new Set(packages.map(({ name, version }) => `${name}@${version}`));
  const components = all.components.filter(({ name, version }) => wanted.has(`${name}@${version}`));
  const kept = new Set(components.map((component) => component['bom-ref']));
  const others = new Set(all.components.map((component) => component['bom-ref']).filter((ref) => !kept.has(ref)));
  const dependencies = all.dependencies
    .filter(({ ref }) => !others.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => kept.has(one)) }));
  // npm calls the application by the folder of the checkout.
  const metadata = { ...all.metadata, component: { ...all.metadata.component, name: 'keywright' } };
  return { ...all, metadata, components, dependencies };
}
