import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { freePort, portRange } from '../../harness/ports.ts';

describe('a port for a server under test', () => {
  it('is given once, and a server can listen on it', async () => {
    const ports = await Promise.all(Array.from({ length: 50 }, () => freePort()));
    expect(new Set(ports).size).toBe(50);
    const server = createServer().listen(ports[0], '127.0.0.1');
    await once(server, 'listening');
    server.close();
  });

  it('is claimed before all processes of the machine', async () => {
    const port = await freePort();
    const another = createSocket('udp4').bind(port, '127.0.0.1');
    await expect(once(another, 'listening')).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  it.each([
    ['32768\t60999\n', 22_768, 32_767],
    ['15000 65535', 10_000, 14_999],
    ['1024 60999', 61_000, 65_535],
    ['1024 65535', 10_000, 19_999],
    ['', 10_000, 19_999],
  ])('is taken beside those that the system hands out: %j', (ephemeral, from, to) => {
    expect(portRange(ephemeral)).toEqual({ from, to });
  });
});
