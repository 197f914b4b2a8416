import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Authorize } from '../authorize/authorize.ts';
import type { Denial, Grant, Verdict } from '../authorize/verdict.ts';
import { formatInstant } from '../domain/time.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { noRoom, readJson } from './body.ts';
import { codes, detailOf } from './codes.ts';
import type { InFlight } from './inflight.ts';
import type { Handler } from './listener.ts';
import { badRequest, respondJson, respondProblem } from './respond.ts';
import { parseBatch, parseVerify } from './verifyrequest.ts';
import type { Parsed } from './verifyrequest.ts';

/** What the verify API needs. */
export interface VerifyApi {
  readonly authorize: Authorize;
  readonly log: Log;
  readonly metrics: Pick<Metrics, 'connectionDropped'>;
  /** The room for bodies and answers. */
  readonly inFlight: InFlight;
}

type Answer = Readonly<Record<string, unknown>>;
type Route = (body: unknown, authorize: Authorize) => Promise<Parsed<Answer>>;

const routes: ReadonlyMap<string, Route> = new Map([
  ['/v1/verify', verifyOne],
  ['/v1/verify/batch', verifyBatch],
]);

/** Serves `POST /v1/verify` and `POST /v1/verify/batch`. A verdict is always a 200; its own status is inside. */
export function verifyHandler(api: VerifyApi): Handler {
  return async (request, response, { admitted, client }) => {
    const route = routes.get(cutQuery(request.url ?? ''));
    if (route === undefined) {
      respondProblem(response, { status: 404, title: 'Not Found', detail: 'There is nothing at this path.' });
    } else if (request.method !== 'POST') {
      respondProblem(response, {
        status: 405,
        title: 'Method Not Allowed',
        detail: 'Only POST is served here.',
        headers: { allow: 'POST' },
      });
    } else if (!admitted) {
      respondProblem(response, {
        status: 401,
        title: 'Unauthorized',
        detail: 'The caller did not prove itself with a client certificate or the Keywright-Caller header.',
        headers: { 'www-authenticate': 'Keywright-Caller' },
      });
    } else {
      await serve(route, request, response, { api, client });
    }
  };
}

async function serve(
  route: Route,
  request: IncomingMessage,
  response: ServerResponse,
  { api, client }: { readonly api: VerifyApi; readonly client: string },
): Promise<void> {
  // Node takes it away from a request whose body was not read to its end.
  const { socket } = request;
  const exchange = api.inFlight.open(client, () => {
    api.metrics.connectionDropped({ listener: 'verify', cause: 'memory' });
    socket.destroy();
  });
  response.once('close', () => {
    exchange.close();
  });
  const body = await readJson(request, exchange);
  if (body.kind === 'refused') {
    // What was read of it is gone, although the answer may have to wait for earlier ones.
    exchange.close();
    respondProblem(response, body.problem);
    return;
  }
  exchange.working();
  const answered = await route(body.value, api.authorize);
  if (answered.kind === 'faulty') {
    respondProblem(response, badRequest(answered.detail));
    return;
  }
  const text = JSON.stringify(answered.value);
  exchange.sending();
  if (exchange.take(Buffer.byteLength(text))) respondJson(response, 200, text);
  else respondProblem(response, noRoom);
}

async function verifyOne(body: unknown, authorize: Authorize): Promise<Parsed<Answer>> {
  const parsed = parseVerify(body);
  return parsed.kind === 'faulty' ? parsed : { kind: 'parsed', value: answer(await authorize(parsed.value)) };
}

async function verifyBatch(body: unknown, authorize: Authorize): Promise<Parsed<Answer>> {
  const parsed = parseBatch(body);
  if (parsed.kind === 'faulty') return parsed;
  const verdicts = await Promise.all(parsed.value.map((request) => authorize(request)));
  return { kind: 'parsed', value: { results: verdicts.map(answer) } };
}

function answer(verdict: Verdict): Answer {
  return verdict.allowed ? describeGrant(verdict.grant) : describeDenial(verdict);
}

/** Members that say nothing (`undefined`) are left out by the serialiser. */
function describeGrant(grant: Grant): Answer {
  const { keyId, apiKey, owner, clientApplication, accessType, catalog, environment, endpoint } = grant;
  const { channels, attributes, applications, requestApplication, expiresAt } = grant;
  return {
    ...{ allowed: true, keyId, apiKey, owner, clientApplication, accessType, catalog, environment, endpoint },
    ...{ channels, attributes, applications, requestApplication },
    // The same word as in a delivered record.
    expiresAt: expiresAt === undefined ? 'never' : formatInstant(expiresAt),
  };
}

function describeDenial(denial: Denial): Answer {
  const { code, expiredStatus, violatingChannels, keyId } = denial;
  const { status, retryAfterSeconds } = codes[code];
  const answered = { allowed: false, status: expiredStatus ?? status, code, detail: detailOf(denial) };
  return { ...answered, violatingChannels, keyId, retryAfterSeconds };
}

function cutQuery(target: string): string {
  const at = target.indexOf('?');
  return at === -1 ? target : target.slice(0, at);
}
