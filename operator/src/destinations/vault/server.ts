import { unanswered, waiting } from '../../domain/failure.ts';
import type { Plaintext } from '../../domain/plaintext.ts';
import { member } from './metadata.ts';
import { openTransport, TransportFault, type VaultRequest } from './transport.ts';

/** Where a Vault server is, and how it is spoken to. */
export interface VaultServerOptions {
  /** Scheme, host and port. */
  readonly address: string;
  /** The Vault namespace; absent = the root one. */
  readonly namespace: string | undefined;
  readonly caBundle: string | undefined;
  /** Deadline of one call, from connect to the last byte. Default 10 s. */
  readonly timeoutMs?: number | undefined;
}

/**
 * What a call came to. `missing` = 404; `refused` = 400, which for a conditional write is a lost condition; `denied` =
 * 401 or 403: the token is dead, or lacks a right.
 */
export interface VaultAnswer {
  readonly kind: 'ok' | 'missing' | 'refused' | 'denied';
  readonly statusCode: number;
  readonly body: unknown;
}

/** One call. Paths are checked by the caller, segment by segment. */
export interface VaultCall {
  readonly method: 'read' | 'write' | 'delete';
  readonly path: string;
  readonly body?: object;
  /** Absent for a login. */
  readonly token?: Plaintext;
  readonly timeoutMs?: number;
}

/** A Vault server without a login of its own. */
export interface VaultServer {
  /** Sends once. Throws DestinationUnavailable when the server gives no answer that means something. */
  send(call: VaultCall): Promise<VaultAnswer>;
  /** Ends the connections, after the calls in flight. */
  close(): Promise<void>;
}

const defaultTimeoutMs = 10_000;

/** Opens a server. node-vault is loaded here and not before: a process without Vault destinations never pays for it. */
export async function openVaultServer(options: VaultServerOptions): Promise<VaultServer> {
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

  return {
    send: async ({ method, path, body = {}, token, timeoutMs }) => {
      const headers: Record<string, string> = { 'X-Vault-Request': 'true' };
      if (token !== undefined) headers['X-Vault-Token'] = token.reveal();
      if (options.namespace !== undefined) headers['X-Vault-Namespace'] = options.namespace;
      const more = { headers, timeoutMs };
      try {
        const answered: unknown = await (method === 'write' ? vault.write(path, body, more) : vault[method](path, more));
        return { kind: 'ok', statusCode: 200, body: answered };
      } catch (error) {
        // The error may carry value and token: only what `judge` makes of it leaves this function.
        return judge(error);
      }
    },
    close: () => transport.close(),
  };
}

/** Our words for what went wrong. Nothing of the provider's error survives. */
function judge(error: unknown): VaultAnswer {
  if (error instanceof TransportFault) {
    if (silences.includes(error.fault)) throw unanswered('DestinationUnavailable', faults[error.fault]);
    throw waiting('DestinationUnavailable', faults[error.fault], error.retryAfterMs);
  }
  const response = member(error, 'response');
  const statusCode = member(response, 'statusCode');
  const body = member(response, 'body');
  if (typeof statusCode !== 'number') throw waiting('DestinationUnavailable', 'the call to the Vault server failed');
  const kind = kinds.get(statusCode);
  if (kind !== undefined) return { kind, statusCode, body };
  const failed = statusCode >= 500 ? unanswered : waiting;
  throw failed('DestinationUnavailable', sentence(statusCode, body));
}

/** No server answered. */
const silences: readonly TransportFault['fault'][] = ['unreachable', 'untrusted', 'timeout'];

const kinds: ReadonlyMap<number, VaultAnswer['kind']> = new Map([
  [400, 'refused'],
  [401, 'denied'],
  [403, 'denied'],
  [404, 'missing'],
]);

const faults: Readonly<Record<TransportFault['fault'], string>> = {
  unreachable: 'the Vault server cannot be reached',
  untrusted: 'the certificate of the Vault server is not trusted; spec.vault.caBundle says which ones are',
  timeout: 'the Vault server did not answer in time',
  tooLarge: 'the Vault server gave an answer that is too large',
  throttled: 'the Vault server limits our rate, or is a standby (429)',
  notJson: 'what answers at the address of the Vault server is no Vault server: its answer is not JSON',
};

/** From "HTTP status codes" of Vault's API documentation, and those of `sys/health`, which load balancers pass on. */
const sentences: ReadonlyMap<number, string> = new Map([
  [412, 'is behind another one that it copies, and asks for patience'],
  [472, 'is a standby for disasters, which serves no keys'],
  [473, 'is a standby for reading, which passes no writes on'],
  [501, 'is not initialised'],
  [502, 'or what stands before it fails'],
  [503, 'is sealed or in maintenance'],
  [504, 'does not answer what stands before it'],
]);

function sentence(statusCode: number, body: unknown): string {
  const server = 'the Vault server';
  const code = `(${statusCode})`;
  if (statusCode >= 300 && statusCode < 400) return `${server} redirects elsewhere ${code}, which is not followed`;
  if (statusCode === 503 && isSealed(body)) return `${server} is sealed, and waits for somebody to unseal it ${code}`;
  const fallback = statusCode >= 500 ? 'failed' : 'answered with an unexpected status';
  return `${server} ${sentences.get(statusCode) ?? fallback} ${code}`;
}

/** A load balancer without a server says 503 as well; only the text tells them apart. */
function isSealed(body: unknown): boolean {
  const errors = member(body, 'errors');
  return Array.isArray(errors) && errors.some((text) => typeof text === 'string' && text.endsWith('is sealed'));
}
