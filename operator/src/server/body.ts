import type { IncomingMessage } from 'node:http';

import { badRequest } from './respond.ts';
import type { Problem } from './respond.ts';

/** The most that a request body may have, in bytes. */
export const bodyMaxLength = 64 * 1024;

/** The most pieces that a body may come in: each costs the parser time and memory, however small it is. */
const mostPieces = 1024;

/** A request's body as JSON, or what to answer instead. */
export type JsonBody =
  { readonly kind: 'json'; readonly value: unknown } | { readonly kind: 'refused'; readonly problem: Problem };

/**
 * Reads at most 64 KiB of UTF-8 JSON. The parser's own message is dropped, because it quotes the body, and the body
 * holds a key.
 */
export async function readJson(request: IncomingMessage): Promise<JsonBody> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    return refuse({ status: 415, title: 'Unsupported Media Type', detail: 'The body must not be compressed.' });
  }
  const bytes = await readBytes(request);
  if (typeof bytes === 'string') return refuse(badRequest(bytes, { connection: 'close' }));
  try {
    return { kind: 'json', value: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown };
  } catch {
    return refuse(badRequest('The body is not JSON in UTF-8.'));
  }
}

/** The body, or why it is refused. */
async function readBytes(request: IncomingMessage): Promise<Buffer | string> {
  if (Number(request.headers['content-length'] ?? 0) > bodyMaxLength) return 'The body is larger than 64 KiB.';
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop drops the request but not its socket (Node detaches it first), so that the answer gets out.
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bodyMaxLength) return 'The body is larger than 64 KiB.';
    if (chunks.length === mostPieces) return `The body comes in more than ${mostPieces} pieces.`;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refuse(problem: Problem): JsonBody {
  return { kind: 'refused', problem };
}
