import { describe, expect, it } from 'vitest';
import { pendingCondition } from '../../../operator/src/api/conditions.ts';
import { kstatusOf, type KStatusObject } from '../../harness/kstatus.ts';

const said = (...conditions: string[]) =>
  conditions.map((one) => {
    const [type = '', status = ''] = one.split('=');
    return { type, status };
  });

/** Cases of cli-utils' own table (pkg/kstatus/status/status_compute_test.go), as far as they concern custom resources. */
const cases: readonly (readonly [string, KStatusObject, string])[] = [
  ['without a status', { metadata: { generation: 1 } }, 'Current'],
  ['without any condition that is known', { metadata: {}, status: { conditions: said('Other=False') } }, 'Current'],
  ['Ready', { metadata: { generation: 1 }, status: { conditions: said('Ready=True') } }, 'Current'],
  ['not Ready', { metadata: { generation: 1 }, status: { conditions: said('Ready=False') } }, 'InProgress'],
  ['Ready or not, nobody knows', { metadata: { generation: 1 }, status: { conditions: said('Ready=Unknown') } }, 'InProgress'],
  ['Reconciling', { metadata: {}, status: { conditions: said('Ready=True', 'Reconciling=True') } }, 'InProgress'],
  ['Stalled', { metadata: {}, status: { conditions: said('Ready=True', 'Stalled=True') } }, 'Failed'],
  ['neither', { metadata: {}, status: { conditions: said('Reconciling=False', 'Stalled=False', 'Ready=True') } }, 'Current'],
  [
    'of another generation',
    { metadata: { generation: 2 }, status: { observedGeneration: 1, conditions: said('Stalled=True') } },
    'InProgress',
  ],
  [
    'being deleted',
    { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' }, status: { conditions: said('Stalled=True') } },
    'Terminating',
  ],
];

describe('kstatus', () => {
  it.each(cases)('of an object %s', (_title, object, expected) => {
    expect(kstatusOf(object)).toBe(expected);
  });

  it('takes no object of ours for current before it was looked at: that is what the default of the schema is for', () => {
    expect(kstatusOf({ metadata: { generation: 1 }, status: { conditions: [pendingCondition] } })).toBe('InProgress');
  });
});
