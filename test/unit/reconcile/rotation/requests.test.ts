import { describe, expect, it } from 'vitest';
import {
  parseCompromised,
  rememberedForm,
  requestOf,
  type RequestSeen,
} from '../../../../operator/src/reconcile/rotation/requests.ts';

function request(given: Partial<RequestSeen>) {
  return requestOf({ present: undefined, handled: undefined, first: false, longest: 253, ...given });
}

describe('a request annotation', () => {
  it.each([
    ['without a value asks for nothing', {}, { kind: 'none' }],
    ['with a new value asks', { present: 'a' }, { kind: 'asked', value: 'a' }],
    ['with another value than the handled one asks again', { present: 'b', handled: 'a' }, { kind: 'asked', value: 'b' }],
    ['is handled once', { present: 'a', handled: 'a' }, { kind: 'none' }],
    ['is compared as text', { present: 'a ', handled: 'a' }, { kind: 'asked', value: 'a ' }],
    ['may be empty', { present: '' }, { kind: 'asked', value: '' }],
    ['that was taken away is forgotten', { handled: 'a' }, { kind: 'remember', value: undefined }],
    ['that is there at the first mint counts as handled', { present: 'a', first: true }, { kind: 'remember', value: 'a' }],
    ['that is too long to be remembered is refused', { present: 'a'.repeat(254) }, { kind: 'tooLong' }],
    ['with a NUL is refused: the store takes none', { present: 'a\0' }, { kind: 'notStorable' }],
    ['with half of a character is refused', { present: '\ud800' }, { kind: 'notStorable' }],
    ['with a whole one asks', { present: '\ud83d\ude00' }, { kind: 'asked', value: '\ud83d\ude00' }],
    ['that is just short enough asks', { present: 'a'.repeat(253) }, { kind: 'asked', value: 'a'.repeat(253) }],
  ] as const)('%s', (_what, given, found) => {
    expect(request(given)).toEqual(found);
  });

  it('may ask with one value twice when it was taken away in between', () => {
    const forgotten = request({ handled: 'again' });
    expect(forgotten.kind === 'remember' ? request({ present: 'again', handled: forgotten.value }) : forgotten).toEqual({
      kind: 'asked',
      value: 'again',
    });
  });
});

describe('the annotation compromised', () => {
  const [older, newer, foreign] = ['7Gq2mW0pX4tZ', '8Hr3nX1qY5uA', '9Is4oY2rZ6vB'];
  const live = [older, newer];

  it.each([
    ['one version', newer, { keyIds: [newer], unknown: [], malformed: 0 }],
    ['several versions', `${older}, ${newer}`, { keyIds: live, unknown: [], malformed: 0 }],
    ['all versions', 'all', { keyIds: live, unknown: [], malformed: 0 }],
    ['all versions, whatever stands beside', `${foreign},all`, { keyIds: live, unknown: [foreign], malformed: 0 }],
    ['a key id of nobody', foreign, { keyIds: [], unknown: [foreign], malformed: 0 }],
    ['what can be understood of a list', `${newer},?,${foreign}`, { keyIds: [newer], unknown: [foreign], malformed: 1 }],
    ['one version, also when named twice', `${newer},${newer}`, { keyIds: [newer], unknown: [], malformed: 0 }],
    ['nothing by an empty text', '', { keyIds: [], unknown: [], malformed: 1 }],
    ['nothing by another spelling of all', 'ALL', { keyIds: [], unknown: [], malformed: 1 }],
  ] as const)('names %s', (_what, value, found) => {
    expect(parseCompromised(value, live)).toEqual(found);
  });

  it('that holds a whole key by mistake is not repeated anywhere', () => {
    const key = `acme_live_${newer}_0123456789abcdefghijklmnopqrstuvABCDEF`;
    expect(JSON.stringify(parseCompromised(key, live))).toBe('{"keyIds":[],"unknown":[],"malformed":1}');
  });

  it('is remembered without the whole key that somebody pasted', () => {
    const key = `acme_live_${newer}_0123456789abcdefghijklmnopqrstuvABCDEF`;
    const asked = `${newer}, ${key}`;
    expect(rememberedForm(asked)).toBe(`${newer},malformed`);
    expect(parseCompromised(rememberedForm(asked), live)).toEqual(parseCompromised(asked, live));
    expect(rememberedForm(' all')).toBe(' all');
  });
});
