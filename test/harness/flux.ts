import type { KubeObject } from '../../operator/src/api/meta.ts';
import type { Kube } from './kube.ts';

/** What Flux calls itself in managedFields. */
const manager = 'kustomize-controller';
const mergePolicy = 'kustomize.toolkit.fluxcd.io/ssa';

type Fields = { readonly [field: string]: Fields };

interface Managed {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly subresource?: string;
  readonly fieldsV1?: Fields;
}

type Manifest = Pick<KubeObject, 'kind' | 'metadata'>;

/**
 * What kustomize-controller does with an object of its source (v1.9, with `Apply` of fluxcd/pkg/ssa): a dry run; then, in
 * one patch of managedFields, it takes over what managers wrote whose names **begin with** `kubectl`, unless the manifest
 * has the policy Merge; then it applies, and what was taken over and is not in the manifest goes. `as` is impersonated.
 */
export async function reconcileAsFlux(kube: Kube, manifest: object, as?: string): Promise<void> {
  const flags = ['--server-side', `--field-manager=${manager}`, '--force-conflicts'];
  const whose = as === undefined ? [] : [`--as=${as}`];
  const { kind, metadata } = manifest as Manifest;
  const target = [kind, metadata.name, '-n', metadata.namespace ?? '', ...whose];
  await kube.kubectl(['apply', ...flags, ...whose, '--dry-run=server', '-f', '-'], { input: manifest });
  const { stdout } = await kube.kubectl(['get', ...target, '--show-managed-fields', '--ignore-not-found', '-o', 'json']);
  const managed = stdout === '' ? [] : (JSON.parse(stdout) as { metadata: { managedFields: Managed[] } }).metadata.managedFields;
  if (metadata.annotations?.[mergePolicy] !== 'Merge' && managed.some(isTakenOver)) {
    const patch = [{ op: 'replace', path: '/metadata/managedFields', value: takeOver(managed) }];
    await kube.kubectl(['patch', ...target, `--field-manager=${manager}`, '--type=json', '-p', JSON.stringify(patch)]);
  }
  await kube.kubectl(['apply', ...flags, ...whose, '-f', '-'], { input: manifest });
}

function isTakenOver({ manager: name, subresource }: Managed): boolean {
  return subresource === undefined && name.startsWith('kubectl');
}

function isOwn({ manager: name, operation }: Managed): boolean {
  return name === manager && operation === 'Apply';
}

function takeOver(managed: readonly Managed[]): readonly Managed[] {
  const concerned = managed.filter((entry) => isOwn(entry) || isTakenOver(entry));
  const own = { ...concerned.find(isOwn), manager, operation: 'Apply' } as const;
  return [
    ...managed.filter((entry) => !concerned.includes(entry)),
    { ...own, fieldsV1: concerned.map(({ fieldsV1 = {} }) => fieldsV1).reduce(union, {}) },
  ];
}

function union(one: Fields, other: Fields): Fields {
  const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  return Object.fromEntries(names.map((name) => [name, union(one[name] ?? {}, other[name] ?? {})]));
}
