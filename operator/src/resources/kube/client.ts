import type { Dispatcher } from 'undici';
import { Agent, ProxyAgent } from 'undici';
import type { Clock, Instant } from '../../domain/time.ts';
import type { Access, AccessSource, TlsOptions } from './access.ts';
import { KubeFault, causesOf, failureOf, faultOf, isOverQuota } from './fault.ts';
import { parseLines } from './lines.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'patch' | 'apply' | 'delete';

/** One call of the Kubernetes API. */
export interface KubeRequest {
  readonly verb: Verb;
  /** For metrics and messages. */
  readonly kind: string;
  /** From the root, each segment encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** `application/json` when absent. */
  readonly accept?: string;
  /** For the whole answer, tries included, in milliseconds; {@link KubeClientInit.timeoutMs} when absent. */
  readonly timeoutMs?: number;
  /** The largest answer that is read, in bytes: whoever answers in the API server's place must not fill our memory. Absent = any. */
  readonly maxBytes?: number;
}

/** An answer that says how things stand: 2xx, 404, 409, 410 or 422. Everything else is thrown. */
export interface KubeAnswer {
  readonly status: number;
  /** Parsed JSON, unknown fields and all. */
  readonly body: unknown;
  /** The server's clock, in whole seconds (`Date`, RFC 9110 section 6.6.1); absent = it did not send one. */
  readonly date?: Instant;
}

export interface KubeClientInit {
  readonly access: AccessSource;
  readonly clock: Clock;
  /** Deadline of a call that names none, in milliseconds. Default 10 s. */
  readonly timeoutMs?: number;
  /** Told of every call with the HTTP status, or the fault's word; of a watch when it stands. */
  readonly onCall?: (verb: Verb, kind: string, code: string, durationMs: number) => void;
}

const defaultTimeoutMs = 10_000;
const watchHeadersTimeoutMs = 30_000;
const tries = 3;
const retryBaseMs = 100;
const longestRetryAfterMs = 5_000;
/** A connection of client-go probes after 30 s; a dead peer must not hold a call longer than that. */
const keepAliveInitialDelay = 30_000;
/** A Status that says no is a few hundred bytes. */
const maxRefusalBytes = 1_048_576;
const connectTimeoutMs = 10_000;
const passedThrough = new Set([404, 409, 410, 422]);
const methods: Readonly<Record<Verb, Dispatcher.HttpMethod>> = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  patch: 'PATCH',
  apply: 'PATCH',
  delete: 'DELETE',
};
const contentTypes: Readonly<Record<Verb, string>> = {
  get: 'application/json',
  list: 'application/json',
  watch: 'application/json',
  create: 'application/json',
  patch: 'application/merge-patch+json',
  apply: 'application/apply-patch+yaml',
  delete: 'application/json',
};

interface Connections {
  readonly key: string;
  /** Calls share few connections: HTTP/2, where each carries many at once. */
  readonly calls: Dispatcher;
  /**
   * For calls about Secrets: deliveries, which a slow admission webhook may delay. Over HTTP/1.1 (a proxy may offer nothing
   * else), a connection carries one call at a time, and a few hanging calls would block the others.
   */
  readonly secrets: Dispatcher;
  /** Each watch has an HTTP/1.1 connection of its own, so that one slow reader holds up nobody else. */
  readonly watches: Dispatcher;
}

/**
 * Raw JSON over connections that are shared and kept: client-node's own client makes a new TLS handshake for every
 * call, and its models drop fields that they do not know.
 */
export class KubeClient {
  readonly #init: KubeClientInit;
  #connections: Connections | undefined;
  #isClosed = false;

  constructor(init: KubeClientInit) {
    this.#init = init;
  }

  /**
   * Calls and retries within bounds: what was not done for sure, and, since each of our writes is conditional or the
   * same when done twice, also what may have been done. Throws Failure.
   */
  async send(request: KubeRequest): Promise<KubeAnswer> {
    try {
      return await this.sendRaw(request);
    } catch (error) {
      throw failureOf(faultOf(error), `${request.verb} ${request.kind}`);
    }
  }

  /** The same, throwing {@link KubeFault}: for the reflector and the leader election, which decide by its code. */
  async sendRaw(request: KubeRequest, signal?: AbortSignal): Promise<KubeAnswer> {
    const { clock } = this.#init;
    const deadlineMs = clock.monotonicMs() + (request.timeoutMs ?? this.#init.timeoutMs ?? defaultTimeoutMs);
    for (let attempt = 1; ; attempt += 1) {
      try {
        // A later try has what the earlier ones left.
        return await this.#once(request, Math.max(1, Math.ceil(deadlineMs - clock.monotonicMs())), signal);
      } catch (error) {
        const fault = faultOf(error);
        const delayMs = Math.min(fault.retryAfterMs ?? retryBaseMs * 4 ** (attempt - 1), longestRetryAfterMs);
        const isLast = attempt >= tries || clock.monotonicMs() + delayMs >= deadlineMs;
        if (isLast || this.#isClosed || signal?.aborted === true || !isRetried(fault, attempt)) throw fault;
        await clock.sleep(delayMs, signal);
      }
    }
  }

  /**
   * What the API server answers to this bearer token alone: no certificate, no header of the kubeconfig. Sends the request once,
   * on a separate connection without a client certificate. Returns the HTTP status; throws {@link KubeFault}.
   */
  async statusAs(bearer: string, request: KubeRequest): Promise<number> {
    const ours = await this.#access();
    const { ca, servername, rejectUnauthorized } = ours.tls;
    const tls: TlsOptions = {
      ...(ca === undefined ? {} : { ca }),
      ...(servername === undefined ? {} : { servername }),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    };
    const access: Access = { ...ours, headers: { authorization: `Bearer ${bearer}` }, tls };
    const connections = openConnections(access);
    try {
      const signal = AbortSignal.timeout(request.timeoutMs ?? this.#init.timeoutMs ?? defaultTimeoutMs);
      const answer = await connections.calls.request({ ...this.#options(access, request), signal });
      await answer.body.dump();
      return answer.statusCode;
    } catch (error) {
      throw faultOf(error);
    } finally {
      await destroyAll(connections);
    }
  }

  /**
   * Opens a watch: resolves with its events once the server has accepted it, throws {@link KubeFault}. The connection
   * ends with `signal`, or when the iteration does.
   */
  async watch(request: KubeRequest, signal: AbortSignal): Promise<AsyncIterable<unknown>> {
    const { access } = this.#init;
    const startedMs = this.#init.clock.monotonicMs();
    try {
      const current = await this.#access();
      const { watches } = await this.#connect(current);
      const answer = await watches.request({
        ...this.#options(current, request),
        signal,
        headersTimeout: watchHeadersTimeoutMs,
        bodyTimeout: 0,
      });
      this.#tell(request, String(answer.statusCode), startedMs);
      if (answer.statusCode === 200) return parseLines(answer.body);
      if (answer.statusCode === 401) access.invalidate(current);
      throw await refusalOf(answer);
    } catch (error) {
      const fault = faultOf(error);
      if (typeof fault.code === 'string') this.#tell(request, fault.code, startedMs);
      throw fault;
    }
  }

  /** Ends all connections, watches included. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const connections = this.#connections;
    this.#connections = undefined;
    if (connections !== undefined) await destroyAll(connections);
  }

  async #once(request: KubeRequest, timeoutMs: number, signal: AbortSignal | undefined): Promise<KubeAnswer> {
    const startedMs = this.#init.clock.monotonicMs();
    try {
      const access = await this.#access();
      const { calls, secrets } = await this.#connect(access);
      const deadline = AbortSignal.timeout(timeoutMs);
      const answer = await (request.kind === 'Secret' ? secrets : calls).request({
        ...this.#options(access, request),
        signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
        // Besides the deadline: undici probes a silent HTTP/2 connection when these pass, and replaces a dead one.
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
      });
      this.#tell(request, String(answer.statusCode), startedMs);
      const { statusCode: status } = answer;
      if (status === 401) this.#init.access.invalidate(access);
      if (!isSuccess(status) && !passedThrough.has(status)) throw await refusalOf(answer);
      const date = Date.parse(String(answer.headers['date']));
      const body = await parseBody(answer.body, request.maxBytes);
      return Number.isNaN(date) ? { status, body } : { status, body, date };
    } catch (error) {
      const fault = faultOf(error);
      if (typeof fault.code === 'string') this.#tell(request, fault.code, startedMs);
      throw fault;
    }
  }

  #tell(request: KubeRequest, code: string, startedMs: number): void {
    const { clock, onCall } = this.#init;
    onCall?.(request.verb, request.kind, code, clock.monotonicMs() - startedMs);
  }

  async #access(): Promise<Access> {
    try {
      return await this.#init.access.current();
    } catch {
      // The reader's text may quote an exec plugin's output.
      throw new KubeFault('credentials');
    }
  }

  #options(access: Access, request: KubeRequest) {
    const query = request.query === undefined ? '' : `?${new URLSearchParams(request.query).toString()}`;
    return {
      origin: access.origin,
      path: `${access.basePath}${request.path}${query}`,
      method: methods[request.verb],
      headers: {
        ...access.headers,
        accept: request.accept ?? 'application/json',
        'user-agent': 'keywright',
        ...(request.body === undefined ? {} : { 'content-type': contentTypes[request.verb] }),
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
    };
  }

  async #connect(access: Access): Promise<Connections> {
    // A call that comes late must not open connections that nobody closes.
    if (this.#isClosed) throw new KubeFault('refused');
    const old = this.#connections;
    if (old?.key === access.connectionKey) return old;
    this.#connections = openConnections(access);
    if (old !== undefined) {
      // Calls in flight end on the old connections; watches come back on the new ones.
      for (const one of [old.calls, old.secrets]) one.close().catch(() => undefined);
      await old.watches.destroy();
    }
    return this.#connections;
  }
}

function openConnections(access: Access): Connections {
  const connect = {
    ...access.tls,
    keepAlive: true,
    keepAliveInitialDelay,
    timeout: connectTimeoutMs,
  } as Agent.Options['connect'];
  const calls = { connections: 4, allowH2: true, pipelining: 1 };
  if (access.proxyUrl !== undefined) {
    const proxied = { uri: access.proxyUrl, requestTls: access.tls as NonNullable<ProxyAgent.Options['requestTls']> };
    return {
      key: access.connectionKey,
      calls: new ProxyAgent({ ...proxied }),
      secrets: new ProxyAgent({ ...proxied }),
      watches: new ProxyAgent({ ...proxied, allowH2: false }),
    };
  }
  return {
    key: access.connectionKey,
    calls: new Agent({ ...calls, ...(connect === undefined ? {} : { connect }) }),
    secrets: new Agent({ ...calls, ...(connect === undefined ? {} : { connect }) }),
    watches: new Agent({ allowH2: false, ...(connect === undefined ? {} : { connect }) }),
  };
}

async function destroyAll({ calls, secrets, watches }: Connections): Promise<void> {
  await Promise.all([calls, secrets, watches].map((one) => one.destroy()));
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function isRetried(fault: KubeFault, attempt: number): boolean {
  const { code } = fault;
  // With new credentials, once.
  if (code === 401) return attempt === 1;
  return code === 'refused' || code === 'broken' || code === 429 || code === 503 || code === 500;
}

async function refusalOf(answer: Dispatcher.ResponseData): Promise<KubeFault> {
  const seconds = Number(answer.headers['retry-after']);
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : undefined;
  const body = await parseBody(answer.body, maxRefusalBytes).catch(() => undefined);
  const causes = causesOf(body).map((cause) => cause.reason);
  return new KubeFault(answer.statusCode, retryAfterMs, isOverQuota(body) ? [...causes, 'ExceededQuota'] : causes);
}

async function parseBody(body: Dispatcher.ResponseData['body'], maxBytes = Infinity): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > maxBytes) {
      body.destroy();
      throw new KubeFault('tooLarge');
    }
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  try {
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  } catch {
    // A proxy's page, or half an answer.
    throw new KubeFault('broken');
  }
}
