import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

import type { Problem } from './problems.ts';

/** Writes a JSON answer that no cache may keep. */
export function respondJson(response: ServerResponse, status: number, text: string): void {
  respond(response, status, 'application/json', text, {});
}

/** Writes a problem as `application/problem+json`. */
export function respondProblem(response: ServerResponse, problem: Problem): void {
  respond(response, problem.status, problemType, JSON.stringify(problemBody(problem)), problem.headers ?? {});
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
