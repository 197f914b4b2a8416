import type { Condition } from '../api/conditions.ts';
import type { KubeObject } from '../api/meta.ts';
import type { Fault } from '../resources/files/declared.ts';

/** How many are shown; the rest is counted. */
const mostShown = 20;

/**
 * A fault for each object but ApiKeys, which have rows of their own, that is not Ready as its manifest says now: otherwise a wrong
 * catalog would show only in what its keys lack. Called at each drawing of the table, so it sorts only what it shows.
 */
export function notReady(objects: readonly KubeObject[]): readonly Fault[] {
  const faults = objects.flatMap(faultOf).sort((a, b) => (a.file < b.file ? -1 : 1));
  const rest = faults.length - mostShown;
  if (rest <= 0) return faults;
  const more: Fault = { file: `and ${rest.toLocaleString('en-US')} more objects`, message: 'are not Ready', level: 'error' };
  return [...faults.slice(0, mostShown), more];
}

function faultOf({ kind, metadata, status }: KubeObject): readonly Fault[] {
  if (kind === 'ApiKey') return [];
  const { conditions = [] } = (status ?? {}) as { readonly conditions?: readonly Condition[] };
  const ready = conditions.find(({ type }) => type === 'Ready');
  if (ready?.status !== 'False' || (ready.observedGeneration ?? 0) < (metadata.generation ?? 0)) return [];
  return [{ file: `${kind}/${metadata.name}`, message: `${ready.reason}: ${ready.message}`, level: 'error' }];
}
