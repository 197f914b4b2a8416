import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';
import type { Document, ErrorCode, Node } from 'yaml';

import { isApiKind, kindTable } from '../../api/kinds.ts';
import { apiVersion, group } from '../../api/meta.ts';
import { parseManifestObject } from '../../api/parse.ts';
import type { ManifestObject } from '../../api/parse.ts';
import { parseNamespace, parseSecret } from './core.ts';
import type { NamespaceManifest, SecretDocument } from './core.ts';

/** The namespace of documents that name none. */
export const defaultNamespace = 'default';

/** What is wrong, and in which line of the file, counted from 1. */
export interface LineFault {
  readonly line: number;
  readonly message: string;
}

/** One document of a manifest. `id` is `<Kind>/<namespace or _cluster>/<name>`. */
export type ManifestDocument =
  | {
      readonly type: 'object';
      readonly id: string;
      readonly line: number;
      readonly object: ManifestObject | NamespaceManifest;
      readonly lineOf: LineOf;
    }
  | { readonly type: 'secret'; readonly id: string; readonly line: number; readonly secret: SecretDocument }
  /** One of ours, but not acceptable. Without an id nobody knows what it was: it may be any object. */
  | { readonly type: 'invalid'; readonly id: string | undefined; readonly line: number; readonly faults: readonly LineFault[] }
  /** A kind that is not ours. */
  | { readonly type: 'foreign'; readonly line: number; readonly kind: string };

/** The line of a field, given in steps; of its nearest parent that is there, when it is not. */
export type LineOf = (steps: readonly (string | number)[]) => number;

/** A file's content: documents in their order (none = an empty file), or why it cannot be read. */
export type ManifestText =
  { readonly ok: true; readonly documents: readonly ManifestDocument[] } | { readonly ok: false; readonly fault: LineFault };

/**
 * Reads a manifest: YAML or JSON, several documents. A document without content (a stray `---`) counts for nothing.
 * Messages never quote the text: a Secret's value may stand in it.
 */
export function parseManifestText(text: string): ManifestText {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  const documents: ManifestDocument[] = [];
  for (const document of parsed) {
    const [error] = document.errors;
    if (error !== undefined)
      return {
        ok: false,
        fault: { line: lines.linePos(error.pos[0]).line, message: `is no valid YAML: ${yamlFaults[error.code]}` },
      };
    if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) continue;
    documents.push(readDocument(document, lines));
  }
  return { ok: true, documents };
}

/** `<Kind>/<namespace or _cluster>/<name>`, also the path under `status/`. An underscore is in no name. */
export function formatId(
  kind: string,
  { namespace, name }: { readonly namespace?: string | undefined; readonly name: string },
): string {
  return `${kind}/${namespace ?? '_cluster'}/${name}`;
}

function readDocument(document: Document, lines: LineCounter): ManifestDocument {
  const lineOf: LineOf = (steps) => lines.linePos(offsetOf(document, steps)).line;
  const line = lineOf([]);
  const raw = toPlain(document);
  if (!isRecord(raw) || typeof raw['apiVersion'] !== 'string' || typeof raw['kind'] !== 'string') {
    return {
      type: 'invalid',
      id: undefined,
      line,
      faults: [{ line, message: 'is no resource: apiVersion and kind are missing' }],
    };
  }
  const { apiVersion: version, kind } = raw;
  if (version === 'v1' && kind === 'Namespace') return readCore(raw, 'Namespace', line, lineOf);
  if (version === 'v1' && kind === 'Secret') return readCore(raw, 'Secret', line, lineOf);
  if (!version.startsWith(`${group}/`)) return { type: 'foreign', line, kind: `${kind} (${version})` };
  return readOurs(raw, kind, line, lineOf);
}

function readOurs(raw: Readonly<Record<string, unknown>>, kind: string, line: number, lineOf: LineOf): ManifestDocument {
  if (!isApiKind(kind)) {
    return {
      type: 'invalid',
      id: undefined,
      line,
      faults: [{ line: lineOf(['kind']), message: `kind: ${apiVersion} has no kind ${JSON.stringify(kind)}` }],
    };
  }
  const clustered = kindTable[kind].scope === 'Cluster';
  const result = parseManifestObject(kind, raw);
  if (!result.ok) {
    const faults = result.errors.map(({ path, steps, message }) => ({ line: lineOf(steps), message: `${path}: ${message}` }));
    return { type: 'invalid', id: guessId(kind, raw, clustered), line, faults };
  }
  const { metadata } = result.object;
  const object = clustered
    ? result.object
    : { ...result.object, metadata: { ...metadata, namespace: metadata.namespace ?? defaultNamespace } };
  return { type: 'object', id: formatId(kind, object.metadata), line, object, lineOf };
}

function readCore(
  raw: Readonly<Record<string, unknown>>,
  kind: 'Namespace' | 'Secret',
  line: number,
  lineOf: LineOf,
): ManifestDocument {
  const result = kind === 'Namespace' ? parseNamespace(raw) : parseSecret(raw);
  if (!result.ok) {
    const faults = result.errors.map(({ path, steps, message }) => ({ line: lineOf(steps), message: `${path}: ${message}` }));
    return { type: 'invalid', id: guessId(kind, raw, kind === 'Namespace'), line, faults };
  }
  if ('secret' in result) return { type: 'secret', id: formatId('Secret', result.secret), line, secret: result.secret };
  return { type: 'object', id: formatId('Namespace', result.object.metadata), line, object: result.object, lineOf };
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

function toPlain(document: Document): unknown {
  try {
    return document.toJS();
  } catch {
    // More aliases than any honest manifest has.
    return undefined;
  }
}

/** Keys are where people look for a field: its value may begin on a later line. */
function offsetOf(document: Document, steps: readonly (string | number)[]): number {
  let node: unknown = document.contents;
  let offset = offsetOfNode(node) ?? 0;
  for (const step of steps) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => (isScalar(key) ? key.value : key) === step);
      if (pair === undefined) break;
      offset = offsetOfNode(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof step === 'number') {
      node = node.items[step];
      offset = offsetOfNode(node) ?? offset;
    } else {
      break;
    }
  }
  return offset;
}

function offsetOfNode(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
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
  RESOURCE_EXHAUSTION: 'it is nested too deeply',
  TAB_AS_INDENT: 'a tab in the indentation: use spaces',
  TAG_RESOLVE_FAILED: 'a tag that cannot be resolved',
  UNEXPECTED_TOKEN: 'something stands where it cannot',
};
