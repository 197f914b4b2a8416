import { describe, expect, it } from 'vitest';

import { notReady, type Conditioned } from '../../../operator/src/standalone/notready.ts';

function object(name: string, status: 'True' | 'False' | 'Unknown', observedGeneration = 1): Conditioned {
  const ready = {
    ...({ type: 'Ready', reason: 'InvalidSpec' } as const),
    status,
    message: `${name} is wrong`,
    observedGeneration,
  };
  return { kind: 'ApiCatalog', metadata: { name, generation: 1 }, status: { conditions: [ready] } };
}

describe('what keys depend on', () => {
  it('is shown with reason and message when it is not Ready', () => {
    expect(notReady([object('good', 'True'), object('bad', 'False'), object('new', 'Unknown')])).toEqual([
      { file: 'ApiCatalog/bad', message: 'InvalidSpec: bad is wrong', level: 'error' },
    ]);
  });

  it('is not shown by a status of an earlier manifest, or without one', () => {
    expect(notReady([object('edited', 'False', 0), { kind: 'KeyOwner', metadata: { name: 'new' } }])).toEqual([]);
  });

  it('is shown at most twenty times; the rest is counted', () => {
    const many = Array.from({ length: 1_234 }, (_, at) => object(`catalog-${String(at)}`, 'False'));
    const faults = notReady(many);
    expect(faults).toHaveLength(21);
    expect(faults.at(-1)).toEqual({ file: 'and 1,214 more objects', message: 'are not Ready', level: 'error' });
  });
});
