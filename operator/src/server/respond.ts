import type { ServerResponse } from 'node:http';

/** An error answer in the form of RFC 9457. `detail` is our own sentence; it quotes no value of the request. */
export interface Problem {
  readonly status: 400 | 401 | 404 | 405 | 413 | 415 | 500 | 503;
  readonly title: string;
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Writes a JSON answer that no cache may keep. */
export function respondJson(response: ServerResponse, status: number, body: unknown): void {
  respond(response, status, 'application/json', JSON.stringify(body), {});
}

/** Writes a problem as `application/problem+json`. */
export function respondProblem(response: ServerResponse, problem: Problem): void {
  const { status, title, detail, headers = {} } = problem;
  respond(response, status, 'application/problem+json', JSON.stringify({ type: 'about:blank', title, status, detail }), headers);
}

/** Writes plain text or another text format. */
export function respondText(
  response: ServerResponse,
  status: number,
  body: string,
  contentType = 'text/plain; charset=utf-8',
): void {
  respond(response, status, contentType, body, {});
}

function respond(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>>,
): void {
  if (response.headersSent) return;
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...headers,
  });
  response.end(body);
}
