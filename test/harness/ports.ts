import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';

/** Where Linux says which ports it gives to outgoing connections and to who asks for any (ip(7)). */
const ephemeralFile = '/proc/sys/net/ipv4/ip_local_port_range';
/** As many as several runs side by side need, times ten. */
const rangeSize = 10_000;
/** Ports below belong to well-known servers, and to what people run on their machines. */
const lowest = 10_000;
const highest = 65_535;

/** Held until the process ends: see {@link freePort}. */
const claims: Socket[] = [];

/**
 * A port of 127.0.0.1 for a server that is about to start. It stays free for it, also while the server is restarted: no
 * outgoing connection and no `listen(0)` is ever given a port of this range, and what other test processes of the machine
 * are given is told by a claim, the UDP port of the same number, which the system gives up when the claimant ends.
 */
export async function freePort(): Promise<number> {
  const { from, to } = portRange(existsSync(ephemeralFile) ? readFileSync(ephemeralFile, 'utf8') : '');
  const count = to - from + 1;
  const begin = Math.floor(Math.random() * count);
  for (let step = 0; step < count; step += 1) {
    const port = from + ((begin + step) % count);
    const claim = await claimed(port);
    if (claim === undefined) continue;
    if (await isFree(port)) {
      claims.push(claim);
      return port;
    }
    claim.close();
  }
  throw new Error(`every port of 127.0.0.1 from ${from} to ${to} is taken`);
}

/** The ports that may be handed out, beside those that the system hands out itself; `ephemeral` is the text of its file. */
export function portRange(ephemeral: string): { readonly from: number; readonly to: number } {
  const [low = Number.NaN, high = Number.NaN] = ephemeral.trim().split(/\s+/).map(Number);
  if (low - lowest >= rangeSize / 10) return { from: Math.max(lowest, low - rangeSize), to: low - 1 };
  if (highest - high >= rangeSize / 10) return { from: high + 1, to: Math.min(highest, high + rangeSize) };
  return { from: lowest, to: lowest + rangeSize - 1 };
}

async function claimed(port: number): Promise<Socket | undefined> {
  const socket = createSocket('udp4');
  try {
    socket.bind({ address: '127.0.0.1', port, exclusive: true });
    await once(socket, 'listening');
    // It ends nobody's wait for the end of the process.
    return socket.unref();
  } catch {
    return undefined;
  }
}

/** Whether a server could listen on that port of 127.0.0.1 now. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen({ host: '127.0.0.1', port, exclusive: true });
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  }
}
