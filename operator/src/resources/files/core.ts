import * as z from 'zod';

import { namespacePattern, objectNamePattern } from '../../api/fields.ts';
import { formatPath, textMap } from '../../api/parse.ts';
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

const namespaceSchema = z.object({
  metadata: z.object({ name: namespaceNameSchema, labels: textMap, annotations: textMap }),
});

const secretSchema = z.object({
  metadata: z.object({
    name: nameSchema,
    namespace: z.literal(secretNamespace, { error: `only Secrets of the namespace ${secretNamespace} are read` }),
    labels: textMap.optional(),
    annotations: textMap.optional(),
  }),
  type: z.string().optional(),
  data: z.record(z.string(), z.base64({ error: 'must be base64' })).optional(),
  stringData: z.record(z.string(), z.string()).optional(),
});

/** Reads a Namespace document. */
export function parseNamespace(raw: unknown): { readonly ok: true; readonly object: NamespaceManifest } | Faulty {
  const result = namespaceSchema.safeParse(raw);
  if (!result.success) return toFaulty(result.error);
  const { name, labels, annotations } = result.data.metadata;
  return {
    ok: true,
    object: {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels: { ...labels, ...namespaceLabels(name) }, ...(annotations === undefined ? {} : { annotations }) },
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
  const { metadata, type = 'Opaque', data = {}, stringData = {} } = result.data;
  const { labels, annotations, ...named } = metadata;
  const described = { ...(labels === undefined ? {} : { labels }), ...(annotations === undefined ? {} : { annotations }) };
  const encoded = Object.entries(stringData).map(([key, value]) => [key, Buffer.from(value, 'utf8').toString('base64')] as const);
  return { ok: true, secret: { ...named, ...described, type, data: { ...data, ...Object.fromEntries(encoded) } } };
}

/** Messages of zod name types and bounds, never values. */
function toFaulty(error: z.ZodError): Faulty {
  return {
    ok: false,
    errors: error.issues.map(({ path, message }) => {
      const steps = path.map((step) => (typeof step === 'number' ? step : String(step)));
      return { path: formatPath(steps), steps, message };
    }),
  };
}
