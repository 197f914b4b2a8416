import { apiVersion } from '../../operator/src/api/meta.ts';

/** A quarter of what an object has room for: of more, the API server itself takes seconds for each write, and these tests minutes. */
export const crowd = 2000;

/** {@link crowd} managers that apply, each of which owns these fields: the API server bounds only the number of those that update. */
export function appliers(fieldsV1: object, named = (at: number): object => ({ manager: `m${at}` })): readonly object[] {
  const one = { operation: 'Apply', apiVersion, time: '2026-01-01T00:00:00Z', fieldsType: 'FieldsV1', fieldsV1 };
  return Array.from({ length: crowd }, (_, at) => ({ ...one, ...named(at) }));
}
