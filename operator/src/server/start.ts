import type { Authorize } from '../authorize/authorize.ts';
import type { Clock } from '../domain/time.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics, MetricsRegistry } from '../telemetry/metrics.ts';
import { formatAddress, isLocalAddress } from './address.ts';
import type { ListenAddress } from './address.ts';
import { hasCallerToken } from './callers.ts';
import { healthLimits, limitsOf } from './connections.ts';
import { healthHandler } from './health.ts';
import { InFlight } from './inflight.ts';
import type { HealthApi } from './health.ts';
import { startListener } from './listener.ts';
import type { Listener } from './listener.ts';
import type { Protection } from './protection.ts';
import { isWithin } from './tls.ts';
import type { KeyPair, TlsMaterial } from './tls.ts';
import { verifyHandler } from './verify.ts';

/** Says why a server cannot be started as configured (exit 2). */
export class ServerFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ServerFault';
  }
}

/**
 * The room for bodies and answers, in bytes per connection that the listener may keep. Requests of gateways have 300 bytes; with
 * the default limit of 1,024 connections, all of them together hold 16 MiB: 250 of the largest single bodies, or 63 of the largest
 * batches. With the least limit of 64 they hold 1 MiB: one largest batch takes 256 KiB of it, and 768 KiB when it comes in as many
 * pieces as it may, so that others always have room beside it.
 */
const bytesPerConnection = 16 * 1024;

/** What {@link startVerifyServer} needs. */
export interface VerifyServerInput {
  readonly address: ListenAddress;
  readonly protection: Protection;
  readonly authorize: Authorize;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'connectionDropped'>;
  /** The most connections at once; see {@link limitsOf}. */
  readonly maxConnections: number;
}

/**
 * Starts the verify API. With tokens or authorities, callers must prove themselves at every address. Throws {@link ServerFault} if
 * there are none and other machines could reach it, because it trusts the requests of admitted callers. Follows changes of its protection: it refuses a removed token from the next request
 * on, and a removed CA from the next request and the next connection on; a new key serves new connections.
 */
export async function startVerifyServer(input: VerifyServerInput): Promise<Listener> {
  const { address, protection, authorize, clock, log, metrics, maxConnections } = input;
  const { keyPair, clientCa, callerTokens } = protection;
  // A configured proof applies everywhere; without one, the users of this machine are trusted.
  const hasProof = callerTokens !== undefined || clientCa !== undefined;
  // Handshakes are identified by the addresses of both ends, which a Unix socket does not have.
  if (address.kind === 'unix' && keyPair !== undefined)
    throw new ServerFault(`${formatAddress(address)} is a Unix socket, which needs no TLS: set no TLS key for it`);
  if (!hasProof && !isLocalAddress(address)) {
    throw new ServerFault(`${formatAddress(address)} is reachable from outside: it needs caller tokens or client certificates`);
  }
  // With tokens as a second way in, the handshake must admit a peer without a certificate, so that its header can be read.
  const tlsOf = (pair: KeyPair): TlsMaterial => ({
    ...pair,
    ...(clientCa === undefined ? {} : { clientCa: clientCa.value.text, clientRequired: callerTokens === undefined }),
  });
  const listener = await startListener({
    ...{ name: 'verify', address, clock, log, metrics, limits: limitsOf(maxConnections, { tls: keyPair !== undefined }) },
    ...(keyPair === undefined ? {} : { tls: tlsOf(keyPair.value) }),
    isAdmitted: (request, certified) =>
      !hasProof || certified || (callerTokens !== undefined && hasCallerToken(request, callerTokens.value)),
    handler: verifyHandler({ authorize, log, metrics, inFlight: new InFlight(bytesPerConnection * maxConnections) }),
  });
  keyPair?.onChange((_before, after) => {
    listener.setTls(tlsOf(after));
  });
  clientCa?.onChange((before, after) => {
    if (keyPair !== undefined) listener.setTls(tlsOf(keyPair.value));
    // If CAs were only added, all accepted certificates are still valid.
    if (!isWithin(before, after)) listener.distrustCertificates();
  });
  return listener;
}

/** Starts health and metrics. They need no caller: kubelets and scrapers have none, and no key shows in them. */
export async function startHealthServer(
  input: HealthApi & { readonly address: ListenAddress; readonly log: Log; readonly metrics: MetricsRegistry },
): Promise<Listener> {
  const { address, log, ...api } = input;
  const { clock, metrics } = api;
  const common = { name: 'health', limits: healthLimits, clock, log, metrics: metrics.recorder } as const;
  return await listening(address, startListener({ ...common, address, handler: healthHandler(api) }));
}

/** A listener that is being started, or a {@link ServerFault} that says why there can be none at this address. */
export async function listening(address: ListenAddress, listener: Promise<Listener>): Promise<Listener> {
  try {
    return await listener;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const why = listenFaults[code];
    if (why === undefined) throw error;
    throw new ServerFault(`cannot listen on ${formatAddress(address)}: ${why}`);
  }
}

const listenFaults: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process does',
  EACCES: 'permission denied',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'the name of the host is unknown',
};
