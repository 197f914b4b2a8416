import { describe, expect, it } from 'vitest';
import { selectsNamespace, type NamespaceSelection } from '../../../operator/src/domain/namespaces.ts';

const payments = { name: 'payments', labels: { team: 'money', tier: 'gold' } };

describe('a selection of namespaces', () => {
  it.each<[string, NamespaceSelection | undefined, boolean]>([
    ['nothing said', undefined, false],
    ['an empty selection', {}, false],
    ['an empty list of names', { names: [] }, false],
    ['its name', { names: ['other', 'payments'] }, true],
    ['another name', { names: ['pay'] }, false],
    ['all', { all: true }, true],
    ['all switched off', { all: false }, false],
    ['an empty selector', { selector: {} }, true],
    ['a label', { selector: { matchLabels: { team: 'money' } } }, true],
    ['one label of two', { selector: { matchLabels: { team: 'money', tier: 'silver' } } }, false],
    ['In', { selector: { matchExpressions: [{ key: 'tier', operator: 'In', values: ['gold'] }] } }, true],
    ['In with an absent label', { selector: { matchExpressions: [{ key: 'zone', operator: 'In', values: ['gold'] }] } }, false],
    ['NotIn', { selector: { matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['gold'] }] } }, false],
    [
      'NotIn with an absent label',
      { selector: { matchExpressions: [{ key: 'zone', operator: 'NotIn', values: ['gold'] }] } },
      true,
    ],
    ['Exists', { selector: { matchExpressions: [{ key: 'tier', operator: 'Exists' }] } }, true],
    ['DoesNotExist', { selector: { matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] } }, false],
    ['names or selector', { names: ['other'], selector: { matchLabels: { team: 'money' } } }, true],
    [
      'labels and expressions together',
      { selector: { matchLabels: { team: 'money' }, matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] } },
      false,
    ],
  ])('covers what it names and nothing more: %s', (_what, selection, covered) => {
    expect(selectsNamespace(selection, payments)).toBe(covered);
  });
});
