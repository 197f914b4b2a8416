import { describe, expect, test } from 'vitest';

import { lastManager } from '../../../operator/src/api/managers.ts';

const rotate = ['metadata', 'annotations', 'keywright.dev/rotate'];
const suspend = ['spec', 'suspend'];

/** As an API server answers after `kubectl apply`, `kubectl edit`, `kubectl annotate` and a status of ours. */
const managedFields = [
  {
    manager: 'argocd-controller',
    operation: 'Apply',
    apiVersion: 'keywright.dev/v1alpha1',
    time: '2026-01-01T00:00:00Z',
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:spec': { 'f:owner': {}, 'f:deliverTo': { 'k:{"name":"local"}': { '.': {}, 'f:name': {} } } } },
  },
  { manager: 'kubectl-edit', operation: 'Update', time: '2026-01-02T00:00:00Z', fieldsV1: { 'f:spec': { 'f:suspend': {} } } },
  {
    manager: 'kubectl-annotate',
    operation: 'Update',
    time: '2026-01-01T12:00:00Z',
    fieldsV1: { 'f:metadata': { 'f:annotations': { '.': {}, 'f:keywright.dev/rotate': {} } } },
  },
  {
    manager: 'keywright',
    operation: 'Apply',
    time: '2026-01-03T00:00:00Z',
    subresource: 'status',
    fieldsV1: { 'f:status': {}, 'f:spec': {} },
  },
];

describe('who wrote a field', () => {
  test.each([
    ['of the spec', [suspend], 'kubectl-edit', '2026-01-02T00:00:00Z'],
    ['of several: the last one', [['spec', 'owner'], suspend], 'kubectl-edit', '2026-01-02T00:00:00Z'],
    ['that is a list', [['spec', 'deliverTo']], 'argocd-controller', '2026-01-01T00:00:00Z'],
    ['that is an annotation', [rotate], 'kubectl-annotate', '2026-01-01T12:00:00Z'],
    ['that was taken away: who wrote beside it last', [['spec', 'scopes']], 'kubectl-edit', '2026-01-02T00:00:00Z'],
    ['the whole spec, but never its status', [['spec']], 'kubectl-edit', '2026-01-02T00:00:00Z'],
  ])('%s', (_title, paths, manager, time) => {
    expect(lastManager(managedFields, paths)).toEqual({ manager, time });
  });

  test.each([
    ['nothing', undefined],
    ['no list', { manager: 'x' }],
    ['entries of another shape', [1, null, { manager: 3 }, { time: 'x' }, { manager: 'x', fieldsV1: 'y' }]],
    ['members of every object', [{ manager: 'x', fieldsV1: JSON.parse('{"f:spec":{"__proto__":{}}}') as unknown }]],
  ])('is not told by %s', (_title, fields) => {
    expect(lastManager(fields, [['status', 'toString']])).toBeUndefined();
  });

  test('is a name that a database can keep', () => {
    const named = (manager: string) => lastManager([{ manager, fieldsV1: { 'f:spec': {} } }], [['spec']])?.manager;
    expect(named('a\u0000b\nc\ud800d')).toMatch(/^abc.?d$/);
    expect(named('x'.repeat(500))).toHaveLength(128);
    expect(named(`${'x'.repeat(127)}😀`)?.isWellFormed()).toBe(true);
    expect(named('\u0000')).toBeUndefined();
  });
});
