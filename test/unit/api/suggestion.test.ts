import { describe, expect, it } from 'vitest';
import { didYouMean } from '../../../operator/src/api/suggestion.ts';

describe('a name that is not known', () => {
  const scopes = ['billing:read', 'billing:write', 'subscribers:read'];

  it.each([
    ['biling:read', scopes, '; did you mean billing:read?'],
    ['Billing:Read', scopes, '; did you mean billing:read?'],
    ['suscriber:read', scopes, '; did you mean subscribers:read?'],
    ['apikey', ['ApiKey', 'KeyOwner'], '; did you mean ApiKey?'],
    ['invoices', scopes, ''],
    ['x', ['y'], '; did you mean y?'],
    ['anything', [], ''],
    ['b'.repeat(1_000_000), scopes, ''],
  ])('gets a suggestion if something is similar: %.20s', (name, known, sentence) => {
    expect(didYouMean(name, known)).toBe(sentence);
  });

  it('is compared with a bounded number of names', () => {
    const many = Array.from({ length: 100_000 }, (_, at) => `endpoint-${at}`);
    expect(didYouMean('endpoint-99999', many)).not.toContain('endpoint-99999');
  });
});
