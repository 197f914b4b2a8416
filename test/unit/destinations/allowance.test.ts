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

/** A server that answers so many requests shortly, and then sends `piece` without an end; `sent` = the bytes of that. */
async function patient(answers: number, piece: string): Promise<{ readonly url: string; readonly sent: () => number }> {
  const pieces = Buffer.from(piece.repeat(Math.ceil(65_536 / piece.length)));
  let asked = 0;
  let sent = 0;
  const pump = (socket: Socket): void => {
    let goesOn = true;
    while (goesOn && !socket.destroyed) {
      goesOn = socket.write(pieces);
      sent += pieces.length;
    }
  };
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', () => {
      asked += 1;
      if (asked <= answers) {
        socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}');
        return;
      }
      socket.on('drain', () => {
        pump(socket);
      });
      pump(socket);
    });
  });
  await new Promise<void>((resolve) => {
    server?.listen(0, '127.0.0.1', resolve);
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/secret`, sent: () => sent };
}

describe.each([
  [
    'Vault',
    () => {
      const transport = openVault(options);
      return (url: string) => transport.send({ method: 'GET', uri: url });
    },
  ],
  [
    'AWS',
    () => {
      const transport = openAws(options);
      return (url: string) => transport.get(url, {});
    },
  ],
] as const)('a server that should be %s and takes the time of the operator', (_what, open) => {
  it.each([
    ['informational answers', '', 'HTTP/1.1 102 Processing\r\n\r\n'],
    ['extensions of a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;', 'a'],
  ])('is cut off when it sends %s without an end, long before the deadline', async (_dress, start, piece) => {
    const url = await flood(start, piece);
    await expect(open()(url)).rejects.toMatchObject({ fault: 'unreachable' });
  });

  it('has nothing left of the allowance of its earlier answers', async () => {
    const { url, sent } = await patient(200, 'HTTP/1.1 102 Processing\r\n\r\n');
    const send = open();
    for (let at = 0; at < 200; at += 1) await send(url);
    await expect(send(url)).rejects.toMatchObject({ fault: 'unreachable' });
    // Most of it lies in buffers of the system.
    expect(sent()).toBeLessThan(32 * 1024 * 1024);
  });
});
