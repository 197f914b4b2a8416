import { Agent, request } from 'undici';
import { boundConnections } from '../allowance.ts';
import { readAnswerBody } from '../answerbody.ts';
import { guardedLookup } from '../connect.ts';
import { boundBy, orAborted } from '../deadline.ts';

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
  /** More detail, for the log. */
  readonly note: string | undefined;

  constructor(fault: TransportFault['fault'], more: { readonly retryAfterMs?: number | undefined; readonly note?: string } = {}) {
    super(fault);
    this.name = 'TransportFault';
    this.fault = fault;
    this.retryAfterMs = more.retryAfterMs;
    this.note = more.note;
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

/** What {@link openTransport} needs. */
export interface TransportOptions {
  readonly caBundle: string | undefined;
  /** Deadline of one call, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether the name of the server may lead to a loopback address. */
  readonly mayLoopback: boolean;
}

/**
 * The road to one Vault server. node-vault's own (axios) follows redirects with the token in its headers, goes through
 * whatever proxy the environment names, reads answers of any size, and its errors carry the whole request; this one
 * does none of that, and its deadline covers the call from connect to the last byte.
 */
export function openTransport(options: TransportOptions): Transport {
  const { caBundle, timeoutMs, mayLoopback } = options;
  const ca = caBundle === undefined ? {} : { ca: caBundle };
  const { connect, expecting } = boundConnections({ timeout: timeoutMs, lookup: guardedLookup(mayLoopback), ...ca });
  const agent = new Agent({ connect });
  return {
    send: async ({ method, uri, headers = {}, json, timeoutMs: own = timeoutMs }) => {
      const signal = boundBy(own);
      const hasBody = typeof json === 'object' && json !== null;
      try {
        const { answer, body } = await expecting(async () => {
          const sent = request(uri, {
            method,
            dispatcher: agent,
            signal,
            headers: { 'content-type': 'application/json', ...headers },
            ...(hasBody ? { body: JSON.stringify(json) } : {}),
          });
          const answer = await orAborted(signal, sent);
          return { answer, body: await readAnswerBody(answer.body) };
        });
        if (body === undefined) throw new TransportFault('tooLarge');
        // Handled here, because node-vault drops the headers.
        const parsed = parse(body.toString('utf8'), answer.statusCode);
        if (answer.statusCode === 429 && hasVaultErrors(parsed))
          throw new TransportFault('throttled', { retryAfterMs: retryAfter(answer.headers['retry-after']) });
        return {
          statusCode: answer.statusCode,
          body: parsed,
          request: { path: new URL(uri).pathname },
        };
      } catch (error) {
        if (error instanceof TransportFault) throw error;
        const { code } = (error ?? {}) as { readonly code?: unknown };
        const fault = signal.aborted ? 'timeout' : isUntrusted(code) ? 'untrusted' : 'unreachable';
        const note = fault === 'unreachable' && typeof code === 'string' ? { note: `no connection, or it broke: ${code}` } : {};
        throw new TransportFault(fault, note);
      }
    },
    close: () => agent.close(),
  };
}

/** Whether a body is one of Vault's errors: `{"errors": ["…"]}`, the list may be empty. */
export function hasVaultErrors(body: unknown): boolean {
  const errors = typeof body === 'object' && body !== null && 'errors' in body ? body.errors : undefined;
  return Array.isArray(errors) && errors.every((text) => typeof text === 'string');
}

/** Seconds, as Vault's rate limit quotas say it; a date counts as nothing. */
function retryAfter(header: string | string[] | undefined): number | undefined {
  const seconds = Number(header);
  return seconds > 0 ? Math.min(seconds * 1000, longestRetryAfterMs) : undefined;
}

/** What Node says of a certificate that it does not accept: OpenSSL's verification errors, and a name that is another's. */
function isUntrusted(code: unknown): boolean {
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
