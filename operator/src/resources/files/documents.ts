import { Composer, isScalar, LineCounter, Parser } from 'yaml';
import type { Document, ErrorCode } from 'yaml';

import { isApiKind, kindTable } from '../../api/kinds.ts';
import { apiVersion, group } from '../../api/meta.ts';
import { parseManifestObject } from '../../api/parse.ts';
import type { ManifestFault, ManifestObject } from '../../api/parse.ts';
import { parseNamespace, parseSecret } from './core.ts';
import type { NamespaceManifest, SecretDocument } from './core.ts';
import { offsetAt, offsetsInSpec, stepsKey, toPlain } from './plain.ts';

/** The namespace of documents that name none. */
export const defaultNamespace = 'default';

/** What is wrong, and in which line of the file, counted from 1. */
export interface LineFault {
  readonly line: number;
  readonly message: string;
}

/** A {@link LineFault} in the list of a file; `notice`: nothing to repair. */
export interface ListedFault extends LineFault {
  readonly level: 'error' | 'notice';
}

/** One document of a manifest that names an object. `id` is `<Kind>/<namespace or _cluster>/<name>`. */
export type ManifestDocument =
  | {
      readonly type: 'object';
      readonly id: string;
      readonly line: number;
      readonly object: ManifestObject | NamespaceManifest;
      /** Lines of the fields of `spec`, by {@link stepsKey}; for {@link lineOf}. */
      readonly lines: ReadonlyMap<string, number>;
    }
  | { readonly type: 'secret'; readonly id: string; readonly line: number; readonly secret: SecretDocument }
  /** One of our kinds, but not acceptable: {@link ManifestText} lists why. */
  | { readonly type: 'invalid'; readonly id: string; readonly line: number };

/**
 * A file's content, or why it cannot be read. `documents` are in order; no document and nothing unnamed = a file without content.
 * `unnamed`: a document of one of our kinds has no readable name, so it may be any object. Bounded for any text: at most
 * {@link faultsListed} `faults` of {@link messageLimit} characters, `more` of them only counted, and for foreign kinds only
 * faults. A thread can post all of it to another one.
 */
export type ManifestText =
  | {
      readonly ok: true;
      readonly documents: readonly ManifestDocument[];
      readonly unnamed: boolean;
      readonly empty: boolean;
      readonly faults: readonly ListedFault[];
      readonly more: number;
    }
  | { readonly ok: false; readonly fault: LineFault };

/** How many messages of one file are shown; the rest is only counted. */
export const faultsListed = 20;

/** The maximum length of a message, in characters: a field's name may be as long as its file. */
export const messageLimit = 300;

/** To which depth below `spec` line numbers are kept: `spec.consumers[3]` and `spec.vault.address` are two. */
const linesDepth = 2;

/** The line of a field of an object, given in steps; if the field is absent, the line of its nearest present parent. */
export function lineOf(document: Extract<ManifestDocument, { type: 'object' }>, steps: readonly (string | number)[]): number {
  for (let length = steps.length; length > 0; length -= 1) {
    const line = document.lines.get(stepsKey(steps.slice(0, length)));
    if (line !== undefined) return line;
  }
  return document.line;
}

/** What is collected while the documents of a text are read. */
interface Reading {
  readonly lines: LineCounter;
  readonly documents: ManifestDocument[];
  readonly faults: ListedFault[];
  more: number;
  unnamed: boolean;
}

/**
 * Reads a manifest: YAML or JSON, several documents. A document without content (a stray `---`) counts for nothing. Messages
 * never quote the text: it may contain a Secret's value. Time and memory are linear in the text, but reach seconds, and some
 * hundred bytes per character: call it where nobody waits for an answer (`worker.ts`).
 */
export function parseManifestText(text: string): ManifestText {
  const lines = new LineCounter();
  const reading: Reading = { lines, documents: [], faults: [], more: 0, unnamed: false };
  const parser = new Parser(lines.addNewLine);
  // `toPlain` finds repeated keys: the composer would compare each with all others.
  const composer = new Composer({ lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const broken = (code: ErrorCode, offset: number): ManifestText => ({
    ok: false,
    fault: { line: lines.linePos(offset).line, message: `is not valid YAML: ${yamlFaults[code]}` },
  });
  let empty = true;
  // One document at a time, so that a long file is never one tree in memory.
  for (const document of composer.compose(parser.parse(text))) {
    const [error] = document.errors;
    if (error !== undefined) return broken(error.code, error.pos[0]);
    if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) continue;
    const plain = toPlain(document);
    if (!plain.ok) return broken(plain.fault.code, plain.fault.offset);
    empty = false;
    readDocument(document, plain.value, reading);
  }
  const { documents, faults, more, unnamed } = reading;
  return { ok: true, documents, unnamed, empty, faults, more };
}

/** Shortens a text that may be as long as its file. */
export function clip(text: string): string {
  return text.length <= messageLimit ? text : `${text.slice(0, messageLimit - 1)}…`;
}

/** `<Kind>/<namespace or _cluster>/<name>`, also the path under `status/`. An underscore is in no name. */
export function formatId(
  kind: string,
  { namespace, name }: { readonly namespace?: string | undefined; readonly name: string },
): string {
  return `${kind}/${namespace ?? '_cluster'}/${name}`;
}

function readDocument(document: Document, raw: unknown, reading: Reading): void {
  const lineAt: LineAt = (steps) => reading.lines.linePos(offsetAt(document, steps)).line;
  const line = lineAt([]);
  if (!isRecord(raw) || typeof raw['apiVersion'] !== 'string' || typeof raw['kind'] !== 'string') {
    refuse(reading, undefined, line, [{ line, message: 'is not a Kubernetes resource: apiVersion and kind are missing' }]);
    return;
  }
  const { apiVersion: version, kind } = raw;
  const source: Source = { document, raw, kind, line, lineAt };
  if (version === 'v1' && (kind === 'Namespace' || kind === 'Secret')) readCore(source, kind, reading);
  else if (version.startsWith(`${group}/`)) readOurs(source, reading);
  else list(reading, { line, message: `the kind ${kind} (${version}) is skipped: it is not known here`, level: 'notice' });
}

type LineAt = (steps: readonly (string | number)[]) => number;

/** A document that says what it is. */
interface Source {
  readonly document: Document;
  readonly raw: Readonly<Record<string, unknown>>;
  readonly kind: string;
  readonly line: number;
  readonly lineAt: LineAt;
}

function readOurs({ document, raw, kind, line, lineAt }: Source, reading: Reading): void {
  if (!isApiKind(kind)) {
    const message = `kind: ${apiVersion} has no kind ${JSON.stringify(kind)}`;
    refuse(reading, undefined, line, [{ line: lineAt(['kind']), message }]);
    return;
  }
  const clustered = kindTable[kind].scope === 'Cluster';
  const result = parseManifestObject(kind, raw);
  if (!result.ok) {
    refuse(reading, guessId(kind, raw, clustered), line, faultsOf(result.errors, lineAt), result.errors.length);
    return;
  }
  const { metadata } = result.object;
  const object = clustered
    ? result.object
    : { ...result.object, metadata: { ...metadata, namespace: metadata.namespace ?? defaultNamespace } };
  const offsets = [...offsetsInSpec(document, linesDepth)];
  const lines = new Map(offsets.map(([key, offset]) => [key, reading.lines.linePos(offset).line] as const));
  reading.documents.push({ type: 'object', id: formatId(kind, object.metadata), line, object, lines });
}

function readCore({ raw, line, lineAt }: Source, kind: 'Namespace' | 'Secret', reading: Reading): void {
  const result = kind === 'Namespace' ? parseNamespace(raw) : parseSecret(raw);
  if (!result.ok) {
    const id = guessId(kind, raw, kind === 'Namespace');
    refuse(reading, id, line, faultsOf(result.errors, lineAt), result.errors.length);
  } else if ('secret' in result) {
    reading.documents.push({ type: 'secret', id: formatId('Secret', result.secret), line, secret: result.secret });
  } else {
    const { object } = result;
    reading.documents.push({ type: 'object', id: formatId('Namespace', object.metadata), line, object, lines: new Map() });
  }
}

/** Only as many as are listed: finding a line takes a search of the document, too slow for thousands. */
function faultsOf(errors: readonly ManifestFault[], lineAt: LineAt): readonly LineFault[] {
  return errors
    .slice(0, faultsListed)
    .map(({ path, steps, message }) => ({ line: lineAt(steps), message: `${path}: ${message}` }));
}

/** Records an unacceptable document; `count` = the number of its faults, `faults` = the first of them. */
function refuse(
  reading: Reading,
  id: string | undefined,
  line: number,
  faults: readonly LineFault[],
  count = faults.length,
): void {
  if (id === undefined) reading.unnamed = true;
  else reading.documents.push({ type: 'invalid', id, line });
  for (const fault of faults) list(reading, { ...fault, level: 'error' });
  reading.more += count - faults.length;
}

function list(reading: Reading, fault: ListedFault): void {
  if (reading.faults.length < faultsListed) reading.faults.push({ ...fault, message: clip(fault.message) });
  else reading.more += 1;
}

/** Which object an unacceptable document speaks of, if its name can be read. */
function guessId(kind: string, raw: Readonly<Record<string, unknown>>, clustered: boolean): string | undefined {
  const metadata = raw['metadata'];
  if (!isRecord(metadata) || typeof metadata['name'] !== 'string') return undefined;
  const { name, namespace } = metadata;
  return formatId(kind, {
    name,
    namespace: clustered ? undefined : typeof namespace === 'string' ? namespace : defaultNamespace,
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Our words for the parser's codes: its own messages quote the text. */
const yamlFaults: Readonly<Record<ErrorCode, string>> = {
  ALIAS_PROPS: 'an alias can have no anchor or tag',
  BAD_ALIAS: 'the alias names no anchor',
  BAD_COLLECTION_TYPE: 'the tag does not fit a collection',
  BAD_DIRECTIVE: 'a wrong directive (%…)',
  BAD_DQ_ESCAPE: 'a wrong escape in double quotes',
  BAD_INDENT: 'the indentation does not fit, or a bracket is not closed',
  BAD_PROP_ORDER: 'anchor or tag at the wrong place',
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
  NON_STRING_KEY: 'a key that is no text',
  RESOURCE_EXHAUSTION: 'it is nested too deeply, or its aliases make too much of it',
  TAB_AS_INDENT: 'a tab in the indentation: use spaces',
  TAG_RESOLVE_FAILED: 'a tag that cannot be resolved',
  UNEXPECTED_TOKEN: 'something stands where it cannot',
};
