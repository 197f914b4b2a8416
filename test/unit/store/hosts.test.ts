import { expect, test } from 'vitest';

import { splitHosts } from '../../../operator/src/store/postgres/hosts.ts';
import { hostConfigs } from '../../../operator/src/store/postgres/session.ts';

const limits = { lockMs: 1, statementMs: 1, idleInTransactionMs: 1, connectMs: 1 };

test('gives each host its own URL, in their order', () => {
  expect(splitHosts('postgres://u:p%40w@a:1,b:2,[::1]:3/db?sslmode=require')).toEqual([
    'postgres://u:p%40w@a:1/db?sslmode=require',
    'postgres://u:p%40w@b:2/db?sslmode=require',
    'postgres://u:p%40w@[::1]:3/db?sslmode=require',
  ]);
});

test('leaves a URL with one host as it is', () => {
  expect(splitHosts('postgresql://a/db')).toEqual(['postgresql://a/db']);
  expect(splitHosts('postgres:///db')).toEqual(['postgres:///db']);
});

test.each(['postgres:///db?host=/run/pg', 'postgresql://u:p%40w@/db?host=/run/pg&port=5433'])(
  'leaves %j as it is, which names the folder of a Unix socket',
  (url) => {
    expect(splitHosts(url)).toEqual([url]);
    expect(hostConfigs({ url }, limits)[0]?.current).toMatchObject({ host: '/run/pg', database: 'db' });
  },
);

test.each(['', 'mysql://a/db', 'a,b', 'postgres://a,,b/db', 'postgres://a:x/db', 'postgres://a:1,b:y/db'])(
  'refuses %j',
  (url) => {
    expect(splitHosts(url)).toBeUndefined();
  },
);
