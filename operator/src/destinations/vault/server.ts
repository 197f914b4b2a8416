import { unanswered, waiting, type FailureDetail } from '../../domain/failure.ts';
import type { Plaintext } from '../../domain/plaintext.ts';
import type { Endpoint } from '../endpoint.ts';
import { noVault } from '../untrusted.ts';
import { member } from './metadata.ts';
import { hasVaultErrors, openTransport, TransportFault, type VaultRequest } from './transport.ts';

/** Where a Vault server is, and how it is spoken to. */
export interface VaultServerOptions {
  readonly endpoint: Endpoint;
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
  const { endpoint, caBundle, timeoutMs: deadlineMs = defaultTimeoutMs } = options;
  const transport = openTransport({ caBundle, timeoutMs: deadlineMs, mayLoopback: endpoint.mayLoopback });
  const { default: nodeVault } = await import('node-vault');
  const vault = nodeVault({
    apiVersion: 'v1',
    endpoint: endpoint.address,
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
    if (error.fault === 'throttled') throw waiting('DestinationUnavailable', throttled, error.retryAfterMs);
    throw noVault({ class: classes[error.fault] ?? 'answer', text: error.note ?? faults[error.fault] });
  }
  const response = member(error, 'response');
  const statusCode = member(response, 'statusCode');
  const body = member(response, 'body');
  if (typeof statusCode !== 'number') throw noVault({ class: 'answer', text: 'the call failed' });
  if (!isOfVault(statusCode, body)) throw noVault({ class: 'answer', text: strangeStatus(statusCode) });
  const kind = kinds.get(statusCode);
  if (kind !== undefined) return { kind, statusCode, body };
  const failed = statusCode >= 500 ? unanswered : waiting;
  throw failed('DestinationUnavailable', sentence(statusCode, body));
}

/**
 * Whether an error has Vault's form: a list of texts or, for a deleted version, its metadata. A gateway or another server with
 * the same status has another body, and its status must not be shown.
 *
 * @see https://developer.hashicorp.com/vault/api-docs#error-response
 */
function isOfVault(statusCode: number, body: unknown): boolean {
  if (hasVaultErrors(body)) return true;
  return statusCode === 404 && typeof member(member(member(body, 'data'), 'metadata'), 'version') === 'number';
}

const kinds: ReadonlyMap<number, VaultAnswer['kind']> = new Map([
  [400, 'refused'],
  [401, 'denied'],
  [403, 'denied'],
  [404, 'missing'],
]);

function strangeStatus(statusCode: number): string {
  if (statusCode >= 300 && statusCode < 400) return `the server redirects elsewhere (${statusCode}), which is not followed`;
  const what = sentences.get(statusCode);
  return `status ${statusCode} without an error of Vault${what === undefined ? '' : `; from Vault it means that it ${what}`}`;
}

const classes: Readonly<Partial<Record<TransportFault['fault'], FailureDetail['class']>>> = {
  unreachable: 'unreachable',
  untrusted: 'certificate',
  timeout: 'timeout',
};

const throttled = 'the Vault server limits our rate, or is a standby (429)';

const faults: Readonly<Record<Exclude<TransportFault['fault'], 'throttled'>, string>> = {
  unreachable: 'the server cannot be reached',
  untrusted: 'the certificate of the server is not trusted; spec.vault.caBundle says which ones are',
  timeout: 'the server did not answer in time',
  tooLarge: 'the answer is too large',
  notJson: 'the answer is not JSON',
};

/** From "HTTP status codes" of Vault's API documentation. */
const sentences: ReadonlyMap<number, string> = new Map([
  [412, 'is behind another one that it copies, and asks for patience'],
  [472, 'is a standby for disasters, which serves no keys'],
  [473, 'is a standby for reading, which passes no writes on'],
  [501, 'is not initialised'],
  [502, 'or what stands before it fails'],
  [503, 'is in maintenance'],
]);

function sentence(statusCode: number, body: unknown): string {
  const server = 'the Vault server';
  const code = `(${statusCode})`;
  if (statusCode === 503 && isSealed(body)) return `${server} is sealed, and waits for somebody to unseal it ${code}`;
  const fallback = statusCode >= 500 ? 'failed' : 'answered with an unexpected status';
  return `${server} ${sentences.get(statusCode) ?? fallback} ${code}`;
}

/** Maintenance is also a 503; only the text differs. */
function isSealed(body: unknown): boolean {
  const errors = member(body, 'errors');
  return Array.isArray(errors) && errors.some((text) => typeof text === 'string' && text.endsWith('is sealed'));
}
