import { readFile } from 'node:fs/promises';

import type { Authorize } from '../authorize/authorize.ts';
import type { Clock } from '../domain/time.ts';
import type { Log } from '../telemetry/log.ts';
import { formatAddress, isLocalAddress } from './address.ts';
import type { ListenAddress } from './address.ts';
import { parseCallerTokens } from './callers.ts';
import type { CallerTokens } from './callers.ts';
import { healthHandler } from './health.ts';
import type { HealthApi } from './health.ts';
import { startListener } from './listener.ts';
import type { Listener, TlsMaterial } from './listener.ts';
import { verifyHandler } from './verify.ts';

/** Says why a server cannot be started as configured (exit 2). */
export class ServerFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ServerFault';
  }
}

/** The files that a listener's protection comes from; each as in the variable of its name. */
export interface ProtectionFiles {
  readonly tlsCertFile: string | undefined;
  readonly tlsKeyFile: string | undefined;
  readonly clientCaFile: string | undefined;
  readonly callerTokensFile: string | undefined;
}

/** What those files hold. */
export interface Protection {
  readonly tls: TlsMaterial | undefined;
  readonly callerTokens: CallerTokens | undefined;
}

/** No TLS and no callers: for a listener that only this machine reaches. */
export const noProtection: Protection = { tls: undefined, callerTokens: undefined };

/** Reads the files. Throws {@link ServerFault} with the path of the one that cannot be read, or CallerTokensFault. */
export async function readProtection(files: ProtectionFiles): Promise<Protection> {
  const [cert, key, clientCa, tokens] = await Promise.all(
    [files.tlsCertFile, files.tlsKeyFile, files.clientCaFile, files.callerTokensFile].map(readText),
  );
  if ((cert === undefined) !== (key === undefined)) throw new ServerFault('TLS needs both a certificate and a key');
  if (clientCa !== undefined && cert === undefined)
    throw new ServerFault('client certificates need TLS: a certificate and a key');
  const callerTokens = tokens === undefined ? undefined : parseCallerTokens(tokens);
  if (cert === undefined || key === undefined) return { tls: undefined, callerTokens };
  // With tokens as a second way in, a peer without a certificate must get as far as the header.
  const client = clientCa === undefined ? {} : { clientCa, clientRequired: callerTokens === undefined };
  return { tls: { cert, key, ...client }, callerTokens };
}

/** What {@link startVerifyServer} needs. */
export interface VerifyServerInput {
  readonly address: ListenAddress;
  readonly protection: Protection;
  readonly authorize: Authorize;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Starts the verify API. Throws {@link ServerFault} when others than this machine could reach it without proving
 * themselves: what an admitted caller writes is believed.
 */
export async function startVerifyServer(input: VerifyServerInput): Promise<Listener> {
  const { address, protection, authorize, clock, log } = input;
  const open = isLocalAddress(address);
  if (!open && protection.callerTokens === undefined && protection.tls?.clientCa === undefined) {
    throw new ServerFault(`${formatAddress(address)} is reachable from outside: it needs caller tokens or client certificates`);
  }
  const handler = verifyHandler({ authorize, log, open, callerTokens: protection.callerTokens });
  // On a local listener nobody has to show a certificate.
  const tls = open && protection.tls !== undefined ? { cert: protection.tls.cert, key: protection.tls.key } : protection.tls;
  return await startListener({ address, handler, clock, log, ...(tls === undefined ? {} : { tls }) });
}

/** Starts health and metrics. They need no caller: kubelets and scrapers have none, and no key shows in them. */
export async function startHealthServer(
  input: HealthApi & { readonly address: ListenAddress; readonly log: Log },
): Promise<Listener> {
  const { address, log, ...api } = input;
  return await listening(address, startListener({ address, handler: healthHandler(api), clock: api.clock, log }));
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
  EACCES: 'this user may not',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'the name of the host is unknown',
};

async function readText(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, 'utf8');
  } catch {
    throw new ServerFault(`${path} cannot be read`);
  }
}
