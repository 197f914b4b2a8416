import { toCrd } from './crd.ts';
import type { ApiKind } from './kinds.ts';
import { version } from './meta.ts';
import type { Schema } from './structural.ts';

/**
 * What an installed CustomResourceDefinition lacks of this program's: `v1alpha1` when the version is not served, else the
 * paths of fields (`spec.rotation.windows`). The API server drops a field that its schema does not know without a word, and
 * so would lose what a newer operator writes. Empty = it fits. What a newer CRD has besides does no harm.
 */
export function crdGaps(kind: ApiKind, installed: unknown): readonly string[] {
  const present = schemaOf(installed);
  const wanted = schemaOf(toCrd(kind));
  if (present === undefined || wanted === undefined) return [version];
  return missingIn(present, wanted, '');
}

/** The schema of the served version; everything is doubted, because it comes from outside. */
function schemaOf(crd: unknown): Schema | undefined {
  const versions = member(member(crd, 'spec'), 'versions');
  const known: readonly unknown[] = Array.isArray(versions) ? versions : [];
  const served = known.find((one) => member(one, 'name') === version && member(one, 'served') === true);
  const schema = member(member(served, 'schema'), 'openAPIV3Schema');
  return isSchema(schema) ? schema : undefined;
}

function missingIn(present: Schema, wanted: Schema, path: string): readonly string[] {
  if (present['x-kubernetes-preserve-unknown-fields'] === true) return [];
  const fields = Object.entries(membersOf(wanted)).flatMap(([name, field]) => {
    const there = membersOf(present)[name];
    const place = path === '' ? name : `${path}.${name}`;
    return there === undefined ? [place] : missingIn(there, field, place);
  });
  const inner = ['items', 'additionalProperties'].flatMap((key) => {
    const [there, field] = [present[key], wanted[key]];
    return isSchema(field) ? missingIn(isSchema(there) ? there : {}, field, `${path}[]`) : [];
  });
  return [...fields, ...inner];
}

function membersOf(schema: Schema): Readonly<Record<string, Schema>> {
  return isSchema(schema['properties']) ? (schema['properties'] as Readonly<Record<string, Schema>>) : {};
}

function member(value: unknown, name: string): unknown {
  return isSchema(value) ? value[name] : undefined;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
