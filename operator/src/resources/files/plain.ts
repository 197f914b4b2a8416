import { isAlias, isMap, isScalar, isSeq } from 'yaml';
import type { Document, ErrorCode, Node, Pair, YAMLMap } from 'yaml';

import { offsetOf } from './offsets.ts';
import { keyOf, resolveScalar } from './scalar.ts';
import type { Scalar } from './scalar.ts';

/** Why a document cannot become plain data, and where: the offset in the text. */
export interface PlainFault {
  readonly code: ErrorCode | 'BAD_MERGE' | 'BAD_SCALAR';
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

  constructor(code: PlainFault['code'], offset: number) {
    super(code);
    this.fault = { code, offset };
  }
}

/**
 * Makes plain data of a parsed document, with the values that kubectl would send (see {@link resolveScalar}), in time linear in its
 * nodes. The parser's own `toJS` searches the whole document for each alias, and its check for repeated keys compares each key with
 * all earlier ones; both are quadratic, so that 1 MB takes minutes. Aliases share their target, but their size counts as if they were
 * expanded (`RESOURCE_EXHAUSTION`). A key must be a scalar. Tags of maps and lists mean nothing, as in kubectl.
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

type Anchors = Map<string, Made>;

function makePlain(node: unknown, anchors: Anchors): Made {
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
    const value = scalarIn(node);
    made = { value: typeof value === 'bigint' ? Number(value) : value, size: typeof value === 'string' ? value.length + 1 : 1 };
  }
  const anchor = (node as Node | null | undefined)?.anchor;
  if (anchor !== undefined) anchors.set(anchor, made);
  return made;
}

function plainMap(map: YAMLMap, anchors: Anchors): Made {
  const value: Record<string, unknown> = {};
  // Which members the map names itself. A merge may set one again, before or after it; two members of one name are a mistake.
  const own = new Set<string>();
  let size = 1;
  for (const pair of map.items) {
    if (isMergeKey(pair.key)) {
      size += merge(value, pair, anchors);
      // Here, too: each of many merges may be large.
      if (size > sizeLimit) throw new Refusal('RESOURCE_EXHAUSTION', offsetOf(pair.key));
      continue;
    }
    const name = memberName(pair.key, anchors);
    if (own.has(name)) throw new Refusal('DUPLICATE_KEY', offsetOf(pair.key));
    own.add(name);
    const made = makePlain(pair.value, anchors);
    size += made.size + name.length + 1;
    setMember(value, name, made.value);
  }
  return checked(value, size, map);
}

function memberName(key: unknown, anchors: Anchors): string {
  if (isScalar(key)) {
    const value = scalarIn(key);
    const { anchor } = key;
    if (anchor !== undefined) anchors.set(anchor, { value: typeof value === 'bigint' ? Number(value) : value, size: 1 });
    const name = keyOf(value);
    if (name !== undefined) return name;
  } else {
    const { value } = makePlain(key, anchors);
    const name = typeof value === 'object' ? undefined : keyOf(value as Scalar);
    if (name !== undefined) return name;
  }
  throw new Refusal('NON_STRING_KEY', offsetOf(key));
}

/** `<<: *map` or `<<: [*first, *second]`, where the first wins. As in go-yaml 2 it wins over members before it, too. */
function merge(into: Record<string, unknown>, { key, value: from }: Pair, anchors: Anchors): number {
  const isList = isSeq(from);
  const made = makePlain(from, anchors);
  const maps: readonly unknown[] = isList ? (made.value as unknown[]) : [made.value];
  if ((isAlias(from) && Array.isArray(made.value)) || !maps.every(isRecord)) throw new Refusal('BAD_MERGE', offsetOf(key));
  for (const one of maps.toReversed()) for (const [name, member] of Object.entries(one)) setMember(into, name, member);
  return made.size;
}

function isMergeKey(key: unknown): boolean {
  if (!isScalar(key) || key.source !== '<<') return false;
  return key.tag === 'tag:yaml.org,2002:merge' || (key.tag === undefined && key.type === 'PLAIN');
}

function scalarIn(node: unknown): Scalar {
  if (!isScalar(node)) return null;
  const { tag, type, source } = node;
  const isPlain = type === 'PLAIN' || type === undefined;
  const value = resolveScalar({ text: source ?? '', isPlain, tag });
  if (value === undefined) throw new Refusal('BAD_SCALAR', offsetOf(node));
  return value;
}

/** An assignment to __proto__ would set the prototype. */
function setMember(into: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') into[name] = value;
  else Object.defineProperty(into, name, { value, enumerable: true, configurable: true, writable: true });
}

function checked(value: unknown, size: number, node: unknown): Made {
  if (size > sizeLimit) throw new Refusal('RESOURCE_EXHAUSTION', offsetOf(node));
  return { value, size };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
