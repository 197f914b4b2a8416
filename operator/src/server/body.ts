import type { IncomingMessage } from 'node:http';

import { JsonFault, parseJson } from '../domain/json.ts';
import type { Exchange } from './inflight.ts';
import { badRequest, compressed, noRoom, tooLarge } from './problems.ts';
import type { Problem } from './problems.ts';

/** The most pieces that a body may come in: each costs the parser time and memory, however small it is. */
export const mostPieces = 1024;

/** A request's body as JSON, or what to answer instead. */
export type JsonBody =
  { readonly kind: 'json'; readonly value: unknown } | { readonly kind: 'refused'; readonly problem: Problem };

/** What {@link readJson} may take. */
export interface BodyRoom {
  readonly exchange: Pick<Exchange, 'take'>;
  /** The most bytes that the body may have. */
  readonly maxLength: number;
}

/**
 * Reads UTF-8 JSON without duplicate members, if there is room for it. The parser's own message is dropped,
 * because it quotes the body, and the body holds a key.
 */
export async function readJson(request: IncomingMessage, room: BodyRoom): Promise<JsonBody> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    return refuse(compressed);
  }
  const bytes = await readBytes(request, room);
  if (!Buffer.isBuffer(bytes)) return refuse(bytes);
  try {
    return { kind: 'json', value: parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) };
  } catch (error) {
    const isAmbiguous = error instanceof JsonFault && error.kind === 'ambiguous';
    return refuse(badRequest(isAmbiguous ? 'The body names a member twice.' : 'The body is not JSON in UTF-8.'));
  }
}

async function readBytes(request: IncomingMessage, { exchange, maxLength }: BodyRoom): Promise<Buffer | Problem> {
  if (Number(request.headers['content-length'] ?? 0) > maxLength) return tooLarge(maxLength);
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop drops the request but not its socket (Node detaches it first), so that the answer gets out.
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxLength) return tooLarge(maxLength);
    if (chunks.length === mostPieces)
      return badRequest(`The body comes in more than ${mostPieces} pieces.`, { connection: 'close' });
    if (!exchange.take(chunk.length)) return noRoom;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refuse(problem: Problem): JsonBody {
  return { kind: 'refused', problem };
}
