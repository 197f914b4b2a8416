import { waiting, type Failure } from '../../domain/failure.ts';
import type { Clock } from '../../domain/time.ts';
import type { VaultAuth } from './auth.ts';
import { openTransport, TransportFault, type VaultRequest } from './transport.ts';

/** Where a Vault server is, and how it is spoken to. */
export interface VaultClientOptions {
  /** Scheme, host and port. */
  readonly address: string;
  /** The Vault namespace; absent = the root one. */
  readonly namespace: string | undefined;
  readonly caBundle: string | undefined;
  readonly auth: VaultAuth;
  readonly clock: Clock;
  /** Deadline of one call, from connect to the last byte. Default 10 s. */
  readonly timeoutMs?: number | undefined;
}

/** What a call came to. `missing` = 404; `refused` = 400, which for a conditional write is a lost condition. */
export type VaultAnswer =
  | { readonly kind: 'ok'; readonly body: unknown }
  | { readonly kind: 'missing'; readonly body: unknown }
  | { readonly kind: 'refused'; readonly body: unknown };

/** The four calls that KV v2 and the probe need. Paths are checked by the caller, segment by segment. */
export interface VaultClient {
  read(path: string): Promise<VaultAnswer>;
  write(path: string, body: object): Promise<VaultAnswer>;
  delete(path: string): Promise<VaultAnswer>;
  close(): Promise<void>;
}

const defaultTimeoutMs = 10_000;
const retryDelayMs = 250;

/**
 * Opens a client. node-vault is loaded here and not before: a process without Vault destinations never pays for it.
 * Reads are tried twice; writes once, because a second one could not tell whether the first had an effect.
 */
export async function openVaultClient(options: VaultClientOptions): Promise<VaultClient> {
  const transport = openTransport({ caBundle: options.caBundle, timeoutMs: options.timeoutMs ?? defaultTimeoutMs });
  const { default: nodeVault } = await import('node-vault');
  const vault = nodeVault({
    apiVersion: 'v1',
    endpoint: options.address,
    token: '',
    namespace: '',
    pathPrefix: '',
    noCustomHTTPVerbs: false,
    // Its own debug output prints what is written.
    debug: () => undefined,
    'request-promise': { defaults: () => (request: VaultRequest) => transport.send(request) },
  });
  // An empty option falls back to VAULT_TOKEN, VAULT_NAMESPACE and VAULT_PREFIX; set afterwards, it stays empty.
  Object.assign(vault, { token: '', namespace: '', pathPrefix: '' });

  const once = async (send: (headers: Record<string, string>) => Promise<unknown>): Promise<VaultAnswer> => {
    for (let attempt = 1; ; attempt += 1) {
      const token = await options.auth.token();
      const headers: Record<string, string> = { 'X-Vault-Token': token.reveal(), 'X-Vault-Request': 'true' };
      if (options.namespace !== undefined) headers['X-Vault-Namespace'] = options.namespace;
      try {
        return { kind: 'ok', body: await send(headers) };
      } catch (error) {
        // The error may carry value and token: only what `judge` makes of it leaves this function.
        const judged = judge(error);
        if ('kind' in judged && !(judged instanceof Error)) return judged;
        if (statusOf(error) !== 403 || attempt > 1 || (await options.auth.renew(token)) === 'same') throw judged;
      }
    }
  };
  const read = (path: string) => once((headers) => vault.read(path, { headers }) as Promise<unknown>);
  return {
    read: async (path) => {
      try {
        return await read(path);
      } catch {
        await options.clock.sleep(retryDelayMs);
        return read(path);
      }
    },
    write: (path, body) => once((headers) => vault.write(path, body, { headers }) as Promise<unknown>),
    delete: (path) => once((headers) => vault.delete(path, { headers }) as Promise<unknown>),
    close: () => transport.close(),
  };
}

function statusOf(error: unknown): number | undefined {
  return responseOf(error)?.statusCode;
}

function responseOf(error: unknown): { readonly statusCode: number; readonly body: unknown } | undefined {
  if (typeof error !== 'object' || error === null || !('response' in error)) return undefined;
  const { response } = error;
  if (typeof response !== 'object' || response === null || !('statusCode' in response)) return undefined;
  const { statusCode } = response;
  if (typeof statusCode !== 'number') return undefined;
  return { statusCode, body: 'body' in response ? response.body : undefined };
}

/** Our words for what went wrong. Nothing of the provider's error survives. */
function judge(error: unknown): Failure | Exclude<VaultAnswer, { kind: 'ok' }> {
  if (error instanceof TransportFault) return waiting('DestinationUnavailable', faults[error.fault]);
  const response = responseOf(error);
  if (response === undefined) return waiting('DestinationUnavailable', 'the call to the Vault server failed');
  const { statusCode, body } = response;
  if (statusCode === 404) return { kind: 'missing', body };
  if (statusCode === 400) return { kind: 'refused', body };
  return waiting('DestinationUnavailable', sentence(statusCode));
}

const faults: Readonly<Record<TransportFault['fault'], string>> = {
  unreachable: 'the Vault server cannot be reached',
  timeout: 'the Vault server did not answer in time',
  tooLarge: 'the Vault server gave an answer that is too large',
  notJson: 'what answers at the address of the Vault server is no Vault server: its answer is not JSON',
};

function sentence(statusCode: number): string {
  if (statusCode === 401 || statusCode === 403) return `the Vault server denies us access (${statusCode})`;
  if (statusCode === 429) return 'the Vault server limits our rate (429)';
  if (statusCode === 503) return 'the Vault server is sealed or in maintenance (503)';
  if (statusCode >= 500) return `the Vault server failed (${statusCode})`;
  if (statusCode >= 300 && statusCode < 400) return `the Vault server redirects elsewhere (${statusCode}), which is not followed`;
  return `the Vault server answered with an unexpected status (${statusCode})`;
}
