import * as z from 'zod';
import type { ApiKind } from './kinds.ts';
import { kindTable } from './kinds.ts';
import { apiVersion } from './meta.ts';
import type { Schema } from './structural.ts';

/**
 * The JSON Schema (draft 7) of a manifest of a kind, for editors: a first line
 * `# yaml-language-server: $schema=<path or URL>` gives completion and checks while typing.
 */
export function toEditorSchema(kind: ApiKind): Schema {
  const entry = kindTable[kind];
  const spec = z.toJSONSchema(entry.spec, { target: 'draft-7', io: 'input', unrepresentable: 'throw' }) as Schema;
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: kind,
    description: entry.description,
    type: 'object',
    required: ['apiVersion', 'kind', 'metadata', 'spec'],
    properties: {
      apiVersion: { const: apiVersion },
      kind: { const: kind },
      metadata: {
        type: 'object',
        required: ['name'],
        properties: { name: { type: 'string', maxLength: 63, description: 'The name of the object, at most 63 characters.' } },
      },
      spec: withoutKubernetes(spec),
      status: { type: 'object', description: 'What is; only the operator writes it.' },
    },
    additionalProperties: false,
  };
}

/** Without what only an API server understands. */
function withoutKubernetes(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withoutKubernetes);
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key]) => !key.startsWith('x-kubernetes-') && key !== '$schema')
      .map(([key, value]) => [key, withoutKubernetes(value)]),
  );
}
