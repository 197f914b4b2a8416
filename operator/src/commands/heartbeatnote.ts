import { z } from 'zod';

import { heartbeatAnnotation } from '../api/admission/roles.ts';
import type { LeaseNote } from '../resources/kube/leader.ts';
import type { PrimaryMark, PrimaryMemory } from '../store/primarymemory.ts';
import type { Log } from '../telemetry/log.ts';

const schema = z.object({
  beats: z.int().min(0),
  at: z.iso.datetime(),
  timeline: z.int().min(0),
  system: z.string(),
});

/**
 * Keeps what is remembered of the primary in the Lease, outside the database: an operator that has just started knows nothing, and
 * would take an old primary if the right one does not answer. Who removes the annotation lets it take any.
 */
export function heartbeatNote(memory: PrimaryMemory, log: Log): LeaseNote {
  return {
    annotation: heartbeatAnnotation,
    text: () => {
      const mark = memory.mark();
      return mark === undefined ? undefined : JSON.stringify({ ...mark, at: new Date(mark.at).toISOString() });
    },
    taken: (text) => {
      memory.restore(text === undefined ? undefined : parseMark(text));
    },
    removed: () => {
      log.warn('annotation of the Lease removed', { kind: 'Lease', message: `${heartbeatAnnotation}: any primary may be used` });
      memory.restore(undefined);
    },
  };
}

/** `undefined` = not ours: whoever may write that may also remove it. */
function parseMark(text: string): PrimaryMark | undefined {
  try {
    const { at, ...mark } = schema.parse(JSON.parse(text));
    return { ...mark, at: Date.parse(at) };
  } catch {
    return undefined;
  }
}
