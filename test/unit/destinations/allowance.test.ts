import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { openTransport as openAws } from '../../../operator/src/destinations/aws/transport.ts';
import { openTransport as openVault } from '../../../operator/src/destinations/vault/transport.ts';

const options = { caBundle: undefined, timeoutMs: 3_600_000, mayLoopback: true };
let server: Server | undefined;

/** A server that sends `start` to each request, and then `piece` without an end; gives its URL. */
async function flood(start: string, piece: string): Promise<string> {
  const pieces = Buffer.from(piece.repeat(Math.ceil(65_536 / piece.length)));
  const pump = (socket: Socket): void => {
    while (!socket.destroyed && socket.write(pieces));
  };
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('drain', () => {
      pump(socket);
    });
    socket.once('data', () => {
      socket.write(start);
      pump(socket);
    });
  });
  const { promise, resolve } = Promise.withResolvers<undefined>();
  server.listen(0, '127.0.0.1', () => {
    resolve(undefined);
  });
  await promise;
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/secret`;
}

afterEach(() => {
  server?.close();
});

describe.each([
  ['Vault', (url: string) => openVault(options).send({ method: 'GET', uri: url })],
  ['AWS', (url: string) => openAws(options).get(url, {})],
])('a server that should be %s and takes the time of the operator', (_what, send) => {
  it.each([
    ['informational answers', '', 'HTTP/1.1 102 Processing\r\n\r\n'],
    ['extensions of a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;', 'a'],
  ])('is cut off when it sends %s without an end, long before the deadline', async (_dress, start, piece) => {
    const url = await flood(start, piece);
    await expect(send(url)).rejects.toMatchObject({ fault: 'unreachable' });
  });
});
