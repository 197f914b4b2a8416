import * as z from 'zod';

import { namespacePattern, objectNamePattern } from '../../api/fields.ts';
import { annotations, labels, otherMetadata } from '../../api/objectmeta.ts';
import { formatPath } from '../../api/parse.ts';
import type { ManifestFault } from '../../api/parse.ts';

/** The only namespace whose Secret manifests are read: where `secretRef`s of KeyDestinations resolve. */
export const secretNamespace = 'keywright-system';

/** A Namespace, as far as we read it. */
export interface NamespaceManifest {
  readonly apiVersion: 'v1';
  readonly kind: 'Namespace';
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, never>>;
}

/** A Secret manifest; `data` is base64. Kept in memory only: nothing of it may reach the data folder. */
export interface SecretDocument {
  readonly namespace: string;
  readonly name: string;
  /** Decides whether a KeyDestination may log in with it. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
}

type Faulty = { readonly ok: false; readonly errors: readonly ManifestFault[] };

const nameSchema = z.string().max(253).regex(new RegExp(objectNamePattern), { error: 'must be of a-z, 0-9, "-" and "."' });
const namespaceNameSchema = z.string().max(63).regex(new RegExp(namespacePattern), { error: 'must be of a-z, 0-9 and "-"' });

const unread = z.unknown().optional();
const named = { apiVersion: unread, kind: unread };

const namespaceSchema = z.strictObject({
  ...named,
  metadata: z.strictObject({ name: namespaceNameSchema, labels, annotations, ...otherMetadata }),
  spec: unread,
  status: unread,
});

// apimachinery, IsConfigMapKey.
const entryName = z.string().regex(/^(?!\.$|\.\.)[-._a-zA-Z0-9]{1,253}$/, {
  error: 'must be of letters, digits, "-", "_" and "."',
});

const secretSchema = z.strictObject({
  ...named,
  metadata: z.strictObject({
    name: nameSchema,
    namespace: z.literal(secretNamespace, { error: `only Secrets of the namespace ${secretNamespace} are read` }),
    labels,
    annotations,
    ...otherMetadata,
  }),
  type: z.string().nullish(),
  data: z.record(entryName, z.base64({ error: 'must be base64' })).nullish(),
  stringData: z.record(entryName, z.string()).nullish(),
  immutable: unread,
});

/** Reads a Namespace document. */
export function parseNamespace(raw: unknown): { readonly ok: true; readonly object: NamespaceManifest } | Faulty {
  const result = namespaceSchema.safeParse(raw);
  if (!result.success) return toFaulty(result.error);
  const { metadata } = result.data;
  const { name } = metadata;
  const described = metadata.annotations === undefined ? {} : { annotations: metadata.annotations };
  return {
    ok: true,
    object: {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { ...metadata.labels, ...namespaceLabels(name) }, ...described },
      spec: {},
    },
  };
}

/** The label that every namespace has. */
export function namespaceLabels(name: string): Readonly<Record<string, string>> {
  return { 'kubernetes.io/metadata.name': name };
}

/** Reads a Secret document. */
export function parseSecret(raw: unknown): { readonly ok: true; readonly secret: SecretDocument } | Faulty {
  const result = secretSchema.safeParse(raw);
  if (!result.success) return toFaulty(result.error);
  const { metadata, type, data, stringData } = result.data;
  const { namespace, name } = metadata;
  const described = {
    ...(metadata.labels === undefined ? {} : { labels: metadata.labels }),
    ...(metadata.annotations === undefined ? {} : { annotations: metadata.annotations }),
  };
  const encoded = Object.entries(stringData ?? {}).map(([key, value]) => [key, Buffer.from(value, 'utf8').toString('base64')]);
  const values = { ...data, ...(Object.fromEntries(encoded) as Readonly<Record<string, string>>) };
  return { ok: true, secret: { namespace, name, ...described, type: type ?? 'Opaque', data: values } };
}

/** Messages of zod name types and bounds, never values. */
function toFaulty(error: z.ZodError): Faulty {
  const errors = error.issues.flatMap((issue): readonly ManifestFault[] => {
    const steps = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
    const faultAt = (at: readonly (string | number)[], message: string) => ({ path: formatPath(at), steps: at, message });
    if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => faultAt([...steps, key], 'is no known field'));
    return [faultAt(steps, issue.code === 'invalid_key' ? `the name ${issue.issues[0]?.message ?? ''}` : issue.message)];
  });
  return { ok: false, errors };
}
