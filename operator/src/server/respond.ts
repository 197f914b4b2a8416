import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Every HTTP status of a problem. */
export const problemStatuses = [400, 401, 404, 405, 411, 413, 415, 417, 500, 503] as const;

/** An error answer in the form of RFC 9457. `detail` is our own sentence; it quotes no value of the request. */
export interface Problem {
  readonly status: (typeof problemStatuses)[number];
  readonly title: string;
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Writes a JSON answer that no cache may keep. */
export function respondJson(response: ServerResponse, status: number, text: string): void {
  respond(response, status, 'application/json', text, {});
}

/** Writes a problem as `application/problem+json`. */
export function respondProblem(response: ServerResponse, problem: Problem): void {
  respond(response, problem.status, problemType, JSON.stringify(problemBody(problem)), problem.headers ?? {});
}

/** A 400 with this detail. */
export function badRequest(detail: string, headers?: Readonly<Record<string, string>>): Problem {
  return { status: 400, title: 'Bad Request', detail, ...(headers === undefined ? {} : { headers }) };
}

/** Writes a problem to a socket that has no response object, and ends the connection. */
export function endWithProblem(socket: Socket, { status, title, detail }: Problem): void {
  const body = JSON.stringify(problemBody({ status, title, detail }));
  socket.write(
    `HTTP/1.1 ${String(status)} ${title}\r\ncontent-type: ${problemType}\r\ncontent-length: ${String(Buffer.byteLength(body))}\r\n` +
      `cache-control: no-store\r\nconnection: close\r\n\r\n${body}`,
  );
  // Not only our half: a client that keeps its half open would hold the connection for ever.
  socket.destroySoon();
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

const problemType = 'application/problem+json';

/** The JSON of a problem. */
export function problemBody({ status, title, detail }: Problem) {
  return { type: 'about:blank', title, status, detail };
}
