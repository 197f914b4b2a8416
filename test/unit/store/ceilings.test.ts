import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { decide } from '../../../operator/src/authorize/decide.ts';
import { includesName } from '../../../operator/src/domain/grants.ts';
import type { Names } from '../../../operator/src/domain/grants.ts';
import { exceeds, narrowedBy, proposalsOf } from '../../../operator/src/store/ceilings.ts';
import type { KeyRow, KeySettings, Proposal } from '../../../operator/src/store/port.ts';
import { knownKey } from '../../builders/authrequest.ts';
import { keySettings } from '../../builders/mintrequest.ts';
import { Chance, drawRequest, drawWorld, worldNow } from '../../builders/rightsworld.ts';
import type { RightsWorld } from '../../builders/rightsworld.ts';

const some = (names: readonly string[]) => fc.subarray([...names], { minLength: 1 });

/** Settings with the names that worlds are drawn from. */
const settings: fc.Arbitrary<KeySettings> = fc
  .record({
    accessType: fc.constantFrom('Integrations', 'Integrations', 'Integrations', 'Admin'),
    suspended: fc.constantFrom(...Array.from({ length: 24 }, () => false), true),
    selections: fc
      .array(
        fc.oneof(
          some(['read', 'write', 'bulk']).map((scopes) => ({ scopes })),
          some(['e0-get', 'e1-get', 'e1-post', 'e3-get', 'e7-get']).map((endpoints) => ({ endpoints })),
          some(['shop-eu', 'shop-us']).map((applications) => ({ applications })),
          some(['email', 'push', 'sms']).map((channels) => ({ channels })),
          some(['city', 'phone']).map((attributes) => ({ attributes })),
          some(['10.0.0.0/24', '10.0.0.0/8']).map((allowedSources) => ({ allowedSources })),
          some(['email', 'sms']).map((channels) => ({ customerChannels: [{ customer: '1', channels }] })),
        ),
        { maxLength: 2 },
      )
      .map((members) => Object.assign({}, ...members) as KeySettings['selections']),
  })
  .map((made) => ({ displayName: 'Billing', owner: 'ana', catalog: 'default', ...made }));

const sequences = fc.record({
  seed: fc.integer(),
  accepted: settings,
  held: fc.array(settings, { minLength: 1, maxLength: 14 }),
});

/** The answers to some requests to one world under these settings. */
function answers(world: RightsWorld, seed: number, key: Pick<KeyRow, 'settings' | 'proposed'>) {
  const { proposed: _, settings: __, notPermitted: ___, ...row } = world.record.key;
  const { ceilings: ____, ...record } = world.record;
  const found = knownKey({ ...record, key: { ...row, ...key } }, world.addressed);
  const chance = new Chance(seed);
  return Array.from({ length: 12 }, () => decide(found, drawRequest(chance, world), worldNow));
}

function expectWithin(less: ReturnType<typeof answers>, more: ReturnType<typeof answers>, world: RightsWorld): number {
  let allowed = 0;
  for (const [at, verdict] of less.entries()) {
    if (!verdict.allowed) continue;
    allowed += 1;
    const other = more[at];
    if (other?.allowed !== true) throw new Error(`a held change gave a right: ${JSON.stringify(other)}`);
    for (const list of ['channels', 'attributes', 'applications'] as const)
      expect(isWithin(verdict.grant[list], other.grant[list], world.record.catalog?.model[list] ?? [])).toBe(true);
  }
  return allowed;
}

function isWithin(less: Names, more: Names, listed: readonly string[]): boolean {
  const set = new Set(listed);
  return (less === 'All' ? listed : less).every((name) => includesName(more, set, name));
}

// Far above what it takes: the machine may be busy.
describe('a row of held changes', { timeout: 60_000 }, () => {
  test('never gives a right: after each, no more is allowed than before it, by it alone, and by what was accepted', () => {
    let allowed = 0;
    fc.assert(
      fc.property(sequences, ({ seed, accepted, held }) => {
        const world = drawWorld(new Chance(seed));
        const of = (key: Pick<KeyRow, 'settings' | 'proposed'>) => answers(world, seed, key);
        let proposed: Proposal | undefined;
        let before = of({ settings: accepted });
        for (const wanted of held) {
          proposed = narrowedBy(wanted, { settings: accepted, ...(proposed === undefined ? {} : { proposed }) });
          const after = of({ settings: accepted, proposed });
          allowed += expectWithin(after, before, world);
          expectWithin(after, of({ settings: wanted }), world);
          before = after;
        }
      }),
      { numRuns: 400 },
    );
    // Worlds in which nothing is allowed would prove nothing.
    expect(allowed).toBeGreaterThan(100);
  });

  test('is bounded: many that each narrow in their own way suspend the key, and one that comes back adds nothing', () => {
    const accepted = keySettings({ selections: {} });
    const limitedTo = (channels: readonly string[]): KeySettings => ({ ...accepted, selections: { channels } });
    const after = (...held: readonly KeySettings[]): Proposal =>
      held.reduce<Proposal>((proposed, wanted) => narrowedBy(wanted, { settings: accepted, proposed }), accepted);
    const toggled = after(...Array.from({ length: 100 }, (_, at) => limitedTo([at % 2 === 0 ? 'a' : 'b'])));
    expect(toggled).toEqual({ ...limitedTo(['b']), earlier: [limitedTo(['a'])] });
    const wider = after(...Array.from({ length: 100 }, (_, at) => limitedTo(Array.from({ length: at + 1 }, (__, i) => `c${i}`))));
    expect(proposalsOf(wider).length).toBe(2);
    expect(wider.suspended).toBe(false);
    const many = after(...Array.from({ length: 100 }, (_, at) => limitedTo([`c${at}`])));
    expect(proposalsOf(many).length).toBeLessThan(12);
    expect(many.suspended).toBe(true);
  });

  test('leaves nothing when the last goes back to what was accepted and none has narrowed', () => {
    const accepted = keySettings({ selections: { channels: ['a'] } });
    const wider = narrowedBy(keySettings({ selections: { channels: ['a', 'b'] } }), { settings: accepted });
    expect(narrowedBy(accepted, { settings: accepted, proposed: wider })).toEqual(accepted);
  });

  test('names the members that it narrows', () => {
    const accepted = keySettings({ selections: { channels: ['a', 'b'], scopes: ['read'] } });
    const { selections } = accepted;
    const told = (changes: Partial<KeySettings>) => exceeds(accepted, { ...accepted, ...changes });
    expect(told({ selections: { ...selections, channels: ['a'] } })).toEqual(['channels']);
    expect(told({ selections: { ...selections, channels: ['a', 'b', 'c'] } })).toEqual([]);
    expect(told({ suspended: true, accessType: 'Admin' })).toEqual(['accessType', 'suspend']);
    expect(told({ selections: { ...selections, customerChannels: [], allowedSources: [], endpoints: ['x'] } })).toEqual([
      ...['allowedSources', 'customerChannels'],
    ]);
  });
});
