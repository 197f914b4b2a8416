import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { parseBytes } from '../../../../operator/src/resources/files/parser.ts';
import type { ManifestText } from '../../../../operator/src/resources/files/content.ts';
import { parseManifestText } from '../../../../operator/src/resources/files/documents.ts';
import { readDocuments } from '../../../../operator/src/resources/files/yamltext.ts';
import { badManifests } from '../../../builders/badmanifests.ts';
import { keyText } from '../../../builders/manifestfolder.ts';

const faultOf = (text: string): string => {
  const parsed = parseManifestText(text);
  return parsed.ok ? `fine: ${parsed.documents.length}` : `${parsed.fault.line} ${parsed.fault.message}`;
};
const valuesIn = (text: string): readonly unknown[] => [...readDocuments(text)].map(({ value }) => value);
const namespaceOf = (annotations: Readonly<Record<string, string>>) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'x', annotations },
});

describe('a document as plain data', () => {
  it('says what was written, whatever the texts are', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string()), (texts) => {
        expect(valuesIn(stringify({ texts }, { defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'QUOTE_DOUBLE' }))).toEqual([
          { texts },
        ]);
      }),
    );
  });

  it('takes what an alias names, the last one before it', () => {
    const text = 'apiVersion: v1\nkind: Namespace\nmetadata: { name: x, labels: { a: &a one, b: *a, c: &a two, d: *a } }\n';
    expect(parseManifestText(text)).toMatchObject({
      documents: [{ object: { metadata: { labels: { a: 'one', b: 'one', c: 'two', d: 'two' } } } }],
    });
  });

  it('refuses a repeated key, a key that is not a string, and an alias of itself or of nothing, each with its line', () => {
    expect(faultOf('a: 1\nb:\n  c: 1\n  "c": 2\n')).toBe('4 is not valid YAML: the same key twice in one map');
    expect(faultOf('a: 1\n? [b]\n: 2\n')).toBe('2 is not valid YAML: a key that is not a string');
    expect(faultOf('a: 1\nb: &b [*b]\n')).toBe('2 is not valid YAML: the alias names no anchor');
    expect(faultOf('a: 1\nb: *c\n')).toBe('2 is not valid YAML: the alias names no anchor');
  });

  it('refuses what aliases blow up, in values and in text', () => {
    const bad = badManifests(200_000);
    for (const name of ['billion laughs', 'annotations of aliased text'])
      expect(faultOf(bad[name] ?? '')).toMatch(/it is nested too deeply, or its aliases make too much of it$/);
  });

  it('changes no prototype, and takes <<, merged or not, for what kubectl takes it', () => {
    expect(Object.entries((valuesIn('a: { __proto__: { b: c } }') as [{ a: object }])[0].a)).toEqual([['__proto__', { b: 'c' }]]);
    expect(valuesIn('a: { <<: { __proto__: { b: c } } }')).toEqual(valuesIn('a: { __proto__: { b: c } }'));
    expect({}).not.toHaveProperty('b');
  });

  it('refuses what many merges blow up', () => {
    const members = Array.from({ length: 4_000 }, (_, member) => `m${member}: 1`).join(', ');
    const merges = Array.from({ length: 20_000 }, () => '<<: *a').join(', ');
    // Without a bound in the merge it would set 80,000,000 members.
    expect(faultOf(`a: &a { ${members} }\nb: { ${merges} }\n`)).toMatch(/its aliases make too much of it$/);
    // Each map of the list is small enough alone; the list must stop them before its end, too.
    const maps = Array.from({ length: 20_000 }, () => '{ <<: *a }').join(', ');
    expect(faultOf(`a: &a { ${members} }\nb: [${maps}]\n`)).toMatch(/its aliases make too much of it$/);
  });
});

describe('what a file says', () => {
  it('is bounded for the worst 40 KB of every kind: messages in number and length', () => {
    for (const [name, text] of Object.entries(badManifests(40_000))) {
      const parsed = parseBytes(new TextEncoder().encode(text));
      if (!parsed.ok) expect(parsed.fault.message.length, name).toBeLessThan(100);
      else {
        expect(parsed.faults.length, name).toBeLessThanOrEqual(20);
        for (const { message } of parsed.faults) expect(message.length, name).toBeLessThanOrEqual(300);
      }
    }
  });

  it('counts every fault that it does not list', () => {
    const parsed = parseManifestText(badManifests(20_000)['unknown fields'] ?? '') as Extract<ManifestText, { ok: true }>;
    const fields = (badManifests(20_000)['unknown fields'] ?? '').split('\n').length - 4;
    // What a spec must have is missing, too.
    expect(parsed.faults.length + parsed.more).toBeGreaterThanOrEqual(fields);
  });

  it('refuses labels or annotations that the API server would refuse for their size', () => {
    const text = (bytes: number) => stringify(namespaceOf({ a: 'x'.repeat(bytes) }));
    expect(parseManifestText(text(262_143))).toMatchObject({ faults: [] });
    expect(parseManifestText(text(262_144))).toMatchObject({
      faults: [{ message: 'metadata.annotations: must have at most 256 KiB in all' }],
    });
  });

  it('counts lines over JSON objects one after another, from an empty first line on', () => {
    const owner = (name: string) => JSON.stringify({ ...namespaceOf({}), metadata: { name } }, undefined, 1);
    expect(parseManifestText(`\n${owner('a')}\n${owner('b')}`)).toMatchObject({ documents: [{ line: 2 }, { line: 9 }] });
  });

  it('keeps the lines of what a later check may blame', () => {
    expect(parseManifestText(keyText('one'))).toMatchObject({ documents: [{ line: 1 }] });
  });
});
