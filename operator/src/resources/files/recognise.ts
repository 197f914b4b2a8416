import { apiKinds, isApiKind, kindTable } from '../../api/kinds.ts';
import type { ApiKind } from '../../api/kinds.ts';
import { apiVersion, group } from '../../api/meta.ts';
import { parseManifestObject } from '../../api/parse.ts';
import type { ManifestFault } from '../../api/parse.ts';
import { parseNamespace, parseSecret } from './core.ts';
import { defaultNamespace, faultsListed, formatId } from './content.ts';
import type { Content } from './content.ts';
import { offsetsInSpec } from './offsets.ts';
import type { Steps } from './offsets.ts';
import type { LineFault, TextDocument } from './yamltext.ts';

/** To which depth below `spec` line numbers are kept: `spec.consumers[3]` and `spec.vault.address` are two. */
const linesDepth = 2;

/** A map that may be a resource: a document, or an item of a list. */
interface Source {
  readonly text: TextDocument;
  /** Where it stands in the document. */
  readonly at: Steps;
  readonly raw: Readonly<Record<string, unknown>>;
  readonly line: number;
}

/**
 * Says what a document is, and reads what we know. Whatever speaks of one of our objects, and is not understood, is recorded so that
 * the object does not count as absent.
 */
export function recognise(text: TextDocument, content: Content): void {
  recogniseAt(text, [], text.value, content);
}

function recogniseAt(text: TextDocument, at: Steps, raw: unknown, content: Content): void {
  const line = text.lineAt(at);
  if (!isRecord(raw)) {
    content.empty = false;
    recogniseOther(raw, line, content);
    return;
  }
  const source: Source = { text, at, raw, line };
  const { apiVersion: version, kind } = raw;
  if (isList(raw)) expand(source, content);
  else {
    content.empty = false;
    if (version === 'v1' && (kind === 'Namespace' || kind === 'Secret')) readCore(source, kind, content);
    else if (typeof version === 'string' && version.startsWith(`${group}/`)) readOurs(source, kind, content);
    else if (typeof kind === 'string' && typeof version === 'string') readForeign(source, kind, version, content);
    else recogniseOther(raw, line, content);
  }
}

/** As kubectl: `kind: List`, `<Kind>List`, whose items have that kind unless they say another one, and whatever has resources as items. */
function isList(raw: Readonly<Record<string, unknown>>): boolean {
  const { kind, apiVersion: version, items } = raw;
  if (typeof kind !== 'string' || typeof version !== 'string') return false;
  if (kind.endsWith('List')) return 'items' in raw || version.startsWith(`${group}/`) || kind === 'List';
  return Array.isArray(items) && items.some((item) => isRecord(item) && typeof item['kind'] === 'string');
}

function expand({ text, at, raw, line }: Source, content: Content): void {
  const { kind, apiVersion: version, items } = raw;
  if (items === null) return;
  if (!Array.isArray(items)) {
    content.empty = false;
    content.refuse(undefined, [{ line, message: `items: ${'items' in raw ? 'must be a list' : 'is required in a list'}` }]);
    return;
  }
  const itemKind = (kind as string).replace(/List$/, '');
  for (const [index, item] of (items as readonly unknown[]).entries()) {
    const here = [...at, 'items', index];
    if (!isRecord(item)) {
      content.empty = false;
      content.refuse(undefined, [{ line: text.lineAt(here), message: `items[${index}]: must be a Kubernetes resource` }]);
    } else {
      if (isList(item)) {
        // Nor does kubectl read these.
        content.empty = false;
        if (!findInside(item, text.lineAt(here), content))
          content.refuse(undefined, [{ line: text.lineAt(here), message: `items[${index}]: a list in a list is not read` }]);
        continue;
      }
      const inherits = !item['kind'] && !item['apiVersion'] && itemKind !== '';
      recogniseAt(text, here, inherits ? { ...item, kind: itemKind, apiVersion: version } : item, content);
    }
  }
}

function readOurs(source: Source, kind: unknown, content: Content): void {
  const { text, at, raw, line } = source;
  if (typeof kind !== 'string' || !isApiKind(kind)) {
    const near = typeof kind === 'string' ? nearKind(kind) : undefined;
    const message =
      typeof kind !== 'string'
        ? `kind: ${'kind' in raw ? 'must be a text' : 'is required'}: one of ${apiKinds.join(', ')}`
        : `kind: ${apiVersion} has no kind ${JSON.stringify(kind)}${near === undefined ? '' : `; did you mean ${near}?`}`;
    content.refuse(mentionOf(near, raw, line), [{ line: text.lineAt([...at, 'kind']), message }]);
    return;
  }
  const clustered = kindTable[kind].scope === 'Cluster';
  const result = parseManifestObject(kind, withoutNothing(raw, clustered));
  if (!result.ok) {
    refuse(source, guessId(kind, raw, clustered), result.errors, content);
    return;
  }
  const { metadata } = result.object;
  const object = clustered
    ? result.object
    : { ...result.object, metadata: { ...metadata, namespace: metadata.namespace ?? defaultNamespace } };
  const offsets = [...offsetsInSpec(text.document, at, linesDepth)];
  const lines = new Map(offsets.map(([key, offset]) => [key, text.lineOfOffset(offset)] as const));
  content.add({ type: 'object', id: formatId(kind, object.metadata), line, object, lines });
}

function readCore(source: Source, kind: 'Namespace' | 'Secret', content: Content): void {
  const { raw, line } = source;
  const clustered = kind === 'Namespace';
  const plain = withoutNothing(raw, clustered);
  const result = clustered ? parseNamespace(plain) : parseSecret(plain);
  if (!result.ok) refuse(source, guessId(kind, raw, clustered), result.errors, content);
  else if ('secret' in result)
    content.add({ type: 'secret', id: formatId('Secret', result.secret), line, secret: result.secret });
  else {
    const { object } = result;
    content.add({ type: 'object', id: formatId('Namespace', object.metadata), line, object, lines: new Map() });
  }
}

/** A resource of somebody else; or one of ours whose apiVersion or kind has a slip. */
function readForeign(source: Source, kind: string, version: string, content: Content): void {
  const { raw, line, text, at } = source;
  const near = nearKind(kind);
  if (near !== undefined) {
    const message = `apiVersion: ${JSON.stringify(version)} is not ours, so this ${near} is not read; ours is ${apiVersion}`;
    const fault = { line: text.lineAt([...at, 'apiVersion']), message };
    content.refuse(mentionOf(near, raw, line), [fault]);
  } else if (/keywright/i.test(version)) {
    const message = `apiVersion: ${JSON.stringify(version)} is not known; ours is ${apiVersion}`;
    content.refuse(undefined, [{ line: text.lineAt([...at, 'apiVersion']), message }]);
  } else if (!findInside(raw, line, content))
    content.notice(line, `the kind ${kind} (${version}) is skipped: it is not known here`);
}

/** A document without a kind: `values.yaml`, `package.json`, a compose file, or a resource that is not fully written yet. */
function recogniseOther(raw: unknown, line: number, content: Content): void {
  if (findInside(raw, line, content)) return;
  content.stray ??= line;
  const named = isRecord(raw) ? Object.keys(raw).find((name) => /^(?:apiversion|kind)$/i.test(name)) : undefined;
  if (!isRecord(raw) || named === undefined) return;
  const near = typeof raw['kind'] === 'string' ? nearKind(raw['kind']) : undefined;
  const isComplete = 'kind' in raw && 'apiVersion' in raw;
  const missing = isComplete ? 'apiVersion and kind must be texts' : `${'kind' in raw ? 'apiVersion' : 'kind'} is missing`;
  const message = `is not a Kubernetes resource: ${missing}`;
  if (near === undefined) content.notice(line, message);
  else content.refuse(mentionOf(near, raw, line), [{ line, message: `${message}; ours is ${apiVersion}` }]);
}

/**
 * Looks for our objects inside of something that is not read: a template, an array, a text of YAML. True = there is one, and the
 * fault is listed.
 */
function findInside(raw: unknown, line: number, content: Content): boolean {
  const seen = new Set<object>();
  const found: Readonly<Record<string, unknown>>[] = [];
  let inText = false;
  const visit = (value: unknown): void => {
    if (typeof value === 'string') inText ||= ourText.test(value);
    // Aliases share: each only once.
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    if (isOurs(value)) found.push(value);
    else for (const member of Object.values(value)) visit(member);
  };
  visit(raw);
  if (found.length === 0 && !inText) return false;
  const where = typeof raw === 'object' && !Array.isArray(raw) ? 'inside of another one' : 'that is not a map of fields';
  const message = `has a resource of ${group} ${where}, which is not read: give it a document of its own, or an item of a List`;
  if (inText) content.unnamed = true;
  for (const one of found) {
    const near = typeof one['kind'] === 'string' ? nearKind(one['kind']) : undefined;
    content.refuse(mentionOf(near, one, line), []);
  }
  content.list({ line, message, level: 'error' });
  return true;
}

const ourText = /(?:^|[\n"{,])\s*"?apiVersion"?\s*:\s*["']?keywright\.dev\//;

/** Not what only refers to one, such as an owner reference. */
function isOurs(value: object): value is Readonly<Record<string, unknown>> {
  if (!isRecord(value)) return false;
  const { apiVersion: version, metadata, spec } = value;
  return typeof version === 'string' && version.startsWith(`${group}/`) && (isRecord(metadata) || isRecord(spec));
}

/** Our kind that somebody means, whatever its case, plural, or as a list. */
function nearKind(kind: string): ApiKind | undefined {
  const wanted = kind.toLowerCase().replace(/(?:list|s)$/, '');
  return apiKinds.find((one) => one.toLowerCase() === wanted);
}

function mentionOf(kind: ApiKind | undefined, raw: Readonly<Record<string, unknown>>, line: number) {
  const id = kind === undefined ? undefined : guessId(kind, raw, kindTable[kind].scope === 'Cluster');
  return id === undefined ? undefined : { type: 'mention' as const, id, line };
}

/** Only as many as are listed: finding a line takes a search of the document, too slow for thousands. */
function refuse({ text, at, line }: Source, id: string | undefined, errors: readonly ManifestFault[], content: Content): void {
  const faults = errors
    .slice(0, faultsListed)
    .map(({ path, steps, message }): LineFault => ({ line: text.lineAt([...at, ...steps]), message: `${path}: ${message}` }));
  content.refuse(id === undefined ? undefined : { type: 'invalid', id, line }, faults, errors.length);
}

/** Which object an unacceptable document speaks of, if its name can be read. */
function guessId(kind: string, raw: Readonly<Record<string, unknown>>, clustered: boolean): string | undefined {
  const metadata = raw['metadata'];
  if (!isRecord(metadata) || typeof metadata['name'] !== 'string') return undefined;
  const { name, namespace } = metadata;
  const named = typeof namespace === 'string' && namespace !== '' ? namespace : defaultNamespace;
  return formatId(kind, { name, namespace: clustered ? undefined : named });
}

/**
 * As the API server takes it: a member without a value is left out of metadata, and an empty namespace too; a kind of the cluster has
 * no namespace, whatever it says; a label, annotation or entry of a Secret without a value is an empty text.
 */
function withoutNothing(raw: Readonly<Record<string, unknown>>, clustered: boolean): Readonly<Record<string, unknown>> {
  const { metadata } = raw;
  if (!isRecord(metadata)) return raw;
  const kept = Object.entries(metadata).filter(
    ([name, value]) => value !== null && !(name === 'namespace' && (value === '' || (clustered && typeof value === 'string'))),
  );
  return { ...withTexts(raw, ['data', 'stringData']), metadata: withTexts(Object.fromEntries(kept), ['labels', 'annotations']) };
}

function withTexts(raw: Readonly<Record<string, unknown>>, maps: readonly string[]): Readonly<Record<string, unknown>> {
  const changed = maps.flatMap((name) => {
    const map = raw[name];
    if (!isRecord(map) || !Object.values(map).includes(null)) return [];
    return [[name, Object.fromEntries(Object.entries(map).map(([key, value]) => [key, value ?? '']))] as const];
  });
  return changed.length === 0 ? raw : { ...raw, ...Object.fromEntries(changed) };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
