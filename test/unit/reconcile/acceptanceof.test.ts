import { describe, expect, it } from 'vitest';
import type { ApiKey } from '../../../operator/src/api/kinds.ts';
import { annotations } from '../../../operator/src/api/meta.ts';
import { acceptanceOf, type AdmissionState } from '../../../operator/src/reconcile/acceptance.ts';
import type { Acceptance } from '../../../operator/src/store/port.ts';
import { observed } from '../../builders/observed.ts';

const { resource: declared } = observed({});
const since = Date.parse('2025-12-31T23:59:00Z');
const admissions: Readonly<Record<string, AdmissionState>> = {
  notRequired: { kind: 'notRequired' },
  inForce: { kind: 'inForce', period: 'present', since },
  away: { kind: 'notInForce', since, why: 'it does not exist' },
};

type ResourceChange = Partial<ApiKey['metadata']>;

/** The key of the builders: created a day ago, at generation 2. */
function resource(change: ResourceChange = {}): ApiKey {
  return { ...declared, metadata: { ...declared.metadata, generation: 2, ...change } };
}

const rows: Readonly<Record<string, { readonly accepted?: Acceptance } | undefined>> = {
  noRow: undefined,
  noAcceptance: {},
  sameHere: { accepted: { generation: 2, requests: '', period: 'present' } },
  sameBefore: { accepted: { generation: 2, requests: '', period: 'before' } },
  editedHere: { accepted: { generation: 1, requests: '', period: 'present' } },
  editedBefore: { accepted: { generation: 1, requests: '', period: 'before' } },
  askedHere: { accepted: { generation: 2, requests: '["now",null,null]', period: 'present' } },
  askedBefore: { accepted: { generation: 2, requests: '["now",null,null]', period: 'before' } },
};

/** `accepted <period>`, `unchecked` or `held`. */
function judge(row: string, admission: string, checked: boolean, change: ResourceChange = {}): string {
  const key = rows[row];
  const state = admissions[admission] ?? { kind: 'notRequired' };
  const confirmIn = (period: string): string => `confirms-${period}`;
  const found = acceptanceOf({ resource: resource(change), key, admission: state, checked, confirmIn });
  return found.kind === 'accepted' ? `accepted ${found.acceptance.period}` : found.kind;
}

describe('a state of an ApiKey', () => {
  // What the store knows; then: no policy is required; it is in force, unchecked and checked; it is away, unchecked and checked.
  it.each([
    ['noRow', 'accepted off', 'unchecked', 'held', 'unchecked', 'held'],
    ['noAcceptance', 'accepted off', 'unchecked', 'held', 'unchecked', 'held'],
    ['sameHere', 'accepted off', 'accepted present', 'accepted present', 'accepted present', 'accepted present'],
    ['sameBefore', 'accepted off', 'accepted before', 'accepted before', 'accepted before', 'accepted before'],
    ['editedHere', 'accepted off', 'unchecked', 'accepted present', 'unchecked', 'held'],
    ['editedBefore', 'accepted off', 'unchecked', 'held', 'unchecked', 'held'],
    ['askedHere', 'accepted off', 'unchecked', 'accepted present', 'unchecked', 'held'],
    ['askedBefore', 'accepted off', 'unchecked', 'held', 'unchecked', 'held'],
  ])('is judged by what was accepted: %s', (row, off, inForce, inForceChecked, away, awayChecked) => {
    expect([
      judge(row, 'notRequired', false),
      judge(row, 'inForce', false),
      judge(row, 'inForce', true),
      judge(row, 'away', false),
      judge(row, 'away', true),
    ]).toEqual([off, inForce, inForceChecked, away, awayChecked]);
  });

  it.each([
    ['a minute before the period began', '2025-12-31T23:58:00Z', 'held'],
    ['in the second in which it began', '2025-12-31T23:59:00Z', 'held'],
    ['a second later', '2025-12-31T23:59:01Z', 'accepted present'],
  ])('without a row is judged by its creation: %s', (_, creationTimestamp, outcome) => {
    expect(judge('noRow', 'inForce', true, { creationTimestamp })).toBe(outcome);
    expect(judge('noAcceptance', 'inForce', true, { creationTimestamp })).toBe('held');
  });

  it.each([
    ['the value of this period', 'confirms-present', 'accepted present'],
    ['the value of another period', 'confirms-before', 'held'],
  ])('is confirmed by %s', (_, value, outcome) => {
    const change = { annotations: { [annotations.confirm]: value } };
    for (const row of ['noRow', 'noAcceptance', 'editedBefore']) {
      expect(judge(row, 'inForce', true, change)).toBe(outcome);
      expect(judge(row, 'inForce', false, change)).toBe('unchecked');
      expect(judge(row, 'away', true, change)).toBe('held');
    }
  });

  it('says since when, why and how it is confirmed', () => {
    const input = { resource: resource(), key: rows['editedBefore'], checked: true, confirmIn: () => '0123456789abcdef' };
    expect(acceptanceOf({ ...input, admission: admissions['inForce'] ?? { kind: 'notRequired' } })).toEqual({
      kind: 'held',
      message: expect.stringMatching(
        /only since 2025-12-31T23:59:00Z: .* kubectl annotate apikey billing -n payments --overwrite keywright\.dev\/confirm=0123456789abcdef$/,
      ) as string,
    });
    expect(acceptanceOf({ ...input, admission: admissions['away'] ?? { kind: 'notRequired' } })).toEqual({
      kind: 'held',
      message: expect.stringContaining('not been in force since 2025-12-31T23:59:00Z (it does not exist)') as string,
    });
  });
});
