import { DatabaseError } from 'pg';
import { expect, test } from 'vitest';

import { Failure } from '../../../operator/src/domain/failure.ts';
import { classifyDriverError, storeUnavailable } from '../../../operator/src/store/postgres/fault.ts';

function databaseError(code: string): DatabaseError {
  const error = new DatabaseError('Failing row contains (\\xsecret)', 10, 'error');
  error.code = code;
  error.detail = 'Failing row contains (\\xsecret)';
  error.constraint = 'version_hash_check';
  return error;
}

test.each(['08006', '25006', '28P01', '3D000', '42P01', '42501', '53300', '55P03', '57014', '57P01', '58030'])(
  'waits when the database says %s',
  (code) => {
    const fault = classifyDriverError(databaseError(code));
    expect(fault.kind).toBe('unavailable');
    expect(storeUnavailable(fault)).toMatchObject({
      kind: 'waiting',
      reason: 'StoreUnavailable',
      message: expect.stringContaining(code) as string,
    });
  },
);

test.each([
  ['40001', 'conflict'],
  ['40P01', 'conflict'],
  ['23505', 'unique'],
  ['23514', 'defect'],
  ['42601', 'defect'],
])('sorts %s as %s', (code, kind) => {
  expect(classifyDriverError(databaseError(code)).kind).toBe(kind);
});

test('takes everything without a SQLSTATE for a lost connection', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:5432'), { code: 'ECONNREFUSED' });
  expect(classifyDriverError(refused)).toMatchObject({ kind: 'unavailable', code: 'ECONNREFUSED', connectionLost: true });
  expect(classifyDriverError(new Error('Connection terminated unexpectedly'))).toMatchObject({
    kind: 'unavailable',
    code: 'no answer',
  });
  expect(classifyDriverError('text')).toMatchObject({ kind: 'unavailable', connectionLost: true });
});

test('keeps nothing of what the database quotes', () => {
  const fault = classifyDriverError(databaseError('23514'));
  expect(fault.cause).toBeUndefined();
  expect(`${fault.message} ${fault.stack ?? ''} ${JSON.stringify(fault)}`).not.toContain('secret');
  expect(storeUnavailable(classifyDriverError(databaseError('57014')))).toBeInstanceOf(Failure);
});

test.each([
  ['55P03', 3_000],
  ['57014', 3_000],
  ['08006', undefined],
])('comes back after a held row within seconds, after a lost server when the caller decides: %s', (code, retryAfterMs) => {
  expect(storeUnavailable(classifyDriverError(databaseError(code))).retryAfterMs).toBe(retryAfterMs);
});
