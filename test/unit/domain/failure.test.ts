import { describe, expect, it } from 'vitest';
import { Failure, stalled, transient, waiting } from '../../../operator/src/domain/failure.ts';
import { formatLocation, formatRef } from '../../../operator/src/domain/key.ts';
import { reasons } from '../../../operator/src/domain/reason.ts';

describe('a failure', () => {
  it('says what it asks for, why in one word of the vocabulary, and nothing of its provider', () => {
    const failure = waiting('StoreUnavailable', 'the database does not answer', 5_000);
    expect(failure).toBeInstanceOf(Failure);
    expect({ ...failure }).toMatchObject({ kind: 'waiting', reason: 'StoreUnavailable', retryAfterMs: 5_000 });
    expect(failure.cause).toBeUndefined();
    expect([stalled('InvalidSpec', 'x').kind, transient('ConflictRetry', 'x').kind]).toEqual(['stalled', 'transient']);
    expect(stalled('InvalidSpec', 'x').retryAfterMs).toBeUndefined();
  });
});

describe('the vocabulary of reasons', () => {
  it.each(Object.entries(reasons))('is made of words that a condition takes, each with its sentence: %s', (reason, sentence) => {
    expect(reason).toMatch(/^[A-Z][A-Za-z0-9]{0,62}$/);
    expect(sentence).toMatch(/^[A-Z].*\.$/);
  });
});

describe('a name and a location as text', () => {
  it('are one text each, and differ where the things differ', () => {
    expect(formatRef({ namespace: 'payments', name: 'billing' })).toBe('payments/billing');
    expect(formatLocation({ destinationUid: 'a', path: 'b/c' })).toBe('a:b/c');
    expect(formatLocation({ destinationUid: 'a', path: 'b/c' })).not.toBe(formatLocation({ destinationUid: 'a2', path: 'b/c' }));
  });
});
