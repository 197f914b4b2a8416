import * as z from 'zod';
import { describe, expect, it } from 'vitest';
import { toCrd } from '../../../operator/src/api/crd.ts';
import { toEditorSchema } from '../../../operator/src/api/editor.ts';
import { apiKinds, kindTable } from '../../../operator/src/api/kinds.ts';
import type { Schema } from '../../../operator/src/api/structural.ts';
import { toStructural } from '../../../operator/src/api/structural.ts';

/** Every schema in a schema, with its path. */
function* nodesOf(node: Schema, path: string): Generator<readonly [string, Schema]> {
  yield [path, node];
  for (const [name, member] of Object.entries((node['properties'] as Record<string, Schema> | undefined) ?? {})) {
    yield* nodesOf(member, `${path}.${name}`);
  }
  for (const inner of ['items', 'additionalProperties']) {
    if (node[inner] !== undefined) yield* nodesOf(node[inner] as Schema, `${path}[]`);
  }
}

const allNodes = apiKinds.flatMap((kind) => [
  ...nodesOf(toStructural(kindTable[kind].spec), `${kind}.spec`),
  ...nodesOf(toStructural(kindTable[kind].status), `${kind}.status`),
]);

const textOf = (value: unknown) => (typeof value === 'string' ? value : '');

const pathsWhere = (wrong: (node: Schema, path: string) => boolean) =>
  allNodes.filter(([path, node]) => wrong(node, path)).map(([path]) => path);

describe('the structural schema', () => {
  it('refuses a union of types, because a CRD cannot say it', () => {
    expect(() => toStructural(z.object({ a: z.union([z.string(), z.array(z.string())]) }))).toThrow('.a: a union has no place');
  });

  it('knows the one union of Kubernetes, a whole number or a text', () => {
    expect(toStructural(z.object({ a: z.union([z.int(), z.string()]).describe('A port.') }))).toMatchObject({
      properties: { a: { 'x-kubernetes-int-or-string': true, description: 'A port.' } },
    });
  });

  it('refuses what refers to itself', () => {
    const tree = z.object({
      get inner() {
        return z.array(tree);
      },
    });
    expect(() => toStructural(tree)).toThrow('$ref');
  });

  it('gives whole numbers a width, and no bounds that are only those of JavaScript', () => {
    expect(toStructural(z.object({ a: z.int().min(1) }))).toMatchObject({
      properties: { a: { type: 'integer', format: 'int64', minimum: 1 } },
    });
    expect(JSON.stringify(toStructural(z.object({ a: z.int() })))).not.toContain('9007199254740991');
  });

  it('lets the defaults of a block come through when the block is left out', () => {
    const schema = z.object({ a: z.object({ b: z.string().default('c') }).prefault({}) });
    expect(toStructural(schema)).toMatchObject({ properties: { a: { default: {}, properties: { b: { default: 'c' } } } } });
    expect(toStructural(schema)).not.toHaveProperty('required');
  });

  it('carries no member that an API server refuses', () => {
    expect(
      pathsWhere((node) =>
        ['$ref', 'oneOf', 'anyOf', 'allOf', 'const', 'propertyNames', 'uniqueItems', 'readOnly'].some((key) => key in node),
      ),
    ).toEqual([]);
    expect(pathsWhere((node) => node['additionalProperties'] === false)).toEqual([]);
  });
});

describe('the API', () => {
  it('takes NUL in no text of a spec, because the store takes none and then no later change of the object would count', () => {
    const takesAny = (pattern: string) => {
      const rest = pattern
        .replaceAll(/\\./g, '')
        .replaceAll(/\[\^[^\]]*\]/g, '.')
        .replaceAll(/\[[^\]]*\]/g, '');
      return rest.includes('.') && !/\[\^\\x00/.test(pattern);
    };
    const free = pathsWhere(
      (node, path) =>
        path.includes('.spec') &&
        node['type'] === 'string' &&
        node['enum'] === undefined &&
        (textOf(node['pattern']) === '' || takesAny(textOf(node['pattern'])) || new RegExp(textOf(node['pattern'])).test('a\0b')),
    );
    expect(free).toEqual([]);
  });

  it('says in a sentence what each field is', () => {
    const fields = pathsWhere(
      (node, path) =>
        !path.endsWith('[]') && path.split('.').length > 2 && !/^[A-Z*"1tT].*\.$/s.test(textOf(node['description'])),
    );
    expect(fields).toEqual([]);
  });

  it('bounds each list, map and text', () => {
    expect(pathsWhere((node) => node['type'] === 'array' && node['maxItems'] === undefined)).toEqual([]);
    expect(pathsWhere((node) => typeof node['additionalProperties'] === 'object' && node['maxProperties'] === undefined)).toEqual(
      [],
    );
    expect(
      pathsWhere((node) => node['type'] === 'string' && node['enum'] === undefined && node['maxLength'] === undefined),
    ).toEqual([]);
  });

  it('[S4-5] has no list of selections that may be empty, because empty would read like all', () => {
    const selections = ['scopes', 'endpoints', 'applications', 'channels', 'attributes', 'customerChannels'].map(
      (name) => `ApiKey.spec.${name}`,
    );
    const bounds = allNodes.filter(([path]) => selections.includes(path)).map(([, node]) => node['minItems']);
    expect(bounds).toEqual(selections.map(() => 1));
  });

  it('says how the entries of each list are told apart', () => {
    expect(pathsWhere((node) => node['type'] === 'array' && node['x-kubernetes-list-type'] === undefined)).toEqual([]);
  });

  it.each(apiKinds)('starts every %s as not looked at yet', (kind) => {
    expect(kindTable[kind].status.parse({})).toEqual({
      conditions: [
        {
          type: 'Ready',
          status: 'Unknown',
          reason: 'Pending',
          message: 'Waiting for the operator.',
          lastTransitionTime: '1970-01-01T00:00:00Z',
        },
      ],
    });
    expect(JSON.stringify(toCrd(kind))).toContain('"lastTransitionTime":"1970-01-01T00:00:00Z"');
  });

  it.each(apiKinds)('gives editors a schema of %s without the words of Kubernetes', (kind) => {
    const text = JSON.stringify(toEditorSchema(kind));
    expect(text).not.toContain('x-kubernetes-');
    expect(text).toContain('"additionalProperties":false');
    expect(JSON.parse(text)).toMatchObject({ properties: { kind: { const: kind }, spec: { type: 'object' } } });
  });
});
