import { describe, expect, it } from 'vitest';
import { toCrd } from '../../../operator/src/api/crd.ts';
import { crdGaps } from '../../../operator/src/api/crdgaps.ts';
import { apiKinds } from '../../../operator/src/api/kinds.ts';

/** A copy of our own CRD that a test may change. */
interface Editable {
  spec: { versions: { name: string; served: boolean; schema?: { openAPIV3Schema: Node } }[] };
}
interface Node {
  properties: Record<string, Node>;
  items: Node;
}

function edited(edit: (root: Node) => void): Editable {
  const crd = structuredClone(toCrd('ApiKey')) as unknown as Editable;
  const root = crd.spec.versions[0]?.schema?.openAPIV3Schema;
  if (root === undefined) throw new Error('no schema');
  edit(root);
  return crd;
}
const at = (root: Node, ...path: readonly string[]) =>
  path.reduce<Node>((node, name) => (name === '[]' ? node.items : (node.properties[name] as Node)), root);

describe('an installed CRD', () => {
  it.each(apiKinds)('of this version fits: %s', (kind) => {
    expect(crdGaps(kind, toCrd(kind))).toEqual([]);
  });

  it('that is older names every field that it lacks, in spec and status, in lists too', () => {
    const older = edited((root) => {
      delete at(root, 'spec', 'rotation').properties['windows'];
      delete at(root, 'spec', 'deliverTo', '[]').properties['path'];
      delete at(root, 'status').properties['revokedKeyIds'];
    });
    expect(crdGaps('ApiKey', older)).toEqual(['spec.rotation.windows', 'spec.deliverTo[].path', 'status.revokedKeyIds']);
  });

  it('that is newer fits, and one that keeps what it does not know', () => {
    const newer = edited((root) => (at(root, 'spec').properties['comesLater'] = at(root, 'spec', 'owner')));
    expect(crdGaps('ApiKey', newer)).toEqual([]);
    const open = edited((root) => {
      root.properties['status'] = { 'x-kubernetes-preserve-unknown-fields': true } as unknown as Node;
    });
    expect(crdGaps('ApiKey', open)).toEqual([]);
  });

  it.each([
    ['another version only', { spec: { versions: [{ name: 'v1', served: true, schema: { openAPIV3Schema: {} } }] } }],
    ['the version without serving it', { spec: { versions: [{ ...edited(() => undefined).spec.versions[0], served: false }] } }],
    ['nothing that we know', { spec: null }],
    ['nothing at all', 'x'],
  ])('with %s lacks the version', (_what, installed) => {
    expect(crdGaps('ApiKey', installed)).toEqual(['v1alpha1']);
  });
});
