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
});
