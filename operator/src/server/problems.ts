/** Every HTTP status of a problem. */
export const problemStatuses = [400, 401, 404, 405, 411, 413, 415, 417, 500, 503] as const;

/** An error answer in the form of RFC 9457. `detail` is our own sentence; it quotes no value of the request. */
export interface Problem {
  readonly status: (typeof problemStatuses)[number];
  readonly title: string;
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A 400 with this detail. */
export function badRequest(detail: string, headers?: Readonly<Record<string, string>>): Problem {
  return { status: 400, title: 'Bad Request', detail, ...(headers === undefined ? {} : { headers }) };
}

/** To a path that serves nothing. */
export const notFound: Problem = { status: 404, title: 'Not Found', detail: 'There is nothing at this path.' };

/** To a method that a path does not serve. */
export function methodNotAllowed(served: 'GET' | 'POST'): Problem {
  return { status: 405, title: 'Method Not Allowed', detail: `Only ${served} is served here.`, headers: { allow: served } };
}

/** To a caller whose proof is configured and missing. */
export const unauthorized: Problem = {
  status: 401,
  title: 'Unauthorized',
  detail: 'The caller did not prove itself with a client certificate or the Keywright-Caller header.',
  headers: { 'www-authenticate': 'Keywright-Caller' },
};

/** To a chunked body from a caller that did not prove itself. */
export const lengthRequired: Problem = { status: 411, title: 'Length Required', detail: 'A body needs a Content-Length here.' };

/** To a body of more bytes than its path takes. The rest of it is not read. */
export function tooLarge(maxLength: number): Problem {
  const detail = `The body is larger than ${String(maxLength / 1024)} KiB.`;
  return { status: 413, title: 'Content Too Large', detail, headers: { connection: 'close' } };
}

/** To a compressed body. */
export const compressed: Problem = {
  status: 415,
  title: 'Unsupported Media Type',
  detail: 'The body must not be compressed.',
};

/** To an `Expect` that we do not know. */
export const expectationFailed: Problem = {
  status: 417,
  title: 'Expectation Failed',
  detail: 'Only 100-continue may be expected.',
};

/** To a request whose handling failed. */
export const failed: Problem = {
  status: 500,
  title: 'Internal Server Error',
  detail: 'The request failed; the log says more.',
};

/** To a request when others hold all the room. */
export const noRoom: Problem = {
  status: 503,
  title: 'Service Unavailable',
  detail: 'Too much is in progress; try again.',
  headers: { 'retry-after': '1', connection: 'close' },
};
