import { Failure, waiting } from '../../domain/failure.ts';
import type { Clock } from '../../domain/time.ts';
import type { VaultAnswer as ServerAnswer, VaultCall, VaultServer } from './server.ts';
import type { VaultSession } from './session.ts';

/** What a call came to, once the login is settled. */
export interface VaultAnswer {
  readonly kind: Exclude<ServerAnswer['kind'], 'denied'>;
  readonly body: unknown;
}

/** The calls that KV v2 and the probe need, with a login that is kept alive. */
export interface VaultClient {
  read(path: string): Promise<VaultAnswer>;
  write(path: string, body: object): Promise<VaultAnswer>;
  delete(path: string): Promise<VaultAnswer>;
  /** Lets the calls in flight end, then ends login and connections. */
  close(): Promise<void>;
}

const retryDelayMs = 250;

/**
 * Joins a server and a login. A call that is denied is sent once more when another token can be had. Reads are tried
 * twice; writes once, because a second one could not tell whether the first had an effect.
 */
export function openVaultClient(server: VaultServer, session: VaultSession, clock: Clock): VaultClient {
  const inFlight = new Set<Promise<unknown>>();
  let closing: Promise<void> | undefined;

  const sendOnce = async (call: VaultCall): Promise<VaultAnswer> => {
    const token = await session.token();
    const first = await server.send({ ...call, token });
    if (first.kind !== 'denied') return { kind: first.kind, body: first.body };
    if ((await session.replace(token)) === 'same') throw denied(first.statusCode);
    const second = await server.send({ ...call, token: await session.token() });
    if (second.kind !== 'denied') return { kind: second.kind, body: second.body };
    throw denied(second.statusCode);
  };
  const once = async (call: VaultCall): Promise<VaultAnswer> => {
    const sent = sendOnce(call);
    inFlight.add(sent);
    try {
      return await sent;
    } finally {
      inFlight.delete(sent);
    }
  };
  return {
    read: async (path) => {
      try {
        return await once({ method: 'read', path });
      } catch (error) {
        // Who asks for patience gets it.
        if (error instanceof Failure && error.retryAfterMs !== undefined) throw error;
        await clock.sleep(retryDelayMs);
        return once({ method: 'read', path });
      }
    },
    write: (path, body) => once({ method: 'write', path, body }),
    delete: (path) => once({ method: 'delete', path }),
    close: () => (closing ??= endAfter(inFlight, session, server)),
  };
}

async function endAfter(inFlight: Iterable<Promise<unknown>>, session: VaultSession, server: VaultServer): Promise<void> {
  await Promise.allSettled(inFlight);
  await session.close();
  await server.close();
}

function denied(statusCode: number): Error {
  return waiting('DestinationUnavailable', `the Vault server denies us access (${statusCode})`);
}
