import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Authorize } from '../authorize/authorize.ts';
import type { Denial, Grant, Verdict } from '../authorize/verdict.ts';
import { formatInstant } from '../domain/time.ts';
import type { Log } from '../telemetry/log.ts';
import { readJson } from './body.ts';
import { codes, detailOf } from './codes.ts';
import type { Handler } from './listener.ts';
import { badRequest, respondJson, respondProblem } from './respond.ts';
import { parseBatch, parseVerify } from './verifyrequest.ts';

/** What the verify API needs. */
export interface VerifyApi {
  readonly authorize: Authorize;
  readonly log: Log;
}

type Route = (body: unknown, api: VerifyApi, response: ServerResponse) => Promise<void>;

const routes: ReadonlyMap<string, Route> = new Map([
  ['/v1/verify', verifyOne],
  ['/v1/verify/batch', verifyBatch],
]);

/** Serves `POST /v1/verify` and `POST /v1/verify/batch`. A verdict is always a 200; its own status is inside. */
export function verifyHandler(api: VerifyApi): Handler {
  return async (request, response, admitted) => {
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
      await serve(route, request, response, api);
    }
  };
}

async function serve(route: Route, request: IncomingMessage, response: ServerResponse, api: VerifyApi): Promise<void> {
  const body = await readJson(request);
  if (body.kind === 'refused') respondProblem(response, body.problem);
  else await route(body.value, api, response);
}

async function verifyOne(body: unknown, api: VerifyApi, response: ServerResponse): Promise<void> {
  const parsed = parseVerify(body);
  if (parsed.kind === 'faulty') respondProblem(response, badRequest(parsed.detail));
  else respondJson(response, 200, answer(await api.authorize(parsed.value)));
}

async function verifyBatch(body: unknown, api: VerifyApi, response: ServerResponse): Promise<void> {
  const parsed = parseBatch(body);
  if (parsed.kind === 'faulty') {
    respondProblem(response, badRequest(parsed.detail));
    return;
  }
  const verdicts = await Promise.all(parsed.value.map((request) => api.authorize(request)));
  respondJson(response, 200, { results: verdicts.map(answer) });
}

function answer(verdict: Verdict): Readonly<Record<string, unknown>> {
  return verdict.allowed ? describeGrant(verdict.grant) : describeDenial(verdict);
}

/** Members that say nothing (`undefined`) are left out by the serialiser. */
function describeGrant(grant: Grant): Readonly<Record<string, unknown>> {
  const { keyId, apiKey, owner, clientApplication, accessType, catalog, environment, endpoint } = grant;
  const { channels, attributes, applications, requestApplication, expiresAt } = grant;
  return {
    ...{ allowed: true, keyId, apiKey, owner, clientApplication, accessType, catalog, environment, endpoint },
    ...{ channels, attributes, applications, requestApplication },
    // The same word as in a delivered record.
    expiresAt: expiresAt === undefined ? 'never' : formatInstant(expiresAt),
  };
}

function describeDenial(denial: Denial): Readonly<Record<string, unknown>> {
  const { code, expiredStatus, violatingChannels, keyId } = denial;
  const { status, retryAfterSeconds } = codes[code];
  const answered = { allowed: false, status: expiredStatus ?? status, code, detail: detailOf(denial) };
  return { ...answered, violatingChannels, keyId, retryAfterSeconds };
}

function cutQuery(target: string): string {
  const at = target.indexOf('?');
  return at === -1 ? target : target.slice(0, at);
}
