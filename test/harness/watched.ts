import type { ApiKind } from '../../operator/src/api/kinds.ts';
import type { ObjectRef } from '../../operator/src/api/meta.ts';
import { kstatusOf, type KStatus } from './kstatus.ts';
import type { Sight, StatusRecorder } from './recorder.ts';
import { until } from './until.ts';

const comes = { deadlineMs: 60_000, everyMs: 50 };

/** One object as whoever waits for it sees it, from the first sight on. */
export class Watched {
  readonly #recorder: StatusRecorder;
  readonly #kind: ApiKind;
  readonly #ref: ObjectRef;
  #told = 0;

  constructor(recorder: StatusRecorder, kind: ApiKind, ref: ObjectRef) {
    this.#recorder = recorder;
    this.#kind = kind;
    this.#ref = ref;
  }

  /** All that was ever seen of it. */
  get sights(): readonly Sight[] {
    return this.#recorder.seen(this.#kind, this.#ref);
  }

  /**
   * Waits for a new status that speaks of the present generation, has this condition (as `Ready=True`, or with its reason)
   * and fits. Returns what kstatus changed to since the last call, step by step; nothing when it stayed the same.
   */
  async until(condition: string, fits: (sight: Sight) => boolean = () => true): Promise<readonly KStatus[]> {
    const [type, wanted = ''] = condition.split('=');
    const says = (sight: Sight): boolean =>
      sight.status?.observedGeneration === sight.metadata.generation &&
      sight.status?.conditions?.some((one) => one.type === type && `${one.status} ${one.reason}`.startsWith(wanted)) === true &&
      fits(sight);
    const what = `${this.#kind} ${this.#ref.name} ${condition}`;
    await until(() => this.sights.slice(Math.max(this.#told, this.sights.length - 1)).some(says), { what, ...comes });
    return this.changes();
  }

  /** What kstatus changed to since the last call, without waiting. */
  changes(): readonly KStatus[] {
    const all = this.sights.map(kstatusOf);
    const from = this.#told;
    this.#told = all.length;
    return all.flatMap((status, at) => (at >= from && status !== all[at - 1] ? [status] : []));
  }
}

/**
 * What Argo CD has to say where kstatus says this. Who was switched off, the key or its owner, is Suspended there, which
 * kstatus has no word for.
 */
export function healthFor(sight: Sight): 'Healthy' | 'Progressing' | 'Degraded' | 'Suspended' {
  const { metadata, status } = sight;
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  const isSwitchedOff = ready?.status === 'False' && ['Suspended', 'OwnerDisabled'].includes(ready.reason);
  const kstatus = kstatusOf(sight);
  if (kstatus === 'InProgress' && isSwitchedOff && status?.observedGeneration === metadata.generation) return 'Suspended';
  return ({ Current: 'Healthy', InProgress: 'Progressing', Failed: 'Degraded', Terminating: 'Progressing' } as const)[kstatus];
}
