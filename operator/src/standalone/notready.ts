import type { Condition } from '../api/conditions.ts';
import type { ObjectMeta } from '../api/meta.ts';
import type { Fault } from '../resources/files/declared.ts';

/** What every kind but ApiKey, which has a row of its own, shows of itself. */
export interface Conditioned {
  readonly kind: string;
  readonly metadata: Pick<ObjectMeta, 'name' | 'generation'>;
  readonly status?: {
    readonly conditions: readonly Pick<Condition, 'type' | 'status' | 'reason' | 'message' | 'observedGeneration'>[];
  };
}

/** How many are shown; the rest is counted. */
const mostShown = 20;

/** A fault for each object that is not Ready as its manifest says now: without one, a wrong catalog shows only in what its keys lack. */
export function notReady(objects: readonly Conditioned[]): readonly Fault[] {
  const faults = objects.flatMap(({ kind, metadata, status }): readonly Fault[] => {
    const ready = status?.conditions.find(({ type }) => type === 'Ready');
    if (ready?.status !== 'False' || (ready.observedGeneration ?? 0) < (metadata.generation ?? 0)) return [];
    return [{ file: `${kind}/${metadata.name}`, message: `${ready.reason}: ${ready.message}`, level: 'error' }];
  });
  const rest = faults.length - mostShown;
  if (rest <= 0) return faults;
  const more: Fault = { file: `and ${rest.toLocaleString('en-US')} more objects`, message: 'are not Ready', level: 'error' };
  return [...faults.slice(0, mostShown), more];
}
