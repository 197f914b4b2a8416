import { expect, test } from 'vitest';

import { splitHosts } from '../../../operator/src/store/postgres/hosts.ts';

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

test.each(['', 'mysql://a/db', 'a,b', 'postgres://a,,b/db', 'postgres://a:x/db', 'postgres://a:1,b:y/db'])(
  'refuses %j',
  (url) => {
    expect(splitHosts(url)).toBeUndefined();
  },
);
