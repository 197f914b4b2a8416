import { isAlias, isMap, isScalar, isSeq } from 'yaml';
import type { Document, ErrorCode, Node, Pair, YAMLMap, YAMLSeq } from 'yaml';

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
    const { value } = makePlain(document.contents, { anchors: new Map(), copied: 0 });
    return { ok: true, value };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, fault: error.fault };
    throw error;
  }
}

/** What is known of a document while it is made. */
interface Making {
  readonly anchors: Map<string, Made>;
  /** The size of what merges have copied: unlike aliases, they do not share it. */
  copied: number;
}

function makePlain(node: unknown, making: Making): Made {
  if (isAlias(node)) {
    const found = making.anchors.get(node.source);
    // An anchor is valid only after its end: an alias inside its own target would be endless.
    if (found === undefined) throw new Refusal('BAD_ALIAS', offsetOf(node));
    return found;
  }
  let made: Made;
  if (isMap(node)) made = plainMap(node, making);
  else if (isSeq(node)) {
    made = plainList(node, making);
  } else {
    made = madeOf(scalarIn(node));
  }
  const anchor = (node as Node | null | undefined)?.anchor;
  if (anchor !== undefined) making.anchors.set(anchor, made);
  return made;
}

function madeOf(value: Scalar): Made {
  return { value: typeof value === 'bigint' ? Number(value) : value, size: typeof value === 'string' ? value.length + 1 : 1 };
}

function plainList(list: YAMLSeq, making: Making): Made {
  const value: unknown[] = [];
  let size = 1;
  for (const item of list.items) {
    const made = makePlain(item, making);
    value.push(made.value);
    size = checked(size + made.size, item);
  }
  return { value, size };
}

function plainMap(map: YAMLMap, making: Making): Made {
  const value: Record<string, unknown> = {};
  // Which members the map names itself. A merge may set one again, before or after it; two members of one name are a mistake.
  const own = new Set<string>();
  let size = 1;
  for (const pair of map.items) {
    if (isMergeKey(pair.key)) {
      size = checked(size + merge(value, pair, making), pair.key);
      continue;
    }
    const name = memberName(pair.key, making);
    if (own.has(name)) throw new Refusal('DUPLICATE_KEY', offsetOf(pair.key));
    own.add(name);
    const made = makePlain(pair.value, making);
    size = checked(size + made.size + name.length + 1, pair.key);
    setMember(value, name, made.value);
  }
  return { value, size };
}

function memberName(key: unknown, making: Making): string {
  if (isScalar(key)) {
    const value = scalarIn(key);
    const { anchor } = key;
    if (anchor !== undefined) making.anchors.set(anchor, madeOf(value));
    const name = keyOf(value);
    if (name !== undefined) return name;
  } else {
    const { value } = makePlain(key, making);
    const name = typeof value === 'object' ? undefined : keyOf(value as Scalar);
    if (name !== undefined) return name;
  }
  throw new Refusal('NON_STRING_KEY', offsetOf(key));
}

/** `<<: *map` or `<<: [*first, *second]`, where the first wins. As in go-yaml 2 it wins over members before it, too. */
function merge(into: Record<string, unknown>, { key, value: from }: Pair, making: Making): number {
  const isList = isSeq(from);
  const made = makePlain(from, making);
  const maps: readonly unknown[] = isList ? (made.value as unknown[]) : [made.value];
  if ((isAlias(from) && Array.isArray(made.value)) || !maps.every(isRecord)) throw new Refusal('BAD_MERGE', offsetOf(key));
  making.copied = checked(making.copied + made.size, key);
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
  // An escape may name an unpaired surrogate, which cannot be stored. kubectl does not read it either.
  if (source !== undefined && !source.isWellFormed()) throw new Refusal('BAD_DQ_ESCAPE', offsetOf(node));
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

/** Here and not only at the end: each of many parts may be large. */
function checked(size: number, node: unknown): number {
  if (size > sizeLimit) throw new Refusal('RESOURCE_EXHAUSTION', offsetOf(node));
  return size;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
