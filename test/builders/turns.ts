import { formatInstant } from '../../operator/src/domain/time.ts';
import { keySpec, type World } from './world.ts';

/** What people and workloads may do to the versions of a key. */
export type Turn =
  | { readonly do: 'rotate' }
  | { readonly do: 'forgetRotate' }
  | { readonly do: 'compromise'; readonly which: 'all' | 'newest' | 'oldest' | 'unknown' }
  | { readonly do: 'forgetCompromise' }
  | { readonly do: 'terms'; readonly to: keyof typeof terms }
  | { readonly do: 'use'; readonly which: 'newest' | 'oldest' };

const turns = [
  'rotate',
  'forgetRotate',
  'compromise',
  'forgetCompromise',
  'terms',
  'use',
] as const satisfies readonly Turn['do'][];

/** When versions end and are replaced; `at` counts from the moment of the edit. */
export const terms = {
  usual: {},
  hourly: { rotation: { every: '1h', overlap: '10m', maxOverlap: '2h', retireOldKey: 'AfterOverlap' } },
  short: { expiry: { after: '8h' }, rotation: { overlap: '30m', maxOverlap: '2h', retireOldKey: 'AfterOverlap' } },
  whenUnused: { expiry: { after: '48h' }, rotation: { overlap: '30m', maxOverlap: '12h', quietPeriod: '10m' } },
  onceOnly: { expiry: { after: '8h' }, rotation: { overlap: '30m', maxOverlap: '2h', onExpiry: 'Expire' } },
  soon: { expiry: { at: '3h' } },
  later: { expiry: { at: '72h' } },
} as const;

export function isTurn<T extends { readonly do: string }>(happening: T | Turn): happening is Turn {
  return (turns as readonly string[]).includes(happening.do);
}

/** One key's turns in a {@link World}; each request has a value of its own. */
export class Turns {
  readonly #world: World;
  #asked = 0;

  constructor(world: World) {
    this.#world = world;
  }

  async take(turn: Turn): Promise<void> {
    const world = this.#world;
    if (world.key() === undefined) return;
    switch (turn.do) {
      case 'rotate':
        this.#asked += 1;
        world.resources.annotate('ApiKey', world.name, { 'keywright.dev/rotate': `${this.#asked}` });
        return;
      case 'forgetRotate':
        world.resources.annotate('ApiKey', world.name, { 'keywright.dev/rotate': undefined });
        return;
      case 'compromise':
        world.resources.annotate('ApiKey', world.name, { 'keywright.dev/compromised': this.#named(turn.which) });
        return;
      case 'forgetCompromise':
        world.resources.annotate('ApiKey', world.name, { 'keywright.dev/compromised': undefined });
        return;
      case 'terms':
        this.#setTerms(turn.to);
        return;
      case 'use':
        return this.#use(turn.which);
    }
  }

  #setTerms(to: keyof typeof terms): void {
    const world = this.#world;
    const wanted: { readonly expiry?: object; readonly rotation?: object } = terms[to];
    const at = { soon: 3, later: 72 }[to as string];
    const expiry = at === undefined ? wanted.expiry : { at: formatInstant(world.clock.now() + at * 3_600_000) };
    const { rotation } = keySpec({ ...(wanted.rotation === undefined ? {} : { rotation: wanted.rotation }) });
    world.updateKey({ expiry, rotation });
  }

  #named(which: 'all' | 'newest' | 'oldest' | 'unknown'): string {
    if (which === 'all') return 'all';
    return (which === 'unknown' ? undefined : this.#keyId(which)) ?? 'AAAAAAAAAAAA';
  }

  #keyId(which: 'newest' | 'oldest'): string | undefined {
    const living = this.#world.store.database.rows.versions.filter((one) => one.state !== 'ended');
    return living.at(which === 'newest' ? -1 : 0)?.keyId;
  }

  /** An authorizer saw it, and has written that it did. */
  async #use(which: 'newest' | 'oldest'): Promise<void> {
    const { store, clock } = this.#world;
    const keyId = this.#keyId(which);
    try {
      if (keyId !== undefined) await store.recordUse([{ keyId, ageMs: 0 }]);
      await store.reportReplica({ id: 'authorizer', flushedThrough: clock.now(), dropped: 0 });
    } catch {
      // The store does not answer: then nobody has written anything.
    }
  }
}
