import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTransport as openAws } from '../../../operator/src/destinations/aws/transport.ts';
import { boundBy, withDeadline } from '../../../operator/src/destinations/deadline.ts';
import { openTransport as openVault } from '../../../operator/src/destinations/vault/transport.ts';
import { unanswered } from '../../../operator/src/domain/failure.ts';
import { FakeDestination } from '../../harness/fakes/destination.ts';

const hour = 3_600_000;
const location = { destinationUid: 'vault-uid', path: 'secret/a' };

/** A request that nobody answers, with a deadline of an hour of its own. */
function silent(): Promise<never> {
  const signal = boundBy(hour);
  return new Promise((_resolve, reject) => {
    const end = (): void => {
      reject(unanswered('DestinationUnavailable', 'no answer'));
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end);
  });
}

describe('the deadline of a call to a destination', () => {
  it('is shared by all requests and retries that the call makes', async () => {
    let requests = 0;
    const destination = new FakeDestination();
    destination.readMark = async () => {
      for (; requests < 3; requests += 1) await silent().catch(() => undefined);
      return silent();
    };
    await expect(withDeadline(destination, 10).readMark(location)).rejects.toMatchObject({ unanswered: true });
    expect(requests).toBe(3);
  });

  it('is no deadline of requests that belong to no call', () => {
    expect(boundBy(hour).aborted).toBe(false);
  });
});

describe('a server that takes connections and completes no TLS handshake', () => {
  let server: Server;
  let url = '';
  const options = { caBundle: undefined, timeoutMs: hour, mayLoopback: true };

  beforeAll(async () => {
    server = createServer((socket) => socket.on('error', () => undefined));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/v1/secret`;
  });

  afterAll(() => {
    server.close();
  });

  it.each([
    ['Vault', () => openVault(options).send({ method: 'GET', uri: url })],
    ['AWS', () => openAws(options).get(url, {})],
  ])(
    'holds no request to %s beyond the deadline of its call, although the connection may still come about',
    async (_what, send) => {
      const destination = new FakeDestination();
      destination.probe = async () => {
        await Promise.all([send(), send()]);
      };
      await expect(withDeadline(destination, 10).probe()).rejects.toMatchObject({ fault: 'timeout' });
    },
  );
});
