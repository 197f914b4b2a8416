import { Composer, LineCounter, Parser } from 'yaml';
import type { Document, ErrorCode } from 'yaml';

import { offsetAt } from './offsets.ts';
import type { Steps } from './offsets.ts';
import { toPlain } from './plain.ts';
import type { PlainFault } from './plain.ts';

/** What is wrong, and in which line of the file, counted from 1. */
export interface LineFault {
  readonly line: number;
  readonly message: string;
}

/** One document with content. */
export interface TextDocument {
  /** For the positions of fields. */
  readonly document: Document;
  readonly value: unknown;
  /** The line of an offset in the text. */
  readonly lineOfOffset: (offset: number) => number;
  /** The line of a field; if it is absent, that of its nearest parent. */
  readonly lineAt: (steps: Steps) => number;
}

class TextFault extends Error {
  readonly fault: LineFault;

  constructor(line: number, why: string) {
    super(why);
    this.fault = { line, message: `is not valid YAML: ${why}` };
  }
}

/**
 * The documents of a text, as kubectl divides and reads it: YAML documents after lines of `---`, or one JSON object after another. A
 * document without content (a stray `---`) is left out. One at a time, so that a long file is never one tree in memory.
 *
 * @throws A fault for {@link faultOf} when the text cannot be read.
 */
export function* readDocuments(text: string): Generator<TextDocument> {
  const objects = jsonObjects(text);
  if (objects !== undefined) {
    const lines = new LineCounter();
    lines.addNewLine(0);
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines.addNewLine(at + 1);
    for (const { from, to } of objects) yield* compose(text.slice(from, to), lines, from);
    return;
  }
  refuseControls(text);
  refuseSeparators(text);
  yield* compose(text, new LineCounter());
}

/** The fault that {@link readDocuments} threw; `undefined` = something else was thrown. */
export function faultOf(error: unknown): LineFault | undefined {
  return error instanceof TextFault ? error.fault : undefined;
}

/** `from`: where the text begins in the file whose lines are known already. */
function* compose(text: string, lines: LineCounter, from?: number): Generator<TextDocument> {
  const lineOfOffset = (offset: number): number => lines.linePos((from ?? 0) + offset).line;
  const parser = new Parser(from === undefined ? lines.addNewLine : undefined);
  const composer = new Composer({
    // Scalars stay texts: `toPlain` says what they are. It also finds repeated keys: the composer would compare each with all others.
    ...{ schema: 'failsafe', resolveKnownTags: false, uniqueKeys: false },
    // Its messages quote the text: it must print none.
    ...{ prettyErrors: false, logLevel: 'silent' },
  });
  const tokens = function* (): Generator<ReturnType<Parser['parse']> extends Iterable<infer T> ? T : never> {
    for (const token of parser.parse(text)) {
      if (token.type === 'directive') throw new TextFault(lineOfOffset(token.offset), 'directives (%…) are not read');
      yield token;
    }
  };
  let isFirst = true;
  for (const document of composer.compose(tokens())) {
    const [error] = document.errors;
    if (error !== undefined) throw new TextFault(lineOfOffset(error.pos[0]), yamlFaults[error.code]);
    // kubectl does not read it at all.
    if (!isFirst && document.directives?.docStart !== true)
      throw new TextFault(lineOfOffset(document.range[0]), 'a document after "..." must begin with a line of ---');
    isFirst = false;
    const plain = toPlain(document);
    if (!plain.ok) throw new TextFault(lineOfOffset(plain.fault.offset), yamlFaults[plain.fault.code]);
    if (plain.value === null) continue;
    yield { document, value: plain.value, lineOfOffset, lineAt: (steps) => lineOfOffset(offsetAt(document, steps)) };
  }
}

/** Where each object begins and ends in a text of JSON objects without anything between them; `undefined` = it is something else. */
function jsonObjects(text: string): readonly { readonly from: number; readonly to: number }[] | undefined {
  if (!/^\s*\{/.test(text)) return undefined;
  const found: { from: number; to: number }[] = [];
  let depth = 0;
  let from = 0;
  for (const { 0: token, index } of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}]|[^\s{}"]+/g)) {
    if (token === '{') {
      if (depth === 0) from = index;
      depth += 1;
    } else if (depth === 0) return undefined;
    else if (token === '}' && (depth -= 1) === 0) {
      const to = index + 1;
      if (!isJson(text.slice(from, to))) return undefined;
      found.push({ from, to });
    }
  }
  return depth === 0 && found.length > 0 ? found : undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function refuseControls(text: string): void {
  const at = text.search(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f\ufeff\ufffe\uffff]/);
  if (at !== -1) throw new TextFault(lineIn(text, at), 'a control character; in double quotes, write it as an escape');
}

/** kubectl divides a file at such lines before it reads any YAML. */
function refuseSeparators(text: string): void {
  const at = text.search(/^---[ \t]*[^\s#]/m);
  if (at !== -1) throw new TextFault(lineIn(text, at), 'on a line that begins with ---, only a comment may follow');
}

function lineIn(text: string, at: number): number {
  let line = 1;
  for (let next = text.indexOf('\n'); next !== -1 && next < at; next = text.indexOf('\n', next + 1)) line += 1;
  return line;
}

/** Our words for the parser's codes: its own messages quote the text. */
const yamlFaults: Readonly<Record<ErrorCode | PlainFault['code'], string>> = {
  ALIAS_PROPS: 'an alias can have no anchor or tag',
  BAD_ALIAS: 'the alias names no anchor',
  BAD_COLLECTION_TYPE: 'the tag does not fit a collection',
  BAD_DIRECTIVE: 'a wrong directive (%…)',
  BAD_DQ_ESCAPE: 'a wrong escape in double quotes',
  BAD_INDENT: 'the indentation does not fit, or a bracket is not closed',
  BAD_MERGE: '<< takes a map, or a list of maps',
  BAD_PROP_ORDER: 'anchor or tag at the wrong place',
  BAD_SCALAR: 'a value that does not fit its tag, or a number that JSON does not have',
  BAD_SCALAR_START: 'a plain text cannot begin like this: quote it',
  BLOCK_AS_IMPLICIT_KEY: 'a nested map or list cannot stand on the same line',
  BLOCK_IN_FLOW: 'an indented block inside of brackets',
  DUPLICATE_KEY: 'the same key twice in one map',
  IMPOSSIBLE: 'it cannot be read',
  KEY_OVER_1024_CHARS: 'a key of more than 1024 characters',
  MISSING_CHAR: 'a character is missing: a closing quote, bracket, comma, colon or space',
  MULTILINE_IMPLICIT_KEY: 'a key over several lines, or a missing colon',
  MULTIPLE_ANCHORS: 'two anchors on one value',
  MULTIPLE_DOCS: 'more than one document',
  MULTIPLE_TAGS: 'two tags on one value',
  NON_STRING_KEY: 'a key that is not a string',
  RESOURCE_EXHAUSTION: 'it is nested too deeply, or its aliases make too much of it',
  TAB_AS_INDENT: 'a tab in the indentation: use spaces',
  TAG_RESOLVE_FAILED: 'a tag that cannot be resolved',
  UNEXPECTED_TOKEN: 'something is in a place where it is not allowed',
};
