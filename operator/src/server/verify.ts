import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Authorize } from '../authorize/authorize.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { answerOf } from './answers.ts';
import type { VerdictAnswer } from './answers.ts';
import { readJson } from './body.ts';
import type { Exchange, InFlight } from './inflight.ts';
import type { Handler } from './listener.ts';
import { openApiDocument } from './openapi.ts';
import { badRequest, methodNotAllowed, noRoom, notFound, unauthorized } from './problems.ts';
import type { Problem } from './problems.ts';
import { respondJson, respondProblem } from './respond.ts';
import { batchBodyMaxLength, bodyMaxLength, parseBatch, parseVerify } from './verifyrequest.ts';
import type { Parsed } from './verifyrequest.ts';

/** What the verify API needs. */
export interface VerifyApi {
  readonly authorize: Authorize;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'connectionDropped'>;
  /** The room for bodies and answers. */
  readonly inFlight: InFlight;
}

/** What answers at one path. */
interface Route {
  readonly method: 'GET' | 'POST';
  readonly answer: (request: IncomingMessage, exchange: Exchange) => Promise<Answered>;
}

type Answered = { readonly kind: 'text'; readonly text: string } | { readonly kind: 'refused'; readonly problem: Problem };

/** Serves the verify API and its description. A verdict is always a 200; its own status is inside. */
export function verifyHandler(api: VerifyApi): Handler {
  let description: string | undefined;
  const routes: ReadonlyMap<string, Route> = new Map([
    ['/v1/verify', post(bodyMaxLength, (body) => verifyOne(body, api.authorize))],
    ['/v1/verify/batch', post(batchBodyMaxLength, (body) => verifyBatch(body, api.authorize))],
    // Made when somebody asks for it, and once.
    ['/openapi.json', get(() => (description ??= JSON.stringify(openApiDocument())))],
  ]);
  return async (request, response, { admitted, client }) => {
    const route = routes.get(cutQuery(request.url ?? ''));
    if (route === undefined) respondProblem(response, notFound);
    else if (request.method !== route.method) respondProblem(response, methodNotAllowed(route.method));
    else if (!admitted) respondProblem(response, unauthorized);
    else await serve(route, request, response, { api, client });
  };
}

function get(text: () => string): Route {
  return { method: 'GET', answer: () => Promise.resolve({ kind: 'text', text: text() }) };
}

function post(maxLength: number, decide: (body: unknown) => Promise<Parsed<object>>): Route {
  return {
    method: 'POST',
    answer: async (request, exchange) => {
      const body = await readJson(request, { exchange, maxLength });
      if (body.kind === 'refused') return body;
      exchange.working();
      const decided = await decide(body.value);
      return decided.kind === 'faulty'
        ? { kind: 'refused', problem: badRequest(decided.detail) }
        : { kind: 'text', text: JSON.stringify(decided.value) };
    },
  };
}

async function serve(
  route: Route,
  request: IncomingMessage,
  response: ServerResponse,
  context: { readonly api: VerifyApi; readonly client: string },
): Promise<void> {
  const exchange = begin(request, response, context);
  const answered = await route.answer(request, exchange);
  if (answered.kind === 'refused') {
    // What was read of the body is gone, although the answer may have to wait for earlier ones.
    exchange.close();
    respondProblem(response, answered.problem);
    return;
  }
  exchange.sending();
  if (exchange.take(Buffer.byteLength(answered.text))) respondJson(response, 200, answered.text);
  else respondProblem(response, noRoom);
}

/** Accounts for a request, until its answer is read. */
function begin(
  request: IncomingMessage,
  response: ServerResponse,
  { api, client }: { readonly api: VerifyApi; readonly client: string },
): Exchange {
  // Node takes it away from a request whose body was not read to its end.
  const { socket } = request;
  const exchange = api.inFlight.open(client, () => {
    api.metrics.connectionDropped({ listener: 'verify', cause: 'memory' });
    socket.destroy();
  });
  response.once('close', () => {
    exchange.close();
  });
  return exchange;
}

async function verifyOne(body: unknown, authorize: Authorize): Promise<Parsed<VerdictAnswer>> {
  const parsed = parseVerify(body);
  return parsed.kind === 'faulty' ? parsed : { kind: 'parsed', value: answerOf(await authorize(parsed.value)) };
}

async function verifyBatch(body: unknown, authorize: Authorize): Promise<Parsed<{ readonly results: readonly VerdictAnswer[] }>> {
  const parsed = parseBatch(body);
  if (parsed.kind === 'faulty') return parsed;
  const verdicts = await Promise.all(parsed.value.map((request) => authorize(request)));
  return { kind: 'parsed', value: { results: verdicts.map(answerOf) } };
}

function cutQuery(target: string): string {
  const at = target.indexOf('?');
  return at === -1 ? target : target.slice(0, at);
}
