import type { Schema } from '../../operator/src/api/structural.ts';

/** The fields that a structural schema has, down to the last: `spec.grants[].scopes[]`, `{}` for any entry of a map. */
export function leavesOf(schema: Schema, at: string): readonly string[] {
  const members = Object.entries((schema['properties'] ?? {}) as Readonly<Record<string, Schema>>);
  if (members.length > 0) return members.flatMap(([name, member]) => leavesOf(member, `${at}.${name}`));
  if (schema['items'] !== undefined) return leavesOf(schema['items'] as Schema, `${at}[]`);
  if (typeof schema['additionalProperties'] === 'object') return leavesOf(schema['additionalProperties'] as Schema, `${at}{}`);
  return [at];
}
