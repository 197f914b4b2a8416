import { describe, expect, it } from 'vitest';

import type { KubeObject } from '../../../operator/src/api/meta.ts';
import { notReady } from '../../../operator/src/standalone/notready.ts';

function object(name: string, status?: 'True' | 'False' | 'Unknown', observedGeneration = 1, kind = 'ApiCatalog'): KubeObject {
  const ready = { type: 'Ready', reason: 'InvalidSpec', status, message: `${name} is wrong`, observedGeneration };
  return {
    ...{ apiVersion: 'keywright.dev/v1alpha1', kind, spec: {} },
    metadata: { name, uid: name, resourceVersion: '1', generation: 1 },
    ...(status === undefined ? {} : { status: { conditions: [ready] } }),
  };
}

describe('what keys depend on', () => {
  it('is shown with reason and message when it is not Ready', () => {
    expect(notReady([object('good', 'True'), object('bad', 'False'), object('new', 'Unknown')])).toEqual([
      { file: 'ApiCatalog/bad', message: 'InvalidSpec: bad is wrong', level: 'error' },
    ]);
  });

  it('is not shown by a status of an earlier manifest, or without one; nor are ApiKeys, which have their own rows', () => {
    const key = object('key', 'False', 1, 'ApiKey');
    expect(notReady([object('edited', 'False', 0), object('new', undefined, 1, 'KeyOwner'), key])).toEqual([]);
  });

  it('is shown at most twenty times, in order; the rest is counted', () => {
    const many = Array.from({ length: 1_234 }, (_, at) => object(`catalog-${String(at).padStart(4, '0')}`, 'False')).reverse();
    const faults = notReady(many);
    expect(faults).toHaveLength(21);
    expect(faults[0]?.file).toBe('ApiCatalog/catalog-0000');
    expect(faults.at(-1)).toEqual({ file: 'and 1,214 more objects', message: 'are not Ready', level: 'error' });
  });
});
