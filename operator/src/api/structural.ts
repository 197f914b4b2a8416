import * as z from 'zod';

/** A JSON Schema, or a part of one. */
export type Schema = { readonly [member: string]: unknown };

/** What a structural schema must not carry, or what the API server says by itself. */
const dropped = new Set(['readOnly', 'examples', 'propertyNames', 'uniqueItems', '$schema', 'id', '$id']);

/**
 * A zod schema → the structural schema of a CRD (OpenAPI 3.0, types everywhere, no branches that carry types). Throws
 * where Kubernetes could not say what zod says: such a thing must be modelled as optional members with a CEL rule.
 */
export function toStructural(schema: z.ZodType): Schema {
  return convert(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', unrepresentable: 'throw' }), '');
}

function convert(node: Schema, path: string): Schema {
  if ('$ref' in node) throw new Error(`${path}: $ref has no place in a structural schema`);
  if (node['x-kubernetes-preserve-unknown-fields'] === true) return withoutBranches(node);
  const branches = node['anyOf'] ?? node['oneOf'];
  if (branches !== undefined) return convertBranches(node, branches as readonly Schema[], path);
  const entries = Object.entries(node).flatMap(([key, value]): [string, unknown][] => {
    if (dropped.has(key)) return [];
    if (key === 'properties') return [[key, convertMembers(value as Readonly<Record<string, Schema>>, path)]];
    if (key === 'items') return [[key, convert(value as Schema, `${path}[]`)]];
    if (key === 'additionalProperties')
      return typeof value === 'object' && value !== null ? [[key, convert(value as Schema, `${path}{}`)]] : [];
    return [[key, value]];
  });
  return boundIntegers(Object.fromEntries(entries), path);
}

function convertMembers(members: Readonly<Record<string, Schema>>, path: string): Schema {
  return Object.fromEntries(Object.entries(members).map(([name, member]) => [name, convert(member, `${path}.${name}`)]));
}

/** The value stays as it came: the operator writes it, nobody else. */
function withoutBranches(node: Schema): Schema {
  return Object.fromEntries(Object.entries(node).filter(([key]) => key !== 'anyOf' && key !== 'oneOf'));
}

/** The one union that Kubernetes knows: a whole number or a text. */
function convertBranches(node: Schema, branches: readonly Schema[], path: string): Schema {
  const types = branches.map((branch) => branch['type']);
  if (types.length !== 2 || !types.includes('string') || !types.includes('integer')) {
    throw new Error(`${path}: a union has no place in a structural schema; use optional members and a rule`);
  }
  return { ...withoutBranches(node), 'x-kubernetes-int-or-string': true };
}

/** JavaScript's own bounds of a whole number say nothing about the field; the API server wants to know the width. */
function boundIntegers(node: Schema, path: string): Schema {
  if (node['type'] === undefined) throw new Error(`${path}: a structural schema needs a type`);
  if (node['type'] !== 'integer') return node;
  const entries = Object.entries(node).filter(
    ([key, value]) =>
      !(key === 'maximum' && value === Number.MAX_SAFE_INTEGER) && !(key === 'minimum' && value === Number.MIN_SAFE_INTEGER),
  );
  return { ...Object.fromEntries(entries), format: 'int64' };
}
