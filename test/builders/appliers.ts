import { apiVersion } from '../../operator/src/api/meta.ts';

/** About as many as the policy lets an ApiKey have. */
export const crowd = 700;

/** So many managers that apply, each of which owns these fields: the API server bounds only the number of those that update. */
export function appliers(
  fieldsV1: object,
  named = (at: number): object => ({ manager: `m${at}` }),
  length = crowd,
): readonly object[] {
  const one = { operation: 'Apply', apiVersion, time: '2026-01-01T00:00:00Z', fieldsType: 'FieldsV1', fieldsV1 };
  return Array.from({ length }, (_, at) => ({ ...one, ...named(at) }));
}
