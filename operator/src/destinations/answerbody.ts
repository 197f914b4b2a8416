/**
 * The largest answer that is read, in bytes: a value has at most 65,536, and its escapes and metadata rarely more than as much again.
 * Parsing the worst text of this length takes some 30 ms, in which nothing else happens.
 */
const maxAnswerBytes = 262_144;

/** Reads the body of a provider's answer. `undefined` = too large; what is left of it is not read then. */
export async function readAnswerBody(body: AsyncIterable<Uint8Array> & { destroy(): unknown }): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > maxAnswerBytes) {
      body.destroy();
      return undefined;
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
