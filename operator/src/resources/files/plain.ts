import { isAlias, isMap, isScalar, isSeq } from 'yaml';
import type { Document, ErrorCode, Node, YAMLMap } from 'yaml';

/** Why a document cannot become plain data, and where: the offset in the text. */
export interface PlainFault {
  readonly code: ErrorCode;
  readonly offset: number;
}

/** A document as plain data, or the first fault. */
export type Plain = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly fault: PlainFault };

/** Twice the maximum file size: only aliases can expand a document beyond that. */
const sizeLimit = 8_000_000;

interface Made {
  readonly value: unknown;
  /** The number of nodes and characters, with aliases expanded. */
  readonly size: number;
}

class Refusal extends Error {
  readonly fault: PlainFault;

  constructor(code: ErrorCode, offset: number) {
    super(code);
    this.fault = { code, offset };
  }
}

/**
 * Makes plain data of a parsed document in time linear in its nodes. The parser's own `toJS` searches the whole document for each
 * alias, and its check for repeated keys compares each key with all earlier ones; both are quadratic, so that 1 MB takes minutes.
 * Aliases share their target, but their size counts as if they were expanded (`RESOURCE_EXHAUSTION`). A key must be a scalar.
 * Recursion is as deep as the document: the parser refuses deeper ones first, by the size of the stack.
 */
export function toPlain(document: Pick<Document, 'contents'>): Plain {
  try {
    const { value } = makePlain(document.contents, new Map());
    return { ok: true, value };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, fault: error.fault };
    throw error;
  }
}

function makePlain(node: unknown, anchors: Map<string, Made>): Made {
  if (isAlias(node)) {
    const found = anchors.get(node.source);
    // An anchor is valid only after its end: an alias inside its own target would be endless.
    if (found === undefined) throw new Refusal('BAD_ALIAS', offsetOf(node));
    return found;
  }
  let made: Made;
  if (isMap(node)) made = plainMap(node, anchors);
  else if (isSeq(node)) {
    const items = node.items.map((item) => makePlain(item, anchors));
    made = checked(
      items.map(({ value }) => value),
      items.reduce((sum, { size }) => sum + size, 1),
      node,
    );
  } else {
    const value = isScalar(node) ? node.value : null;
    made = { value, size: typeof value === 'string' ? value.length + 1 : 1 };
  }
  const anchor = (node as Node | null | undefined)?.anchor;
  if (anchor !== undefined) anchors.set(anchor, made);
  return made;
}

function plainMap(map: YAMLMap, anchors: Map<string, Made>): Made {
  const value: Record<string, unknown> = {};
  let size = 1;
  for (const { key, value: member } of map.items) {
    const { value: name } = makePlain(key, anchors);
    if (typeof name === 'object' && name !== null) throw new Refusal('NON_STRING_KEY', offsetOf(key));
    const text = scalarText(name);
    if (Object.hasOwn(value, text)) throw new Refusal('DUPLICATE_KEY', offsetOf(key));
    const made = makePlain(member, anchors);
    size += made.size + text.length + 1;
    // An assignment to __proto__ would set the prototype.
    Object.defineProperty(value, text, { value: made.value, enumerable: true, configurable: true, writable: true });
  }
  return checked(value, size, map);
}

function checked(value: unknown, size: number, node: unknown): Made {
  if (size > sizeLimit) throw new Refusal('RESOURCE_EXHAUSTION', offsetOf(node));
  return { value, size };
}

/**
 * The offsets of what `spec` holds, at most `depth` steps below it, by {@link stepsKey}: for faults that only a comparison with
 * an older object finds. Does not enter aliases.
 */
export function offsetsInSpec(document: Document, depth: number): ReadonlyMap<string, number> {
  const offsets = new Map<string, number>();
  const visit = (node: unknown, steps: readonly (string | number)[]): void => {
    if (steps.length > depth) return;
    const entries: Iterable<readonly [string | number, unknown, unknown]> = isMap(node)
      ? node.items.map(({ key, value }) => [keyText(key), key, value] as const)
      : isSeq(node)
        ? node.items.map((item, index) => [index, item, item] as const)
        : [];
    for (const [step, place, value] of entries) {
      const at = [...steps, step];
      offsets.set(stepsKey(at), offsetOf(place));
      visit(value, at);
    }
  };
  if (isMap(document.contents)) {
    const spec = document.contents.items.find(({ key }) => keyText(key) === 'spec');
    if (spec !== undefined) {
      offsets.set('spec', offsetOf(spec.key));
      visit(spec.value, ['spec']);
    }
  }
  return offsets;
}

/** Steps as one text. No field name of our kinds contains a NUL. */
export function stepsKey(steps: readonly (string | number)[]): string {
  return steps.join('\0');
}

/** The position of a field, given in steps from the top; if it is absent, that of its nearest parent. */
export function offsetAt(document: Document, steps: readonly (string | number)[]): number {
  let node: unknown = document.contents;
  let offset = offsetOf(node);
  for (const step of steps) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      // Keys are where people look for a field: its value may begin on a later line.
      const pair = node.items.find(({ key }) => keyText(key) === step);
      if (pair === undefined) break;
      offset = offsetOf(pair.key, offset);
      node = pair.value;
    } else if (isSeq(node) && typeof step === 'number') {
      node = node.items[step];
      offset = offsetOf(node, offset);
    } else {
      break;
    }
  }
  return offset;
}

function keyText(key: unknown): string {
  return scalarText(isScalar(key) ? key.value : key);
}

/** A key as a name: numbers, true and false as text, null as an empty name. */
function scalarText(value: unknown): string {
  return typeof value === 'string'
    ? value
    : value === null || typeof value === 'object'
      ? ''
      : `${value as number | boolean | undefined}`;
}

function offsetOf(node: unknown, otherwise = 0): number {
  return (node as Node | null | undefined)?.range?.[0] ?? otherwise;
}
