import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { authorize } from './authorization.ts';
import { AwsError } from './error.ts';
import { Faults } from './faults.ts';
import type { Fault, OrderedFault } from './faults.ts';
import type { Input } from './grammar.ts';
import { Identities } from './identities.ts';
import type { Caller } from './identities.ts';
import { KmsKeys } from './kms.ts';
import { Secrets } from './secrets.ts';
import { checkSignature, readClaim } from './signature.ts';
import { answerSts, stsAction, stsErrorXml } from './sts.ts';

/** One request, without any value. */
export interface LoggedCall {
  /** As `PutSecretValue`, `AssumeRole`; `followed` for a client that went where a redirect sent it. */
  readonly action: string;
  /** The name or ARN that the request was about. */
  readonly secretId: string | undefined;
  readonly accessKeyId: string | undefined;
  /** `ok`, the error's class, or the fault's kind. */
  outcome: string;
}

/** A request, cut into its parts. */
interface Received {
  readonly request: IncomingMessage;
  readonly body: Buffer;
  /** The content type of the answer. */
  readonly type: string;
  readonly action: string;
  /** Only of STS. */
  readonly form: URLSearchParams | undefined;
  /** Only of Secrets Manager, and only when it is a JSON object. */
  readonly input: Input | undefined;
}

type Operation = (input: Input) => object | undefined;

const MAX_BODY = 1 << 20;
const JSON_TYPE = 'application/x-amz-json-1.1';

/**
 * A strict AWS on loopback: Secrets Manager (JSON 1.1 protocol) and the STS actions that give credentials (Query
 * protocol) under one address, for one account and region, written from the AWS documentation. Where the documentation
 * leaves a choice, it takes the one that is harder on the client.
 */
export class AwsFake {
  readonly region = 'eu-west-1';
  readonly account = '123456789012';
  readonly kms: KmsKeys;
  readonly identities: Identities;
  readonly #secrets: Secrets;
  readonly #operations: ReadonlyMap<string, Operation>;
  readonly #faults = new Faults();
  readonly #server: Server;
  #calls: LoggedCall[] = [];
  #aheadMs = 0;
  #rate: { readonly perSecond: number; tokens: number; at: number } | undefined;

  private constructor(server: Server) {
    this.#server = server;
    const now = (): number => Date.now() + this.#aheadMs;
    this.kms = new KmsKeys(this.region, this.account);
    this.identities = new Identities(this.account, now);
    this.#secrets = new Secrets({
      region: this.region,
      account: this.account,
      now,
      useKey: (kmsKeyId, use) => this.kms.use(kmsKeyId, use),
    });
    this.#operations = operationsOf(this.#secrets);
  }

  /** Starts it on a free port. End it with {@link close}. */
  static async open(): Promise<AwsFake> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    const fake = new AwsFake(server);
    server.on('request', (request, response) => {
      void fake.#serve(request, response).catch(() => response.destroy());
    });
    return fake;
  }

  /** The address of both services. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** All requests since the start or {@link forgetCalls}. */
  get log(): readonly LoggedCall[] {
    return this.#calls;
  }

  /** How many requests there were, of one action or of all; refused ones count. */
  calls(action?: string): number {
    return this.#calls.filter((call) => action === undefined || call.action === action).length;
  }

  forgetCalls(): void {
    this.#calls = [];
  }

  /** Breaks the next calls of an action, or of all (`*`), until it is lifted. */
  fault(action: string, fault: Fault, calls?: number): OrderedFault {
    return this.#faults.order(action, fault, calls);
  }

  liftFaults(): void {
    this.#faults.liftAll();
  }

  /** Throttles what comes quicker than so many calls a second, after a first burst of as many. `undefined` ends it. */
  limitRate(perSecond: number | undefined): void {
    this.#rate = perSecond === undefined ? undefined : { perSecond, tokens: perSecond, at: performance.now() };
  }

  /** Sets the clock of deletion windows and sessions ahead. */
  advance(ms: number): void {
    this.#aheadMs += ms;
  }

  /** Does an operation of Secrets Manager as a person with every right: no signature, no fault, no count. */
  call(action: string, input: Input): Promise<object> {
    const operation = this.#operations.get(action);
    if (operation === undefined) return Promise.reject(new Error(`the fake does not know ${action}`));
    return Promise.resolve().then(() => operation(structuredClone(input)) ?? {});
  }

  async close(): Promise<void> {
    this.#faults.liftAll();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    if (request.url === '/followed') {
      this.#note('followed', undefined, request).outcome = 'ok';
      return send(response, 200, JSON_TYPE, '{}');
    }
    const received = read(request, body);
    const call = this.#note(received.action, received.input ?? {}, request);
    const met = this.#faults.take(received.action);
    if (met?.fault.kind === 'hold') await met.lifted;
    else if (met !== undefined) {
      call.outcome = met.fault.kind;
      if (met.fault.kind === 'lateReset') this.#work(received);
      breakAnswer(met.fault, received, response);
      return;
    }
    const done = this.#work(received);
    call.outcome = done.outcome;
    send(response, done.status, received.type, done.text);
  }

  /** Does what the request asks for, and says how it went. */
  #work(received: Received): { readonly status: number; readonly text: string; readonly outcome: string } {
    const { request, form } = received;
    const caller = (): Caller => this.#prove(received);
    try {
      if (request.method !== 'POST' || request.url !== '/') throw new AwsError('UnknownOperationException', '', 404);
      this.#spend();
      const text =
        form === undefined
          ? JSON.stringify(this.#operate(caller(), received) ?? {})
          : answerSts(stsAction(form), form, this.identities, caller);
      return { status: 200, text, outcome: 'ok' };
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      return { status: error.status, text: errorText(received, error), outcome: error.code };
    }
  }

  #operate(caller: Caller, { action, input, request }: Received): object | undefined {
    const operation = this.#operations.get(action);
    if (operation === undefined) throw new AwsError('UnknownOperationException', '');
    if (request.headers['content-type'] !== JSON_TYPE || input === undefined) throw new AwsError('SerializationException', '');
    authorize(caller, action, input, { region: this.region, secrets: this.#secrets, kms: this.kms });
    return operation(input);
  }

  #prove({ request, body, form }: Received): Caller {
    const scope = { region: this.region, service: form === undefined ? 'secretsmanager' : 'sts' };
    const claim = readClaim(request);
    checkSignature(request, body, claim, scope, this.identities.secretOf(claim.accessKeyId));
    return this.identities.callerOf(claim.accessKeyId, single(request.headers['x-amz-security-token']));
  }

  #spend(): void {
    const rate = this.#rate;
    if (rate === undefined) return;
    const now = performance.now();
    rate.tokens = Math.min(rate.perSecond, rate.tokens + ((now - rate.at) / 1000) * rate.perSecond);
    rate.at = now;
    if (rate.tokens < 1) throw throttled();
    rate.tokens -= 1;
  }

  #note(action: string, input: Input | undefined, request: IncomingMessage): LoggedCall {
    const secretId = input?.['SecretId'] ?? input?.['Name'];
    const call: LoggedCall = {
      action,
      secretId: typeof secretId === 'string' ? secretId : undefined,
      accessKeyId: /Credential=([^/]+)/.exec(request.headers.authorization ?? '')?.[1],
      outcome: 'open',
    };
    this.#calls.push(call);
    return call;
  }
}

function operationsOf(secrets: Secrets): ReadonlyMap<string, Operation> {
  return new Map<string, Operation>([
    ['CreateSecret', (input) => secrets.create(input)],
    ['DescribeSecret', (input) => secrets.describe(input)],
    ['GetSecretValue', (input) => secrets.getValue(input)],
    ['PutSecretValue', (input) => secrets.put(input)],
    ['UpdateSecretVersionStage', (input) => secrets.updateStage(input)],
    ['TagResource', (input) => secrets.tag(input)],
    ['UntagResource', (input) => secrets.untag(input)],
    ['DeleteSecret', (input) => secrets.delete(input)],
    ['RestoreSecret', (input) => secrets.restore(input)],
    ['ListSecretVersionIds', (input) => secrets.listVersionIds(input)],
  ]);
}

/** Cuts a request into what its protocol says: the form of the Query protocol, or a target and JSON. */
function read(request: IncomingMessage, body: Buffer): Received {
  if (request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true) {
    const form = new URLSearchParams(body.toString());
    return { request, body, type: 'text/xml', action: form.get('Action') ?? '', form, input: undefined };
  }
  const target = single(request.headers['x-amz-target']) ?? '';
  const action = /^secretsmanager\.(\w+)$/.exec(target)?.[1] ?? '';
  return { request, body, type: JSON_TYPE, action, form: undefined, input: parse(body) };
}

function breakAnswer(fault: Exclude<Fault, { kind: 'hold' }>, received: Received, response: ServerResponse): void {
  const { request, body, type } = received;
  const refuse = (error: AwsError): void => send(response, error.status, type, errorText(received, error));
  const quote = `<html>the request was ${request.method ?? ''} ${JSON.stringify(request.headers)} ${body.toString()}</html>`;
  switch (fault.kind) {
    case 'error':
      return refuse(new AwsError(fault.code, quote, fault.status));
    case 'throttle':
      return refuse(throttled());
    case 'page':
      return send(response, fault.status, 'text/html', quote);
    case 'garbage':
      return send(response, 200, JSON_TYPE, quote);
    case 'huge':
      return send(response, 200, JSON_TYPE, `{"Name":"${'a'.repeat(fault.bytes)}"}`);
    case 'reset':
    case 'lateReset':
      response.destroy();
      return;
    case 'redirect':
      response.writeHead(307, { location: `http://${request.headers.host ?? ''}/followed` }).end();
      return;
  }
}

function throttled(): AwsError {
  return new AwsError('ThrottlingException', 'Rate exceeded');
}

function errorText(received: Received, error: AwsError): string {
  return received.form === undefined ? JSON.stringify({ __type: error.code, Message: error.message }) : stsErrorXml(error);
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'content-type': type, 'x-amzn-requestid': randomUUID() }).end(text);
}

function single(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : undefined;
}

function parse(body: Buffer): Input | undefined {
  try {
    const parsed: unknown = JSON.parse(body.toString());
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? (parsed as Input) : undefined;
  } catch {
    return undefined;
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY) throw new Error('a request larger than AWS takes');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
