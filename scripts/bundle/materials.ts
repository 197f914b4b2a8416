import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { idOf, type BundledPackage } from './packages.ts';

/** A CycloneDX document, as far as it is read here. */
interface Materials {
  readonly metadata: { readonly timestamp?: string; readonly component: Component; readonly [member: string]: unknown };
  readonly serialNumber?: string;
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
  readonly [member: string]: unknown;
}

interface Component {
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly purl?: string;
  readonly licenses?: readonly object[];
}

/** The workspace that the bundle is made of, as npm's document refers to it. */
const workspace = '@keywright/operator';

/**
 * npm's own bill of materials of the repository, narrowed to what is in the bundle. Without its serial number and its time:
 * the same sources give the same document. Throws when npm knows nothing of a package that is in the bundle.
 */
export async function materials(root: string, packages: readonly BundledPackage[]): Promise<object> {
  const args = ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application'];
  const { stdout } = await promisify(execFile)('npm', args, { cwd: root, maxBuffer: 64 * 1024 * 1024 });
  const { serialNumber: _number, ...all } = JSON.parse(stdout) as Materials;
  const known = new Map(all.components.map((component) => [component['bom-ref'], component]));
  const components = packages.map((one) => {
    const component = known.get(idOf(one));
    if (component === undefined) throw new Error(`npm's bill of materials has no ${idOf(one)}`);
    // npm leaves out licences in the old form of manifests.
    return component.licenses === undefined
      ? { ...component, licenses: one.licences.map((name) => ({ license: { name } })) }
      : component;
  });
  const own = `${workspace}@${all.metadata.component.version}`;
  const kept = new Set([own, ...components.map((component) => component['bom-ref'])]);
  const dependencies = all.dependencies
    .filter(({ ref }) => kept.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => kept.has(one)) }));
  // The repository is no package that anybody could have from npm.
  const { timestamp: _time, ...metadata } = all.metadata;
  const { purl: _purl, ...repository } = metadata.component;
  const component = { ...repository, 'bom-ref': own, name: 'keywright' };
  return { ...all, metadata: { ...metadata, component }, components, dependencies };
}
