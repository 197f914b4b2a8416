import { z } from 'zod';

import { heartbeatAnnotation } from '../api/admission/roles.ts';
import type { LeaseNote } from '../resources/kube/leader.ts';
import type { PrimaryMemory, PrimaryNote } from '../store/primarymemory.ts';
import type { Log } from '../telemetry/log.ts';

const schema = z.object({
  beats: z.int().min(0),
  at: z.iso.datetime(),
  timeline: z.int().min(0),
  system: z.string(),
});

/**
 * Keeps what is remembered of the primary in the Lease, outside the database: an operator that has just started knows nothing, and
 * would take an old primary if the right one does not answer. Removing the annotation lets it take any server.
 */
export function heartbeatNote(memory: PrimaryMemory, log: Log): LeaseNote {
  return {
    annotation: heartbeatAnnotation,
    text: () => {
      const note = memory.note();
      return note === undefined ? undefined : JSON.stringify({ ...note, at: new Date(note.at).toISOString() });
    },
    taken: (text) => {
      const note = text === undefined ? undefined : parseNote(text);
      if (text !== undefined && note === undefined)
        log.error('annotation of the Lease not readable', {
          kind: 'Lease',
          message: `${heartbeatAnnotation}: any primary may be used`,
        });
      memory.restore(note);
    },
    removed: () => {
      log.warn('annotation of the Lease removed', { kind: 'Lease', message: `${heartbeatAnnotation}: any primary may be used` });
      memory.restore(undefined);
    },
  };
}

/** `undefined` = not ours: whoever may write that may also remove it. */
function parseNote(text: string): PrimaryNote | undefined {
  try {
    const { at, ...note } = schema.parse(JSON.parse(text));
    return { ...note, at: Date.parse(at) };
  } catch {
    return undefined;
  }
}
