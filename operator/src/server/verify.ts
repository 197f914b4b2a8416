import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Authorize } from '../authorize/authorize.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { answerOf } from './answers.ts';
import type { VerdictAnswer } from './answers.ts';
import { readJson } from './body.ts';
import type { Exchange, InFlight } from './inflight.ts';
import type { Handler } from './listener.ts';
import { methodNotAllowed, noRoom, notFound, unauthorized } from './problems.ts';
import { badRequest, respondJson, respondProblem } from './respond.ts';
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
  readonly maxLength: number;
  readonly answer: (body: unknown, authorize: Authorize) => Promise<Parsed<object>>;
}

const routes: ReadonlyMap<string, Route> = new Map([
  ['/v1/verify', { maxLength: bodyMaxLength, answer: verifyOne }],
  ['/v1/verify/batch', { maxLength: batchBodyMaxLength, answer: verifyBatch }],
]);

/** Serves `POST /v1/verify` and `POST /v1/verify/batch`. A verdict is always a 200; its own status is inside. */
export function verifyHandler(api: VerifyApi): Handler {
  return async (request, response, { admitted, client }) => {
    const route = routes.get(cutQuery(request.url ?? ''));
    if (route === undefined) respondProblem(response, notFound);
    else if (request.method !== 'POST') respondProblem(response, methodNotAllowed('POST'));
    else if (!admitted) respondProblem(response, unauthorized);
    else await serve(route, request, response, { api, client });
  };
}

async function serve(
  { maxLength, answer }: Route,
  request: IncomingMessage,
  response: ServerResponse,
  { api, client }: { readonly api: VerifyApi; readonly client: string },
): Promise<void> {
  const exchange = begin(request, response, { api, client });
  const body = await readJson(request, { exchange, maxLength });
  if (body.kind === 'refused') {
    // What was read of it is gone, although the answer may have to wait for earlier ones.
    exchange.close();
    respondProblem(response, body.problem);
    return;
  }
  exchange.working();
  const answered = await answer(body.value, api.authorize);
  if (answered.kind === 'faulty') respondProblem(response, badRequest(answered.detail));
  else send(response, JSON.stringify(answered.value), exchange);
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

function send(response: ServerResponse, text: string, exchange: Exchange): void {
  exchange.sending();
  if (exchange.take(Buffer.byteLength(text))) respondJson(response, 200, text);
  else respondProblem(response, noRoom);
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
