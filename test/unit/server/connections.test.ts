import { beforeEach, describe, expect, test } from 'vitest';

import { Connections, limitsOf, sourceOf } from '../../../operator/src/server/connections.ts';
import type { Connection } from '../../../operator/src/server/connections.ts';

const limits = { proven: 2, unproven: 6, unprovenPerSource: 3, pipelined: 2 };

let connections: Connections;
let dropped: string[];
let ended: string[];
beforeEach(() => {
  dropped = [];
  ended = [];
  connections = new Connections(limits, (cause) => dropped.push(cause));
});

function open(name: string, source = name): Connection {
  const connection = tryOpen(name, source);
  if (connection === undefined) throw new Error(`${name} found no room`);
  return connection;
}

function tryOpen(name: string, source = name): Connection | undefined {
  return connections.open(source, () => ended.push(name));
}

describe('connections that prove nothing', () => {
  test('of one source are bounded: the one that waits longest goes for a new one', () => {
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) open(name, 'a');
    expect(ended).toEqual(['a1', 'a2']);
    expect([connections.size, dropped]).toEqual([3, ['displaced', 'displaced']]);
  });

  test('of all sources together are bounded: one of the source that has most goes', () => {
    for (const name of ['a1', 'a2', 'a3']) open(name, 'a');
    for (const name of ['b1', 'c1', 'd1']) open(name);
    open('e1');
    open('f1');
    expect(ended).toEqual(['a1', 'a2']);
    expect(connections.size).toBe(6);
  });

  test('keep their place while a request of theirs is in work; without a place to free, the new one is refused', () => {
    const busy = ['a1', 'a2', 'a3'].map((name) => open(name, 'a'));
    for (const one of busy) connections.begin(one);
    expect(tryOpen('a4', 'a')).toBeUndefined();
    expect([ended, dropped]).toEqual([[], ['refused']]);
    for (const one of busy) connections.end(one);
    open('a5', 'a');
    expect(ended).toEqual(['a1']);
  });

  test('that were displaced count no more, whatever their socket still does', () => {
    const first = open('a1', 'a');
    for (const name of ['a2', 'a3', 'a4']) open(name, 'a');
    expect(connections.begin(first)).toBe(false);
    connections.prove(first);
    connections.close(first);
    connections.close(first);
    expect(connections.size).toBe(3);
  });
});

describe('connections of proven callers', () => {
  test('are displaced by nobody, and take no place of strangers', () => {
    const proven = open('gateway', 'a');
    connections.begin(proven);
    expect(connections.prove(proven)).toBe(true);
    connections.end(proven);
    for (const name of ['a1', 'a2', 'a3', 'a4']) open(name, 'a');
    expect(ended).toEqual(['a1']);
    expect(connections.size).toBe(4);
  });

  test('are bounded too: the next one is answered, and ends then', () => {
    const all = ['p1', 'p2', 'p3'].map((name) => open(name));
    expect(all.map((one) => connections.prove(one))).toEqual([true, true, false]);
    connections.close(all[0] as Connection);
    expect(connections.prove(all[2] as Connection)).toBe(true);
  });

  test('that lose their proof can be displaced again', () => {
    const once = open('a1', 'a');
    connections.prove(once);
    connections.unprove(once);
    for (const name of ['a2', 'a3', 'a4']) open(name, 'a');
    expect(ended).toEqual(['a1']);
  });

  test('may have so many requests without an answer, and no more', () => {
    const one = open('a');
    expect([connections.begin(one), connections.begin(one), connections.begin(one)]).toEqual([true, true, false]);
    connections.end(one);
    expect(connections.begin(one)).toBe(true);
    expect(dropped).toEqual(['pipelined']);
  });
});

describe('the accounting', () => {
  test('is at nothing again when all have closed, whatever happened meanwhile', () => {
    let seed = 7;
    const next = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
    const alive: Connection[] = [];
    for (let step = 0; step < 20_000; step += 1) {
      const one = alive[next(Math.max(1, alive.length))];
      const act = next(6);
      if (act < 2 || one === undefined) {
        const opened = tryOpen('x', `source ${next(4)}`);
        if (opened !== undefined) alive.push(opened);
      } else if (act === 2) connections.prove(one);
      else if (act === 3) connections.unprove(one);
      else if (act === 4 && connections.begin(one)) connections.end(one);
      else if (act === 5) {
        connections.close(one);
        alive.splice(alive.indexOf(one), 1);
      }
      expect(connections.size).toBeLessThanOrEqual(limits.proven + limits.unproven);
    }
    for (const one of alive) connections.close(one);
    expect(connections.size).toBe(0);
  });
});

test('the limits of a listener sum up to what was configured, and leave less to unfinished handshakes', () => {
  for (const total of [64, 65, 2_048]) {
    const [plain, tls] = [limitsOf(total, { tls: false }), limitsOf(total, { tls: true })];
    expect(plain.proven + plain.unproven).toBe(total);
    expect(tls.proven).toBe(plain.proven);
    expect([tls.unproven, tls.unprovenPerSource]).toEqual([Math.ceil(total / 4), Math.ceil(total / 8)]);
  }
});

test.each([
  ['10.1.2.3', '10.1.2.3'],
  ['::ffff:10.1.2.3', '10.1.2.3'],
  ['2001:db8:1:2:3:4:5:6', '20010db800010002/64'],
  ['2001:db8:1:2::9', '20010db800010002/64'],
  ['::1', '0000000000000000/64'],
  [undefined, ''],
])('a connection from %s counts for %j', (address, source) => {
  expect(sourceOf(address)).toBe(source);
});
