import type { Clock } from '../../domain/time.ts';
import type { SecretState } from './state.ts';

/**
 * The state of a secret as the last call left it, so that the value is read back, and found promoted, without describing
 * the secret once more. It is only a guess: whoever uses it checks the stages that come with the value.
 */
export interface Notes {
  /** What is noted of a secret of this name; `undefined` when nothing is, or when it is too old. */
  of(name: string): SecretState | undefined;
  keep(name: string, state: SecretState): void;
  drop(name: string): void;
}

/** How long a note is believed, in milliseconds: the time of one pass over a key. */
const keptMs = 30_000;

/** Notes in memory. They hold no value, and old ones go with the next note. */
export function openNotes(clock: Clock): Notes {
  const notes = new Map<string, { readonly state: SecretState; readonly atMs: number }>();
  const isFresh = (atMs: number) => clock.monotonicMs() - atMs < keptMs;
  return {
    of: (name) => {
      const note = notes.get(name);
      return note !== undefined && isFresh(note.atMs) ? note.state : undefined;
    },
    keep: (name, state) => {
      // In the order of their making: the first fresh one ends the walk.
      for (const [old, { atMs }] of notes) {
        if (isFresh(atMs)) break;
        notes.delete(old);
      }
      notes.delete(name);
      notes.set(name, { state, atMs: clock.monotonicMs() });
    },
    drop: (name) => {
      notes.delete(name);
    },
  };
}
