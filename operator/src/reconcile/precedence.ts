import type { ObjectMeta } from '../api/meta.ts';
import { transient } from '../domain/failure.ts';
import type { ClaimOutcome, Store, Transition } from '../store/port.ts';
import { askedBy } from './signatures.ts';

/**
 * Two passes may work on one ApiKey at the same time: a full pass, which may hang in a call to a destination, and a safety pass,
 * which removes rights in the store and calls nothing else. Why the two cannot spoil each other's work:
 *
 * - Only the full pass calls destinations, and a key has one full pass at a time: each location has one writer.
 * - Each transition of the store is one transaction that locks the key's row and checks the state that it expects, so the store
 *   orders the two. A version that has ended is never activated or written again.
 * - A transition is refused if it is based on an older read of the ApiKey than one that has already acted ({@link Reading}): it
 *   could undo what was just removed (save the settings from before a suspension, move an expiry later again, mint for an ApiKey
 *   that is being deleted). Check and transition are one turn, so that no other transition comes between them.
 * - What a pass has done outside the store is always recorded (`confirmDeliveries`, `finishWithdrawal`): the value is at the
 *   place, whatever the ApiKey says by now, and the next pass empties the place if it must.
 *
 * The fence keeps other processes out.
 */
export class Precedence {
  readonly #keys = new Map<string, Known>();
  #reads = 0;

  /** Call it before a pass reads this ApiKey, and {@link Reading.end} after the pass. */
  begin(key: string): Reading {
    this.#reads += 1;
    const known = this.#keys.get(key) ?? { last: Promise.resolve(), open: 0, acted: undefined };
    known.open += 1;
    this.#keys.set(key, known);
    // A later read knows more than all that have ended.
    return new Reading(this.#reads, known, () => {
      known.open -= 1;
      if (known.open === 0) this.#keys.delete(key);
    });
  }
}

/** What is remembered about one ApiKey while passes work on it. */
interface Known {
  /** The end of the last requested turn. */
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
   * Runs one turn: meanwhile, no transition from another read takes effect in the store; afterwards, none from an older read
   * does. Throws ConflictRetry if this read is the older one.
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

  /** Throws ConflictRetry if a pass with a later and different read has acted: this read is outdated. */
  assertCurrent(): void {
    const { acted } = this.#known;
    if (acted !== undefined && acted.order > this.#order && acted.signature !== this.#signature)
      throw transient('ConflictRetry', 'the ApiKey was changed meanwhile; will retry');
  }

  /** The store, guarded so that this pass changes nothing once its read is outdated. */
  guard(store: Store): Store {
    const guarded = new Map<string, unknown>(
      (Object.keys(transitions) as Transitions[]).flatMap((name) => {
        if (transitions[name] === 'open') return [];
        const call = store[name].bind(store) as (...given: readonly unknown[]) => Promise<unknown>;
        return [[name, (...given: readonly unknown[]) => this.act(() => call(...given))] as const];
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

  /** Runs turns one after the other, in the order of their requests. */
  #turn<T>(work: () => Promise<T>): Promise<T> {
    const known = this.#known;
    const mine = known.last.then(work);
    known.last = mine.catch(() => undefined);
    return mine;
  }
}

/** The methods of the store that make a transition. */
type Transitions = {
  [Name in keyof Store]: Awaited<ReturnType<Store[Name]>> extends Transition | ClaimOutcome ? Name : never;
}[keyof Store];

/** Guarded are those that depend on the content of an ApiKey; a record, so that a new one does not compile without a decision. */
const transitions: Readonly<Record<Transitions, 'guarded' | 'open'>> = {
  mint: 'guarded',
  intend: 'guarded',
  activate: 'guarded',
  bringForward: 'guarded',
  setExpiry: 'guarded',
  endVersions: 'guarded',
  saveHandled: 'guarded',
  revokeAll: 'guarded',
  saveSettings: 'guarded',
  beginWithdrawal: 'guarded',
  takeOver: 'guarded',
  releaseKey: 'guarded',
  // What was done outside the store is always recorded.
  confirmDeliveries: 'open',
  finishWithdrawal: 'open',
  // Of cluster kinds.
  saveCatalog: 'open',
  deleteCatalog: 'open',
  saveOwner: 'open',
  deleteOwner: 'open',
  saveGroup: 'open',
  deleteGroup: 'open',
};
