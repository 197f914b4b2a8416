import { expect, test } from 'vitest';

import { DatabaseFault } from '../../../operator/src/store/postgres/fault.ts';
import { hostConfigs } from '../../../operator/src/store/postgres/session.ts';
import type { HostConfig } from '../../../operator/src/store/postgres/session.ts';

const limits = { lockMs: 1, statementMs: 1, idleInTransactionMs: 1, connectMs: 1 };
const unknownSetting = new DatabaseFault('defect', '42704', false);

function hostConfig(): HostConfig {
  const [host] = hostConfigs({ url: 'postgres://a/db' }, limits);
  if (host === undefined) throw new Error('no host');
  return host;
}

const isFull = ({ current }: HostConfig): boolean => current.options?.includes('transaction_timeout=0') === true;

test('a server that does not know a setting is asked without those of newer servers, by all who asked with them', () => {
  const host = hostConfig();
  const full = host.current;
  expect(isFull(host)).toBe(true);
  expect([host.learns(full, unknownSetting), host.learns(full, unknownSetting)]).toEqual([true, true]);
  expect(isFull(host)).toBe(false);
});

test('a server that does not know a setting without them either is not asked for ever', () => {
  const host = hostConfig();
  expect(host.learns(host.current, unknownSetting)).toBe(true);
  expect(host.learns(host.current, unknownSetting)).toBe(false);
});

test('another fault teaches nothing', () => {
  const host = hostConfig();
  expect(host.learns(host.current, new DatabaseFault('unavailable', '57P03', true))).toBe(false);
  expect(isFull(host)).toBe(true);
});

test('after a lost connection, the server is asked with all settings again: it may be newer', () => {
  const host = hostConfig();
  host.learns(host.current, unknownSetting);
  host.unlearn();
  expect(isFull(host)).toBe(true);
});
