import type { IncomingMessage } from 'node:http';

import { JsonFault, parseJson } from '../domain/json.ts';
import type { Exchange } from './inflight.ts';
import { badRequest } from './respond.ts';
import type { Problem } from './respond.ts';

/** The most that a request body may have, in bytes. */
export const bodyMaxLength = 64 * 1024;

/** The most pieces that a body may come in: each costs the parser time and memory, however small it is. */
const mostPieces = 1024;

/** The answer to a request when others hold all the room. */
export const noRoom: Problem = {
  status: 503,
  title: 'Service Unavailable',
  detail: 'Too much is in progress; try again.',
  headers: { 'retry-after': '1', connection: 'close' },
};

/** A request's body as JSON, or what to answer instead. */
export type JsonBody =
  { readonly kind: 'json'; readonly value: unknown } | { readonly kind: 'refused'; readonly problem: Problem };

/**
 * Reads at most 64 KiB of UTF-8 JSON without duplicate members, if there is room for it. The parser's own message is dropped,
 * because it quotes the body, and the body holds a key.
 */
export async function readJson(request: IncomingMessage, exchange: Pick<Exchange, 'take'>): Promise<JsonBody> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    return refuse({ status: 415, title: 'Unsupported Media Type', detail: 'The body must not be compressed.' });
  }
  const bytes = await readBytes(request, exchange);
  if (bytes === undefined) return refuse(noRoom);
  if (typeof bytes === 'string') return refuse(badRequest(bytes, { connection: 'close' }));
  try {
    return { kind: 'json', value: parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) };
  } catch (error) {
    const isAmbiguous = error instanceof JsonFault && error.kind === 'ambiguous';
    return refuse(badRequest(isAmbiguous ? 'The body names a member twice.' : 'The body is not JSON in UTF-8.'));
  }
}

/** The body, or why it is refused; `undefined` = there is no room for it. */
async function readBytes(request: IncomingMessage, exchange: Pick<Exchange, 'take'>): Promise<Buffer | string | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > bodyMaxLength) return 'The body is larger than 64 KiB.';
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop drops the request but not its socket (Node detaches it first), so that the answer gets out.
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bodyMaxLength) return 'The body is larger than 64 KiB.';
    if (chunks.length === mostPieces) return `The body comes in more than ${mostPieces} pieces.`;
    if (!exchange.take(chunk.length)) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refuse(problem: Problem): JsonBody {
  return { kind: 'refused', problem };
}
