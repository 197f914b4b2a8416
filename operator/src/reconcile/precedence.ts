import type { ObjectMeta } from '../api/meta.ts';
import { transient } from '../domain/failure.ts';
import type { Store } from '../store/port.ts';

/**
 * Two passes work on one ApiKey at a time: a pass over everything, which may hang in a call to a destination, and the safety
 * pass, which takes rights away in the store and calls nobody else. Why the two cannot spoil each other's work:
 *
 * - Only the whole pass calls destinations, and there is one of a key at a time: what stands at a location has one writer.
 * - Each transition of the store is one transaction that locks the key's row and checks the state that it expects, so that
 *   the two are ordered there. A version that was ended is neither activated nor written anywhere again.
 * - A transition that comes from an older read of the ApiKey than one that has acted already is refused ({@link Reading}): it
 *   could give back what was just taken away (save the settings of before a suspension, move an expiry later again, mint for
 *   an ApiKey that is being deleted). Check and transition are one turn, so that no other transition comes between the two.
 * - What a pass has done outside the store is recorded all the same (`confirmDeliveries`, `finishWithdrawal`): the place holds
 *   it, whatever the ApiKey says by now, and the next pass empties it where it must.
 *
 * Another process is kept out by the fence.
 */
export class Precedence {
  readonly #keys = new Map<string, Known>();
  #reads = 0;

  /** A pass is about to read this ApiKey; {@link Reading.end} it. */
  begin(key: string): Reading {
    this.#reads += 1;
    const known = this.#keys.get(key) ?? { last: Promise.resolve(), open: 0, acted: undefined };
    known.open += 1;
    this.#keys.set(key, known);
    // Whoever reads later knows more than all that have ended.
    return new Reading(this.#reads, known, () => {
      known.open -= 1;
      if (known.open === 0) this.#keys.delete(key);
    });
  }
}

/** What is remembered of one ApiKey while a pass works on it. */
interface Known {
  /** The end of the turn that was asked for last. */
  last: Promise<unknown>;
  /** Passes that have not ended. */
  open: number;
  /** The newest read that has acted. */
  acted: { readonly order: number; readonly signature: string } | undefined;
}

/** One pass's read of an ApiKey, in the order of all reads. */
export class Reading {
  readonly #order: number;
  readonly #known: Known;
  readonly #onEnd: () => void;
  #signature = '';

  constructor(order: number, known: Known, onEnd: () => void) {
    this.#order = order;
    this.#known = known;
    this.#onEnd = onEnd;
  }

  /** What was read. */
  note(metadata: ObjectMeta): void {
    this.#signature = askedBy(metadata);
  }

  /** The pass is over. */
  end(): void {
    this.#onEnd();
  }

  /**
   * One turn: nothing that comes from another read takes effect in the store meanwhile, and nothing that comes from an older
   * one afterwards. Throws ConflictRetry when this read is the older one.
   */
  act<T>(work: () => Promise<T>): Promise<T> {
    return this.#turn(() => {
      this.assertCurrent();
      const { acted } = this.#known;
      if (acted === undefined || acted.order < this.#order)
        this.#known.acted = { order: this.#order, signature: this.#signature };
      return work();
    });
  }

  /** Throws ConflictRetry when a pass with a later read, of something else, has acted: what this one knows is old. */
  assertCurrent(): void {
    const { acted } = this.#known;
    if (acted !== undefined && acted.order > this.#order && acted.signature !== this.#signature)
      throw transient('ConflictRetry', 'the ApiKey was changed meanwhile; looked at again');
  }

  /** The store, where what this pass knows changes nothing any more once it is old. */
  guard(store: Store): Store {
    const guarded = new Map<string, unknown>(
      transitions.map((name) => {
        const call = store[name].bind(store) as (...given: readonly unknown[]) => Promise<unknown>;
        return [name, (...given: readonly unknown[]) => this.act(() => call(...given))];
      }),
    );
    return new Proxy(store, {
      get: (target, name): unknown => {
        const own = guarded.get(String(name));
        if (own !== undefined) return own;
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      },
    });
  }

  /** One after the other, in the order in which they ask. */
  #turn<T>(work: () => Promise<T>): Promise<T> {
    const known = this.#known;
    const mine = known.last.then(work);
    known.last = mine.catch(() => undefined);
    return mine;
  }
}

/** The transitions that follow from what an ApiKey says. */
const transitions = [
  ...(['mint', 'intend', 'activate', 'bringForward', 'setExpiry', 'endVersions', 'saveHandled', 'revokeAll'] as const),
  ...(['saveSettings', 'beginWithdrawal', 'takeOver', 'releaseKey'] as const),
] as const satisfies readonly (keyof Store)[];

/** What an ApiKey asks for: all of it that a decision may depend on, and not its status, labels and finalizers. */
export function askedBy({ uid, generation, deletionTimestamp, annotations }: ObjectMeta): string {
  return JSON.stringify([uid, generation ?? 0, deletionTimestamp ?? '', Object.entries(annotations ?? {}).sort()]);
}
