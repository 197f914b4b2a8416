/** Says that a text is not JSON, or names a member twice; it quotes nothing of the text, which may hold a secret. */
export class JsonFault extends Error {
  readonly kind: 'malformed' | 'ambiguous';

  constructor(kind: JsonFault['kind']) {
    super(kind === 'malformed' ? 'is not JSON' : 'names a member twice');
    this.name = 'JsonFault';
    this.kind = kind;
  }
}

/** A string, or the colon after the name of each member (RFC 8259 section 4). */
const partPattern = /"[^"\\]*(?:\\.[^"\\]*)*"|:/gs;

/**
 * Reads JSON (RFC 8259) whose objects name each member once. If two members have one name, `JSON.parse` takes the last one, and
 * another program may take the first, so that they read different values. `JSON.parse` does not report this, so we count: a text
 * that has more colons outside strings than its value has members names one of them twice. Throws {@link JsonFault}.
 */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new JsonFault('malformed');
  }
  let colons = 0;
  for (const [part] of text.matchAll(partPattern)) if (part === ':') colons += 1;
  if (colons !== countMembers(value)) throw new JsonFault('ambiguous');
  return value;
}

/** The members of all objects in a value. No recursion: a text may nest deeper than our stack. */
function countMembers(value: unknown): number {
  let count = 0;
  const left = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next !== 'object' || next === null) continue;
    const inner = Object.values(next);
    if (!Array.isArray(next)) count += inner.length;
    for (const one of inner) left.push(one);
  }
  return count;
}
