import { z } from 'zod';

/** A field manager, and when it last wrote what it owns, as an RFC 3339 text of the API server. */
export interface FieldManager {
  /** Printable, 1 to 128 characters. The client chooses it, so it proves no identity. */
  readonly manager: string;
  readonly time?: string;
}

/**
 * `metadata.managedFields`, as far as this module reads it ("Server-Side Apply, Field management" of the Kubernetes
 * documentation).
 */
const entrySchema = z.object({
  manager: z.string(),
  time: z.string().optional(),
  subresource: z.string().optional(),
  fieldsV1: z.record(z.string(), z.unknown()).optional(),
});

/** A member: `['spec', 'suspend']`, `['metadata', 'annotations', 'keywright.dev/rotate']`. */
export type FieldPath = readonly string[];

/**
 * Who last wrote one of these fields, as far as `managedFields` says. If nobody owns any of them (a field was removed), who last
 * wrote anything in their parents. `undefined` = it does not say. Ignores the status. Never throws: it skips an entry of another
 * shape.
 */
export function lastManager(managedFields: unknown, paths: readonly FieldPath[]): FieldManager | undefined {
  const entries = Array.isArray(managedFields) ? managedFields.flatMap(readEntry) : [];
  const owning = (wanted: readonly FieldPath[]) => entries.filter(({ fields }) => wanted.some((path) => owns(fields, path)));
  const exact = owning(paths);
  const [newest] = [...(exact.length > 0 ? exact : owning(paths.map((path) => path.slice(0, -1))))].sort(byTime);
  return newest === undefined
    ? undefined
    : { manager: newest.manager, ...(newest.time === undefined ? {} : { time: newest.time }) };
}

interface Entry extends FieldManager {
  readonly fields: Readonly<Record<string, unknown>>;
}

function readEntry(value: unknown): readonly Entry[] {
  const { data } = entrySchema.safeParse(value);
  if (data === undefined || (data.subresource ?? '') !== '') return [];
  // The API server refuses unprintable names; a store could not keep them.
  const manager = data.manager.toWellFormed().replace(/\p{C}/gu, '').slice(0, 128).toWellFormed();
  if (manager === '') return [];
  return [{ manager, fields: data.fieldsV1 ?? {}, ...(data.time === undefined ? {} : { time: data.time }) }];
}

function owns(fields: unknown, path: FieldPath): boolean {
  let node = fields;
  for (const segment of path) {
    const name = `f:${segment}`;
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, name)) return false;
    node = (node as Readonly<Record<string, unknown>>)[name];
  }
  return true;
}

/** Newest first. All texts of the API server are in UTC and in one form, so they sort as text. */
function byTime(a: Entry, b: Entry): number {
  return (a.time ?? '') < (b.time ?? '') ? 1 : -1;
}
