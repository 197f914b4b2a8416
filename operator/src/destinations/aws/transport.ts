import type { SecretsManagerClientConfig } from '@aws-sdk/client-secrets-manager';
import { Agent, request, type Dispatcher } from 'undici';
import { boundConnections } from '../allowance.ts';
import { readAnswerBody } from '../answerbody.ts';
import { guardedLookup } from '../connect.ts';
import { boundBy, orAborted } from '../deadline.ts';

/** Why there is no answer. It names no address, header or body: all of those may hold a secret. */
export class TransportFault extends Error {
  readonly fault: 'unreachable' | 'timeout' | 'tooLarge';
  /** The code of Node's own error, for the log. */
  readonly code: string | undefined;

  constructor(fault: TransportFault['fault'], code?: string) {
    super(fault);
    this.name = 'TransportFault';
    this.fault = fault;
    this.code = code;
  }
}

/** What the SDK asks of the part that sends its requests. */
export type RequestHandler = Extract<NonNullable<SecretsManagerClientConfig['requestHandler']>, { handle: unknown }>;

/** A request of the SDK, as far as it is sent: these services have neither query nor stream. */
interface SdkRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Sends the requests of the SDK's clients. */
export interface Transport {
  readonly handler: RequestHandler;
  /** GET without the SDK: status and body. Throws {@link TransportFault}. */
  get(url: string, headers: Readonly<Record<string, string>>): Promise<{ readonly statusCode: number; readonly body: Buffer }>;
  close(): Promise<void>;
}

/** What {@link openTransport} needs. */
export interface TransportOptions {
  /** Deadline of one call, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether the name of an endpoint may lead to a loopback address. */
  readonly mayLoopback: boolean;
}

/**
 * The road to AWS. The SDK's own handler reads answers of any size and has no deadline over the whole call; this one
 * has both, follows no redirect, and knows no proxy of the environment.
 */
export function openTransport({ timeoutMs, mayLoopback }: TransportOptions): Transport {
  const { connect, expecting } = boundConnections({ timeout: timeoutMs, lookup: guardedLookup(mayLoopback) });
  const agent = new Agent({ connect });
  const send = async (url: string, options: Pick<Dispatcher.RequestOptions, 'method' | 'headers' | 'body'>) => {
    const signal = boundBy(timeoutMs);
    try {
      const { answer, body } = await expecting(async () => {
        const answer = await orAborted(signal, request(url, { ...options, dispatcher: agent, signal }));
        return { answer, body: await readAnswerBody(answer.body) };
      });
      if (body === undefined) throw new TransportFault('tooLarge');
      return { statusCode: answer.statusCode, headers: flatten(answer.headers), body };
    } catch (error) {
      if (error instanceof TransportFault) throw error;
      const { code } = (error ?? {}) as { readonly code?: unknown };
      throw new TransportFault(signal.aborted ? 'timeout' : 'unreachable', typeof code === 'string' ? code : undefined);
    }
  };
  const handler = {
    metadata: { handlerProtocol: 'http/1.1' },
    handle: async ({ method, protocol, hostname, port, path, headers, body }: SdkRequest) => {
      const url = `${protocol}//${hostname}${port === undefined ? '' : `:${port}`}${path}`;
      // undici writes both by itself, and refuses a second one.
      const { 'content-length': _length, host: _host, ...rest } = headers;
      const sent = typeof body === 'string' || body instanceof Uint8Array ? body : null;
      return { response: await send(url, { method: method, headers: rest, body: sent }) };
    },
    updateHttpClientConfig: () => undefined,
    httpHandlerConfigs: () => ({}),
    destroy: () => undefined,
  };
  return {
    handler: handler,
    get: (url, headers) => send(url, { method: 'GET', headers, body: null }),
    close: () => agent.close(),
  };
}

function flatten(headers: Readonly<Record<string, string | readonly string[] | undefined>>): Record<string, string> {
  const flat = Object.entries(headers).map(
    ([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value as string)] as const,
  );
  return Object.fromEntries(flat);
}
