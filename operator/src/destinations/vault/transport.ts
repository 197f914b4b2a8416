import { Agent, request } from 'undici';
import { readAnswerBody } from '../answerbody.ts';
import { boundBy } from '../deadline.ts';

/** Whatever a server asks for, it is tried again after this. */
const longestRetryAfterMs = 600_000;

/** What a call came to before anybody judged the status; `body` is parsed JSON, or `undefined` for an empty answer. */
export interface RawAnswer {
  readonly statusCode: number;
  readonly body: unknown;
  readonly request: { readonly path: string };
}

/** Why there is no usable answer. It names no address, header or body: all of those may hold a secret. */
export class TransportFault extends Error {
  readonly fault: 'unreachable' | 'untrusted' | 'timeout' | 'tooLarge' | 'notJson' | 'throttled';
  /** From `Retry-After`, in milliseconds. */
  readonly retryAfterMs: number | undefined;

  constructor(fault: TransportFault['fault'], retryAfterMs?: number) {
    super(fault);
    this.name = 'TransportFault';
    this.fault = fault;
    this.retryAfterMs = retryAfterMs;
  }
}

/** What node-vault asks of the function that sends its requests. */
export interface VaultRequest {
  readonly method: string;
  readonly uri: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  /** Another deadline than the transport's own. */
  readonly timeoutMs?: number | undefined;
}

/** Sends requests to one server. */
export interface Transport {
  send(options: VaultRequest): Promise<RawAnswer>;
  close(): Promise<void>;
}

/**
 * The road to one Vault server. node-vault's own (axios) follows redirects with the token in its headers, goes through
 * whatever proxy the environment names, reads answers of any size, and its errors carry the whole request; this one
 * does none of that, and its deadline covers the call from connect to the last byte.
 */
export function openTransport(options: { readonly caBundle: string | undefined; readonly timeoutMs: number }): Transport {
  const { caBundle, timeoutMs } = options;
  const agent = new Agent({ connect: { timeout: timeoutMs, ...(caBundle === undefined ? {} : { ca: caBundle }) } });
  return {
    send: async ({ method, uri, headers = {}, json, timeoutMs: own = timeoutMs }) => {
      const signal = boundBy(own);
      const hasBody = typeof json === 'object' && json !== null;
      try {
        const answer = await request(uri, {
          method,
          dispatcher: agent,
          signal,
          headers: { 'content-type': 'application/json', ...headers },
          ...(hasBody ? { body: JSON.stringify(json) } : {}),
        });
        const body = await readAnswerBody(answer.body);
        if (body === undefined) throw new TransportFault('tooLarge');
        // Told apart here, because node-vault drops the headers.
        if (answer.statusCode === 429) throw new TransportFault('throttled', retryAfter(answer.headers['retry-after']));
        return {
          statusCode: answer.statusCode,
          body: parse(body.toString('utf8'), answer.statusCode),
          request: { path: new URL(uri).pathname },
        };
      } catch (error) {
        if (error instanceof TransportFault) throw error;
        throw new TransportFault(signal.aborted ? 'timeout' : isUntrusted(error) ? 'untrusted' : 'unreachable');
      }
    },
    close: () => agent.close(),
  };
}

/** Seconds, as Vault's rate limit quotas say it; a date counts as nothing. */
function retryAfter(header: string | string[] | undefined): number | undefined {
  const seconds = Number(header);
  return seconds > 0 ? Math.min(seconds * 1000, longestRetryAfterMs) : undefined;
}

/** What Node says of a certificate that it does not accept: OpenSSL's verification errors, and a name that is another's. */
function isUntrusted(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' && /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|INVALID_CA/.test(code);
}

/** An error status is told by its number alone: proxies in front of Vault answer in HTML. */
function parse(text: string, statusCode: number): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    if (statusCode >= 300) return undefined;
    throw new TransportFault('notJson');
  }
}
