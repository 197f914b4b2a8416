import { KubeFault } from './fault.ts';

/** A line is never longer than what etcd keeps (1.5 MiB), with room for the JSON around it. */
const longestLine = 16 * 1024 * 1024;

/**
 * The JSON values of a stream that has one on each line, as a Kubernetes watch sends them. What is no JSON, or a line
 * without an end, is a broken connection: it throws {@link KubeFault}. A last line without its end is dropped.
 */
export async function* parseLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown, void, void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n', start)) {
      const line = rest.slice(start, end);
      start = end + 1;
      if (line.trim() !== '') yield parse(line);
    }
    rest = rest.slice(start);
    if (rest.length > longestLine) throw new KubeFault('broken');
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    throw new KubeFault('broken');
  }
}
