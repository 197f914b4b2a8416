import { describe, expect, test } from 'vitest';

import { describeClient } from '../../../operator/src/authorize/client.ts';
import type { Client } from '../../../operator/src/authorize/client.ts';
import { keyRecord } from '../../builders/keyrecord.ts';

const client = (changes: Partial<Client> = {}): string | undefined =>
  describeClient({ application: undefined, userAgent: undefined, sourceIp: undefined, ...changes });

describe('who uses a key', () => {
  test('[S4-11] is its application, the product and the network, as far as they are known', () => {
    const userAgent = 'curl/8.5.0 (x86_64) libcurl/8.5.0';
    expect(client({ application: 'billing', userAgent, sourceIp: '10.20.3.44' })).toBe('billing, curl/8.5.0, 10.20.3.0/24');
    expect(client({ userAgent: 'Mozilla/5.0' })).toBe('Mozilla/5.0');
    expect(client()).toBeUndefined();
  });

  test('is a network and no address', () => {
    expect(client({ sourceIp: '2001:db8:1:2:3:4:5:6' })).toBe('2001:db8:1::/48');
    expect(client({ sourceIp: '::ffff:10.20.3.44' })).toBe('10.20.3.0/24');
    expect(client({ sourceIp: '010.0.0.1' })).toBeUndefined();
  });

  test('is never a value that came in the wrong header', () => {
    const value = keyRecord({ seed: 1 }).token.reveal();
    expect(client({ userAgent: value })).toBeUndefined();
    expect(client({ userAgent: `x/${value}` })).toBeUndefined();
    expect(client({ userAgent: '\u001b[31m' })).toBeUndefined();
  });

  test.each([
    ['a secret alone', 'hunter2correcthorse'],
    ['a word alone, which may be one', 'SuperSecret'],
    ['a secret as a name', 'AKIAIOSFODNN7EXAMPLE/1.0'],
    ['a long word as a name', 'wJalrXUtnFEMIKMDENGbPxRfiCY/1.0'],
    ['words of one', 'wJalrXUtnFEMIa-KMDENGbPxRfiCYa-abcdefghi/1.0'],
    ['a secret as a version', 'curl/wJalrXUtnFEMI'],
    ['a secret behind a version', 'curl/8.5.0wJalrXUtnFEMI'],
    ['a secret behind the dots', 'curl/8.5.wJalrXUtnFEMI'],
    ['a header of another kind', 'Bearer abc.def.ghi'],
    ['a name and a password', 'user:password/1'],
    ['a UUID', '8f14e45f-ceea-467f-a0f0-5b3f6d2f9f3e/1'],
  ])('stores no product that may be a secret: %s', (_what, userAgent) => {
    expect(client({ userAgent })).toBeUndefined();
  });

  test.each([
    'curl/8.5.0',
    'python-requests/2.31.0',
    'Go-http-client/1.1',
    'kube-probe/1.31+',
    'Apache-HttpClient/4.5.13',
    'PostmanRuntime/7.36.1',
    'okhttp/4.9.3',
    'Java/17.0.1',
    'GitLab-CI/v16',
  ])('is %s', (userAgent) => {
    expect(client({ userAgent })).toBe(userAgent);
    expect(client({ userAgent: `${userAgent} (with a comment)` })).toBe(userAgent);
  });
});
