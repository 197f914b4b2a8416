import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { Authorize } from '../../../operator/src/authorize/authorize.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { limitsOf } from '../../../operator/src/server/connections.ts';
import { InFlight } from '../../../operator/src/server/inflight.ts';
import { startListener } from '../../../operator/src/server/listener.ts';
import type { Listener } from '../../../operator/src/server/listener.ts';
import { verifyHandler } from '../../../operator/src/server/verify.ts';
import { batchBodyMaxLength, bodyMaxLength } from '../../../operator/src/server/verifyrequest.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { certificate } from '../../builders/certificate.ts';
import { until } from '../../harness/until.ts';

const kib = 1024;

describe('the bytes in flight', () => {
  let dropped: string[];
  let inFlight: InFlight;
  const open = (client: string, name = client): ReturnType<InFlight['open']> => inFlight.open(client, () => dropped.push(name));
  beforeEach(() => {
    dropped = [];
    inFlight = new InFlight(100 * kib);
  });

  test('are taken from the request that waits longest, of the client that holds most', () => {
    const [small, first, second] = [open('b'), open('a', 'a1'), open('a', 'a2')];
    expect([small.take(10 * kib), first.take(40 * kib), second.take(40 * kib)]).toEqual([true, true, true]);
    expect(open('c').take(40 * kib)).toBe(true);
    expect(dropped).toEqual(['a1']);
    expect([first.take(1), second.take(1)]).toEqual([false, true]);
  });

  test('are not taken from what we work on, and from an answer only until it is read', () => {
    const [first, second] = [open('a', 'a1'), open('a', 'a2')];
    for (const one of [first, second]) {
      one.take(45 * kib);
      one.working();
    }
    const late = open('b');
    expect([late.take(20 * kib), dropped]).toEqual([false, []]);
    second.sending();
    expect([late.take(20 * kib), dropped]).toEqual([true, ['a2']]);
  });

  test('are refused to the client that holds most and waits longest itself', () => {
    const one = open('a');
    expect([one.take(60 * kib), one.take(60 * kib), dropped]).toEqual([true, false, []]);
  });

  test('are made free neither by a request that holds nothing nor for one that would still not fit', () => {
    const idle = open('a', 'idle');
    const [sent, worked, other] = [open('a', 'sent'), open('a', 'worked'), open('b')];
    for (const one of [sent, worked, other]) one.take(30 * kib);
    worked.working();
    expect([open('c').take(80 * kib), dropped]).toEqual([false, []]);
    // After `other`, its own would have to go.
    const full = open('d');
    expect([full.take(5 * kib), full.take(75 * kib), dropped]).toEqual([true, false, []]);
    full.close();
    expect([open('c').take(30 * kib), dropped]).toEqual([true, ['sent']]);
    expect(idle.take(kib)).toBe(true);
  });

  test('are taken from the request that began first, not from the one whose last piece is oldest', () => {
    const [first, second] = [open('a', 'a1'), open('a', 'a2')];
    for (const one of [first, second, first]) one.take(25 * kib);
    expect([open('b').take(40 * kib), dropped]).toEqual([true, ['a1']]);
  });

  test('include the overhead of each piece', () => {
    const one = open('a');
    let pieces = 0;
    while (one.take(1)) pieces += 1;
    expect(pieces).toBeLessThan(200);
  });

  test('have room for the largest batch and for others beside it, at the least limit and in as many pieces as may be', () => {
    inFlight = new InFlight(64 * 16 * kib);
    const batch = open('a');
    for (let piece = 0; piece < 1_024; piece += 1) expect(batch.take(batchBodyMaxLength / 1_024)).toBe(true);
    for (const name of ['b', 'c', 'd']) expect(open(name).take(bodyMaxLength)).toBe(true);
    expect(dropped).toEqual([]);
  });

  test('are none again when all has ended, whatever happened meanwhile', () => {
    let seed = 7;
    const next = (below: number): number => (seed = (seed * 48_271) % 2_147_483_647) % below;
    const alive: ReturnType<InFlight['open']>[] = [];
    for (let step = 0; step < 20_000; step += 1) {
      const one = alive[next(Math.max(1, alive.length))];
      const act = next(6);
      if (act === 0 || one === undefined) alive.push(open(`client ${next(5)}`));
      else if (act === 1) one.working();
      else if (act === 2) one.sending();
      else if (act === 3) {
        one.close();
        alive.splice(alive.indexOf(one), 1);
      } else one.take(next(30 * kib));
      expect(inFlight.bytes).toBeLessThanOrEqual(100 * kib);
    }
    for (const one of alive) one.close();
    expect(inFlight.bytes).toBe(0);
  });
});

describe('bodies that are not finished', () => {
  const authority = certificate('authority');
  const server = certificate('server', authority);
  const [one, other] = [certificate('one', authority), certificate('other', authority)];
  const body = JSON.stringify({ request: { host: 'a', method: 'GET', path: '/' } });

  let inFlight: InFlight;
  let listener: Listener;
  let sockets: Socket[];
  let slow: PromiseWithResolvers<void>;
  beforeEach(async () => {
    [inFlight, sockets] = [new InFlight(256 * kib), []];
    slow = Promise.withResolvers();
    const authorize: Authorize = async ({ path }) => {
      if (path === '/slow') await slow.promise;
      return { allowed: false, code: 'key_missing' };
    };
    listener = await startListener({
      ...{ name: 'verify', address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, limits: limitsOf(64, { tls: false }) },
      ...{ clock: systemClock, log: silentLog, metrics: silentMetrics },
      tls: { cert: server.cert, key: server.key, clientCa: authority.cert },
      isAdmitted: (_request, certified) => certified,
      handler: verifyHandler({ authorize, log: silentLog, metrics: silentMetrics, inFlight }),
    });
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await listener.close(0);
  });

  /** A connection with a client certificate, and all that came back on it. */
  async function open(identity: typeof one): Promise<{ readonly socket: Socket; text(): string }> {
    const { port } = listener.address as { port: number };
    const socket = connectTls({ port, host: '127.0.0.1', ca: authority.cert, cert: identity.cert, key: identity.key });
    sockets.push(socket);
    let text = '';
    socket.on('error', () => {}).on('data', (chunk: Buffer) => (text += chunk.toString()));
    await once(socket, 'secureConnect');
    return { socket, text: () => text };
  }
  const post = (length: number): string => `POST /v1/verify HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\n`;

  test('of one client certificate never take the room of another one, nor more than there is', async () => {
    const mine = await open(other);
    mine.socket.write(post(body.length) + body.slice(0, 20));
    await until(() => inFlight.bytes > 0, { what: 'the first piece of it' });
    const held = await Promise.all(Array.from({ length: 20 }, () => open(one)));
    for (const { socket } of held) socket.write(post(60 * kib) + 'a'.repeat(50 * kib));
    // There is room for five of them.
    await until(() => held.filter(({ socket }) => socket.destroyed).length >= 15, { what: 'the others to be cut' });
    expect(inFlight.bytes).toBeLessThanOrEqual(256 * kib);
    mine.socket.write(body.slice(20));
    await until(() => mine.text().includes('key_missing'), { what: 'the verdict' });
    for (const { socket } of held) socket.destroy();
    await until(() => inFlight.bytes === 0, { what: 'all room to be free' });
  });

  test('hold nothing once they are refused, although their answer waits for an earlier one', async () => {
    const first = JSON.stringify({ request: { host: 'a', method: 'GET', path: '/slow' } });
    const tooLarge = [60_000, 9_000].map((length) => `${length.toString(16)}\r\n${'a'.repeat(length)}\r\n`).join('');
    const chunked = `POST /v1/verify HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${tooLarge}`;
    const refused = await Promise.all(Array.from({ length: 4 }, () => open(one)));
    for (const { socket } of refused) socket.write(post(first.length) + first + chunked);
    const long = JSON.stringify({ request: { host: 'a', method: 'GET', path: '/', userAgent: 'u'.repeat(50 * kib) } });
    for (let at = 0; at < 20; at += 1) {
      const mine = await open(other);
      mine.socket.write(post(long.length) + long);
      await until(() => mine.text().includes('key_missing'), { what: 'the verdict' });
    }
    slow.resolve();
    await until(() => refused.every((one) => one.text().includes('larger than 64 KiB')), { what: 'the refusals' });
    expect(inFlight.bytes).toBe(0);
  });

  test('leave no trace when their connection is cut behind several answers', async () => {
    const { socket } = await open(one);
    socket.write((post(body.length) + body).repeat(20));
    await once(socket, 'close');
    await until(() => inFlight.bytes === 0, { what: 'all room to be free' });
  });
});

test('an answer for which there is no room is a 503', async () => {
  const listener = await startListener({
    ...{ name: 'verify', address: { kind: 'tcp', host: '127.0.0.1', port: 0 }, limits: limitsOf(64, { tls: false }) },
    ...{ clock: systemClock, log: silentLog, metrics: silentMetrics },
    handler: verifyHandler({
      authorize: () =>
        Promise.resolve({ allowed: false, code: 'channel_not_assigned', violatingChannels: ['a'.repeat(8 * kib)] }),
      ...{ log: silentLog, metrics: silentMetrics, inFlight: new InFlight(4 * kib) },
    }),
  });
  const answer = await fetch(`${listener.url}/v1/verify`, {
    method: 'POST',
    body: JSON.stringify({ request: { host: 'a', method: 'GET', path: '/' } }),
  });
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
  await listener.close(0);
});
