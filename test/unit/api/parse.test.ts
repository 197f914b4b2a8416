import { describe, expect, it } from 'vitest';
import { toCrd } from '../../../operator/src/api/crd.ts';
import type { ApiKind } from '../../../operator/src/api/kinds.ts';
import { apiKinds } from '../../../operator/src/api/kinds.ts';
import { parseManifestObject, validateUpdate } from '../../../operator/src/api/parse.ts';
import type { CelValidation } from '../../../operator/src/api/rule.ts';
import type { Edits } from './cases.ts';
import { cases, changeCases, manifest } from './cases.ts';

function parsed(kind: ApiKind, edits: Edits = {}) {
  const result = parseManifestObject(kind, manifest(kind, edits));
  if (!result.ok) throw new Error(JSON.stringify(result.errors));
  return result.object;
}

const faultsOf = (kind: ApiKind, raw: unknown) => {
  const result = parseManifestObject(kind, raw);
  return result.ok ? [] : result.errors;
};

const updateFaults = (one: (typeof changeCases)[number]) =>
  validateUpdate(one.kind, parsed(one.kind, one.before).spec, parsed(one.kind, one.after).spec);

describe('a manifest', () => {
  it.each(cases.filter(({ refuses }) => refuses === undefined))('is taken with $title', ({ kind, edits }) => {
    expect(faultsOf(kind, manifest(kind, edits))).toEqual([]);
  });

  it.each(cases.filter(({ refuses }) => refuses !== undefined))(
    'is refused with $title, and names $refuses',
    ({ kind, edits, refuses }) => {
      const paths = faultsOf(kind, manifest(kind, edits)).map(({ path }) => path);
      expect(paths.length).toBeGreaterThan(0);
      expect(paths.filter((path) => !path.startsWith(refuses ?? '-'))).toEqual([]);
    },
  );

  it('gets the defaults of what it leaves out', () => {
    expect(parsed('ApiKey').spec).toMatchObject({
      rotation: { onExpiry: 'Rotate', overlap: '24h', retireOldKey: 'WhenUnused', quietPeriod: '10m', maxOverlap: '168h' },
      suspend: false,
    });
    expect(parsed('ApiCatalog').spec).toMatchObject({
      credentials: { headers: [{ name: 'Authorization', scheme: 'Bearer' }, { name: 'X-API-Key' }], foreignBearer: 'Reject' },
      policy: { defaultExpiry: '8760h', neverExpires: 'Forbidden', expiredStatus: 403, minOverlap: '5m', requireHttps: true },
    });
  });

  it('[S4-5] grants nothing that it does not say', () => {
    expect(parsed('KeyOwner', { 'spec.grants': undefined, 'spec.allowedNamespaces': undefined }).spec).toMatchObject({
      grants: [],
      allowedNamespaces: {},
    });
    expect(parsed('KeyOwner').spec).toMatchObject({
      grants: [{ admin: false, accessTypes: [], scopes: [], endpoints: [], channels: [] }],
    });
  });

  it('keeps only what a manifest says of a copied live object', () => {
    const live = manifest('ApiKey', { 'metadata.uid': '1', 'metadata.labels': { a: 'b' }, status: { conditions: [] } });
    expect(parseManifestObject('ApiKey', live)).toMatchObject({
      ok: true,
      object: { metadata: { name: 'sample', namespace: 'default', labels: { a: 'b' } } },
    });
    expect(JSON.stringify(parseManifestObject('ApiKey', live))).not.toContain('uid');
  });

  it('is told all its faults at once, each in a sentence', () => {
    const raw = manifest('ApiKey', {
      'spec.displayName': 'x'.repeat(101),
      'spec.owner': undefined,
      'spec.typo': 1,
      'spec.scope': ['a'],
      'spec.suspend': 'yes',
      'spec.channels': [],
      'spec.revoked': { reason: 'Bored' },
    });
    expect(faultsOf('ApiKey', raw).map(({ path, message }) => `${path}: ${message}`)).toEqual([
      'spec.displayName: at most 100 characters',
      'spec.owner: is required',
      'spec.channels: must not be empty: at least 1 entry, or leave the field out',
      'spec.suspend: must be true or false, not a text',
      'spec.revoked.reason: must be "Unspecified" or "KeyCompromise" or "Superseded" or "CessationOfOperation" or "PrivilegeWithdrawn"',
      'spec.typo: is no known field',
      'spec.scope: is no known field; did you mean scopes?',
    ]);
  });

  it('may not mean all channels by a field without a value', () => {
    expect(faultsOf('ApiKey', manifest('ApiKey', { 'spec.channels': null }))).toMatchObject([
      { path: 'spec.channels', message: 'must be a list, not nothing' },
    ]);
  });

  it('of a cluster kind has no namespace', () => {
    expect(faultsOf('KeyOwner', manifest('KeyOwner', { 'metadata.namespace': 'a' }))).toMatchObject([
      { path: 'metadata.namespace', message: 'must be left out: the kind belongs to no namespace' },
    ]);
  });

  it.each([undefined, null, 3, 'text', [], {}])('that is %j is a fault, never a crash', (raw) => {
    expect(faultsOf('ApiKey', raw).length).toBeGreaterThan(0);
  });
});

describe('a change', () => {
  it.each(changeCases.filter(({ refuses }) => refuses === undefined))('is taken: $title', (one) => {
    expect(updateFaults(one)).toEqual([]);
  });

  it.each(changeCases.filter(({ refuses }) => refuses !== undefined))('is refused: $title, and names $refuses', (one) => {
    expect(updateFaults(one).map(({ path }) => path)).toContain(one.refuses);
  });
});

describe('a rule over several fields', () => {
  it('has a case that it refuses', () => {
    const seen = new Set([
      ...cases.flatMap(({ kind, edits }) => faultsOf(kind, manifest(kind, edits)).map(({ message }) => message)),
      ...changeCases.flatMap((one) => updateFaults(one).map(({ message }) => message)),
    ]);
    // A duration's bounds stand on dozens of fields; their cases are those above.
    const rules = [...new Set(apiKinds.flatMap((kind) => validationsIn(toCrd(kind))))].filter(
      (message) => !message.includes('a duration from'),
    );
    expect(rules.filter((message) => !seen.has(message))).toEqual([]);
    expect(rules.length).toBeGreaterThan(15);
  });
});

function validationsIn(node: unknown): readonly string[] {
  if (typeof node !== 'object' || node === null) return [];
  const own = (node as { 'x-kubernetes-validations'?: readonly CelValidation[] })['x-kubernetes-validations'] ?? [];
  return [...own.map(({ message }) => message), ...Object.values(node).flatMap(validationsIn)];
}
