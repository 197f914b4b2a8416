import * as z from 'zod';
import { namespacePattern, objectNamePattern } from './fields.ts';
import type { ApiCatalogSpec, ApiKeySpec, ApiKind, KeyDestinationSpec, KeyOwnerGroupSpec, KeyOwnerSpec } from './kinds.ts';
import { kindTable } from './kinds.ts';
import { apiVersion } from './meta.ts';
import { annotations, labels, otherMetadata } from './objectmeta.ts';
import { didYouMean } from './suggestion.ts';

/** The specification of each kind, defaults applied. */
export interface Specs {
  readonly ApiKey: ApiKeySpec;
  readonly ApiCatalog: ApiCatalogSpec;
  readonly KeyOwner: KeyOwnerSpec;
  readonly KeyOwnerGroup: KeyOwnerGroupSpec;
  readonly KeyDestination: KeyDestinationSpec;
}

/** What a manifest says; whatever else a copied live object holds (uid, status …) is left out. */
export interface ManifestObject<K extends ApiKind = ApiKind> {
  readonly apiVersion: string;
  readonly kind: K;
  readonly metadata: {
    readonly name: string;
    /** Absent on cluster kinds, and where a namespaced document names none: the reader supplies its default. */
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Specs[K];
}

/** One fault: which field, and what is wrong with it. `${path}: ${message}` is a sentence. */
export interface ManifestFault {
  /** As people write it: `spec.deliverTo[1].path`. */
  readonly path: string;
  /** The same in steps, to find the place in the document. */
  readonly steps: readonly (string | number)[];
  readonly message: string;
}

/** What became of a manifest. */
export type Parsed<K extends ApiKind = ApiKind> =
  { readonly ok: true; readonly object: ManifestObject<K> } | { readonly ok: false; readonly errors: readonly ManifestFault[] };

function metadataSchema(scope: 'Namespaced' | 'Cluster') {
  const name = z
    .string()
    .min(1)
    .max(63)
    .regex(new RegExp(objectNamePattern), { error: 'must be of a-z, 0-9, "-" and ".", with a letter or digit at both ends' });
  const namespace =
    scope === 'Namespaced'
      ? z.string().max(63).regex(new RegExp(namespacePattern), { error: 'must be the name of a namespace' }).exactOptional()
      : z.never({ error: 'must be left out: the kind belongs to no namespace' }).exactOptional();
  return z.strictObject({ name, namespace, labels, annotations, ...otherMetadata });
}

/**
 * Parses one document of one of our kinds, as strictly as the API server does with `fieldValidation=Strict`: an unknown
 * field is an error. All faults are reported, not only the first one. One thing is stricter here: a field that is there
 * without a value (`channels:`) is a fault, while the API server takes it for left out, which would mean all channels.
 */
export function parseManifestObject<K extends ApiKind>(kind: K, raw: unknown): Parsed<K> {
  const entry = kindTable[kind];
  const schema = z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(kind),
    metadata: metadataSchema(entry.scope),
    spec: entry.spec,
    status: z.unknown().optional(),
  });
  const result = schema.safeParse(raw);
  if (!result.success) {
    const { issues } = result.error;
    const members = membersOf(schema);
    return { ok: false, errors: firstPerPath(issues.flatMap((issue) => toFaults(issue, raw, members))) };
  }
  const { metadata } = result.data;
  return {
    ok: true,
    object: {
      apiVersion,
      kind,
      metadata: {
        name: metadata.name,
        ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
        ...(metadata.labels === undefined ? {} : { labels: metadata.labels }),
        ...(metadata.annotations === undefined ? {} : { annotations: metadata.annotations }),
      },
      // The table pairs each kind with the schema of its own specification.
      spec: result.data.spec as Specs[K],
    },
  };
}

/**
 * What the API server would say to an update from `old` to `next`: the rules about changes. Both carry their defaults.
 * An empty list = the update is fine.
 */
export function validateUpdate<K extends ApiKind>(kind: K, old: Specs[K], next: Specs[K]): readonly ManifestFault[] {
  return kindTable[kind].transitions
    .filter((rule) => !rule.holds(next as never, old as never))
    .map((rule) => fault(['spec', ...(rule.field?.split('.') ?? [])], rule.message));
}

/** `['spec', 'deliverTo', 1, 'path']` → `spec.deliverTo[1].path`. */
export function formatPath(steps: readonly (string | number)[]): string {
  return steps.map((step, at) => (typeof step === 'number' ? `[${step}]` : at === 0 ? step : `.${step}`)).join('');
}

function fault(steps: readonly (string | number)[], message: string): ManifestFault {
  return { path: steps.length === 0 ? 'document' : formatPath(steps), steps, message };
}

/** One fault per field is enough: a text of the wrong shape breaks every further rule about it too. */
function firstPerPath(faults: readonly ManifestFault[]): readonly ManifestFault[] {
  const seen = new Set<string>();
  return faults.filter(({ path }) => !seen.has(path) && seen.add(path));
}

type Issue = z.core.$ZodIssue;

function toFaults(issue: Issue, raw: unknown, membersAt: ReturnType<typeof membersOf>): readonly ManifestFault[] {
  const steps = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
  if (issue.code === 'unrecognized_keys') {
    const known = membersAt(steps);
    return issue.keys.map((key) => fault([...steps, key], `is no known field${didYouMean(key, known)}`));
  }
  return [fault(steps, sentence(issue, at(raw, steps)))];
}

/** Tells the names of the fields that a map of fields may have, at a path of the document. The schema is converted once, if at all. */
function membersOf(schema: z.ZodType): (steps: readonly (string | number)[]) => readonly string[] {
  let root: z.core.JSONSchema._JSONSchema | undefined;
  return (steps) => {
    root ??= z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
    const found = steps.reduce<z.core.JSONSchema._JSONSchema | undefined>((node, step) => {
      if (typeof node !== 'object') return undefined;
      return typeof step === 'number' ? (Array.isArray(node.items) ? undefined : node.items) : node.properties?.[step];
    }, root);
    return typeof found === 'object' ? Object.keys(found.properties ?? {}) : [];
  };
}

/** What stands at a path of the document. */
function at(raw: unknown, steps: readonly (string | number)[]): unknown {
  return steps.reduce<unknown>(
    (value, step) => (typeof value === 'object' && value !== null ? Reflect.get(value, step) : undefined),
    raw,
  );
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map of fields',
  record: 'a map of texts',
};
const unitOf = (origin: string, n: number | bigint) => {
  const [one, many] = origin === 'string' ? ['character', 'characters'] : ['entry', 'entries'];
  return origin === 'number' || origin === 'int' ? `${n}` : `${n} ${Number(n) === 1 ? one : many}`;
};

/** Words for what the schema found; reads on after the field's path and a colon. */
function sentence(issue: Issue, value: unknown): string {
  switch (issue.code) {
    case 'invalid_key':
      return `the name ${issue.issues[0]?.message ?? 'is not valid'}`;
    case 'invalid_type':
      if (issue.expected === 'never') return issue.message;
      return value === undefined
        ? 'is required'
        : `must be ${typeNames[issue.expected] ?? issue.expected}, not ${describe(value)}`;
    case 'invalid_value':
      return value === undefined
        ? 'is required'
        : `must be ${issue.values.map((allowed) => JSON.stringify(allowed)).join(' or ')}${suggested(value, issue.values)}`;
    case 'too_big':
      return `at most ${unitOf(issue.origin, issue.maximum)}`;
    case 'too_small':
      return issue.origin === 'array' && issue.minimum === 1
        ? 'must not be empty: at least 1 entry, or leave the field out'
        : `at least ${unitOf(issue.origin, issue.minimum)}`;
    default:
      return issue.message;
  }
}

function suggested(value: unknown, allowed: readonly unknown[]): string {
  return typeof value === 'string' ? didYouMean(value, allowed.map(String)) : '';
}

function describe(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeNames[typeof value] ?? typeof value;
}
