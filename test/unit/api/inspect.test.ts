import { describe, expect, it } from 'vitest';
import { inspectAdmission, isContinuation } from '../../../operator/src/api/admission/inspect.ts';
import { livePair, spelledOut, weakenings } from './weakenings.ts';

describe('the admission policy', () => {
  it('is in force as the API server returns it, under an identity of both objects', () => {
    const { policy, binding } = livePair();
    expect(inspectAdmission(policy, binding)).toEqual({ kind: 'inForce', identity: 'uid-p:1:uid-b:3' });
  });

  it.each(spelledOut)('is in force with $title', ({ edit }) => {
    const pair = livePair();
    edit(pair);
    expect(inspectAdmission(pair.policy, pair.binding)).toMatchObject({ kind: 'inForce' });
  });

  it.each(weakenings)('is not in force with $title', ({ edit, says }) => {
    const pair = livePair();
    edit(pair);
    expect(inspectAdmission(pair.policy, pair.binding)).toEqual({
      kind: 'notInForce',
      why: expect.stringContaining(says) as string,
    });
  });

  it.each([
    ['without the policy', undefined, livePair().binding, 'the ValidatingAdmissionPolicy keywright does not exist'],
    ['without the binding', livePair().policy, undefined, 'the ValidatingAdmissionPolicyBinding keywright does not exist'],
    ['with an answer of no use', 'forbidden', 'forbidden', 'the ValidatingAdmissionPolicy keywright does not exist'],
  ])('is not in force %s', (_title, policy, binding, why) => {
    expect(inspectAdmission(policy, binding)).toEqual({ kind: 'notInForce', why });
  });

  it.each(['uid', 'generation', 'name'])('is not in force while metadata.%s of an object is unknown', (member) => {
    for (const which of ['policy', 'binding'] as const) {
      const pair = livePair();
      delete pair[which].metadata[member];
      expect(inspectAdmission(pair.policy, pair.binding)).toEqual({
        kind: 'notInForce',
        why: expect.stringContaining(`metadata.${member} is missing`) as string,
      });
    }
  });

  it.each(['policy', 'binding'] as const)('is not in force while its %s is being deleted', (which) => {
    const pair = livePair();
    pair[which].metadata['deletionTimestamp'] = '2026-11-21T00:00:00Z';
    expect(inspectAdmission(pair.policy, pair.binding)).toMatchObject({
      kind: 'notInForce',
      why: expect.stringContaining('is being deleted') as string,
    });
  });
});

describe('an identity of the admission policy', () => {
  it.each([
    ['itself', 'p:4:b:2', true],
    ['one write of the policy', 'p:5:b:2', true],
    ['one write of the binding', 'p:4:b:3', true],
    ['one write of each', 'p:5:b:3', true],
    ['two writes of the policy', 'p:6:b:2', false],
    ['two writes of the binding', 'p:4:b:4', false],
    ['an earlier state', 'p:3:b:2', false],
    ['another policy', 'q:5:b:2', false],
    ['another binding', 'p:4:c:3', false],
    ['what is no identity', 'p:5', false],
  ])('is continued by %s: %s %s', (_title, after, outcome) => {
    expect(isContinuation('p:4:b:2', after)).toBe(outcome);
  });
});
