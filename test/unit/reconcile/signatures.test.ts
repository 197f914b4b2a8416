import { describe, expect, it } from 'vitest';
import type { ObjectMeta } from '../../../operator/src/api/meta.ts';
import { askedBy, signatureOf } from '../../../operator/src/reconcile/signatures.ts';

const key: ObjectMeta = { namespace: 'payments', name: 'billing', uid: 'u', resourceVersion: '1', generation: 1 };
const large = 'x'.repeat(256 * 1024);

describe.each([
  ['what an ApiKey asks for', askedBy],
  ['what of it matters to a plan', (metadata: ObjectMeta) => signatureOf('ApiKey', metadata)],
])('%s', (_what, of) => {
  it('is not changed by annotations and labels that need no right of ours', () => {
    for (const annotations of [{ 'example.com/note': large }, { 'keywright.dev/else': large }])
      expect(of({ ...key, resourceVersion: '2', annotations, labels: { note: 'x' } })).toBe(of(key));
  });

  it.each(['rotate', 'compromised', 'paused', 'confirm'])('is changed by the annotation %s, and stays short', (name) => {
    const asked = of({ ...key, annotations: { [`keywright.dev/${name}`]: large } });
    expect(asked).not.toBe(of(key));
    expect(asked.length).toBeLessThan(64);
  });

  it('is changed by another object, another specification and a deletion', () => {
    for (const change of [{ uid: 'v' }, { generation: 2 }, { deletionTimestamp: '2026-01-01T00:00:00Z' }])
      expect(of({ ...key, ...change })).not.toBe(of(key));
  });
});

it('what of a Namespace matters are its labels, too, and of a Secret every change', () => {
  expect(signatureOf('Namespace', { ...key, labels: { team: 'a' } })).not.toBe(signatureOf('Namespace', key));
  expect(signatureOf('Secret', { ...key, resourceVersion: '2' })).not.toBe(signatureOf('Secret', key));
});
