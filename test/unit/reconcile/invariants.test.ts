import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Storm, targetLists, type Happening } from '../../builders/storm.ts';
import { terms } from '../../builders/turns.ts';
import type { Staging } from '../../builders/world.ts';

const pass: Happening = { do: 'pass', drift: false };
const drift: Happening = { do: 'pass', drift: true };

/** Lives that a key may have, each played once for every effect that a crash may follow. */
const lives: Readonly<Record<string, readonly Happening[]>> = {
  'from nothing to Ready': [pass],
  'one value lost': [pass, { do: 'tamper', where: 'vault', how: 'lose' }, drift],
  'all values lost': [pass, { do: 'tamper', where: 'vault', how: 'lose' }, { do: 'tamper', where: 'secret', how: 'lose' }, drift],
  'changed by hand': [pass, { do: 'tamper', where: 'secret', how: 'changeValue' }, drift],
  'a location added': [{ do: 'targets', to: 'vaultOnly' }, pass, { do: 'targets', to: 'three' }, pass],
  'a location moved': [pass, { do: 'targets', to: 'vaultMoved' }, pass],
  'moved while its only copy': [{ do: 'targets', to: 'secretOnly' }, pass, { do: 'targets', to: 'vaultOnly' }, pass],
  'one destination failing at first': [
    { do: 'fail', where: 'vault', operations: 'all' },
    pass,
    { do: 'heal', where: 'vault' },
    pass,
  ],
  'writes failing at first': [{ do: 'fail', where: 'secret', operations: 'write' }, pass, { do: 'heal', where: 'secret' }, pass],
  'rotated on request': [pass, { do: 'rotate' }, pass],
  'asked twice': [pass, { do: 'rotate' }, pass, { do: 'rotate' }, pass],
  'rotated while a location fails for longer than the overlap': [
    { do: 'terms', to: 'hourly' },
    pass,
    { do: 'fail', where: 'vault', operations: 'all' },
    { do: 'rotate' },
    pass,
    { do: 'advance', minutes: 61 },
    pass,
    { do: 'advance', minutes: 11 },
    pass,
    { do: 'heal', where: 'vault' },
    pass,
    { do: 'advance', minutes: 11 },
    pass,
  ],
  'rotated by the clock, the old one ends': [
    { do: 'terms', to: 'hourly' },
    pass,
    { do: 'advance', minutes: 61 },
    pass,
    { do: 'advance', minutes: 11 },
    pass,
  ],
  'rotated before it expires': [{ do: 'terms', to: 'short' }, pass, { do: 'advance', minutes: 365 }, pass],
  'rotated, and unused after that': [
    { do: 'terms', to: 'whenUnused' },
    pass,
    { do: 'rotate' },
    pass,
    { do: 'use', which: 'newest' },
    { do: 'advance', minutes: 31 },
    { do: 'use', which: 'newest' },
    pass,
    { do: 'advance', minutes: 1 },
    pass,
  ],
  'compromised as a whole': [pass, { do: 'compromise', which: 'all' }, pass],
  'compromised in the middle of an overlap': [pass, { do: 'rotate' }, pass, { do: 'compromise', which: 'newest' }, pass],
  'expired by an edit': [pass, { do: 'terms', to: 'soon' }, pass, { do: 'terms', to: 'later' }, pass],
  'expired for good, then brought back': [
    { do: 'terms', to: 'onceOnly' },
    pass,
    { do: 'advance', minutes: 500 },
    pass,
    { do: 'rotate' },
    pass,
  ],
  revoked: [pass, { do: 'revoke' }, pass],
  deleted: [pass, { do: 'delete' }, pass],
  'revoked while the write of a new version hangs': [
    pass,
    { do: 'rotate' },
    { do: 'hang', where: 'vault', operations: 'write' },
    pass,
    { do: 'revoke' },
    { do: 'safety' },
    { do: 'heal', where: 'vault' },
    pass,
  ],
  'suspended while a look hangs that began before': [
    pass,
    { do: 'hang', where: 'vault', operations: 'all' },
    drift,
    { do: 'suspend', on: true },
    { do: 'safety' },
    { do: 'heal', where: 'vault' },
    pass,
    { do: 'suspend', on: false },
    pass,
  ],
  'deleted while its first delivery hangs, longer than its deadline': [
    { do: 'hang', where: 'vault', operations: 'write' },
    pass,
    { do: 'delete' },
    { do: 'safety' },
    { do: 'advance', minutes: 1 },
    pass,
    { do: 'advance', minutes: 11 },
    pass,
    { do: 'heal', where: 'vault' },
    pass,
    { do: 'sweep' },
  ],
  'removed by force and created again': [pass, { do: 'strip' }, { do: 'create' }, pass],
  'removed by force and created again, with a safety pass first': [
    pass,
    { do: 'strip' },
    { do: 'create' },
    { do: 'safety' },
    pass,
  ],
  'removed by force in an overlap, and created again': [pass, { do: 'rotate' }, pass, { do: 'strip' }, { do: 'create' }, pass],
  'removed by force while its delivery hangs, and created again': [
    { do: 'hang', where: 'vault', operations: 'write' },
    pass,
    { do: 'strip' },
    { do: 'create' },
    { do: 'safety' },
    { do: 'heal', where: 'vault' },
    pass,
  ],
  'removed by force and created again as revoked': [
    pass,
    { do: 'strip' },
    { do: 'create', as: 'revoked' },
    { do: 'safety' },
    pass,
  ],
  'removed by force and created again as suspended, then removed again': [
    pass,
    { do: 'strip' },
    { do: 'create', as: 'suspended' },
    { do: 'safety' },
    { do: 'strip' },
    { do: 'create' },
    pass,
  ],
  'removed by force for good': [pass, { do: 'strip' }, { do: 'sweep' }, { do: 'advance', minutes: 11 }, { do: 'sweep' }],
  'deleted and created again': [pass, { do: 'delete' }, pass, { do: 'create' }, pass],
  'deleted while a location fails, then created again': [
    pass,
    { do: 'fail', where: 'vault', operations: 'all' },
    { do: 'delete' },
    pass,
    { do: 'advance', minutes: 11 },
    pass,
    { do: 'create' },
    { do: 'heal', where: 'vault' },
    pass,
  ],
};

/** Which of the two destinations show a value to readers only after a promotion. */
const mixes: readonly Staging[] = [[], ['vault']];

/** What is allowed to stay when everything works again: all of it was asked for, or belongs to somebody else. */
const restingReasons = [
  'Available',
  'Expired',
  'InvalidSpec',
  'Suspended',
  'Revoked',
  'ForeignValue',
  'DestinationDrift',
  'OwnerReplaced',
];

async function expectCalm(storm: Storm): Promise<void> {
  await storm.calm();
  expect(storm.broken).toEqual([]);
  if (storm.world.key() === undefined) {
    expect(await storm.world.store.listKeys()).toEqual([]);
    expect(await storm.world.store.listWithdrawing(10)).toEqual([]);
  } else {
    const ready = storm.world.condition('Ready');
    expect(restingReasons).toContain(ready.split(' ')[1]);
    if (ready === 'True Available') expect(storm.delivered()).toBe(true);
  }
  const writes = storm.writes();
  await storm.pass();
  await storm.pass(true);
  expect(storm.writes()).toEqual(writes);
}

describe('a crash after any effect', () => {
  it.each(Object.entries(lives).flatMap(([name, happenings]) => mixes.map((stages) => ({ name, happenings, stages }))))(
    'breaks no invariant, and heals: $name, staged: $stages',
    async ({ happenings, stages }) => {
      const whole = await Storm.open(stages);
      await whole.run(happenings);
      expect(whole.broken).toEqual([]);
      expect(whole.effects).toBeGreaterThan(3);
      for (let crashAt = 1; crashAt <= whole.effects; crashAt += 1) {
        const storm = await Storm.open(stages);
        await storm.crashAfter(crashAt);
        await storm.run(happenings);
        await expectCalm(storm);
      }
    },
    60_000,
  );
});

const where = fc.constantFrom('vault' as const, 'secret' as const);
const reference = fc.constantFrom('ApiCatalog' as const, 'KeyOwner' as const, 'KeyDestination' as const);

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('pass' as const), drift: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('crash' as const), afterEffects: fc.integer({ min: 1, max: 12 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('advance' as const), minutes: fc.constantFrom(1, 11, 61, 365, 500) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('fail' as const),
      where,
      operations: fc.constantFrom('all' as const, 'write' as const, 'readValue' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('hang' as const),
      where,
      operations: fc.constantFrom('all' as const, 'write' as const, 'readValue' as const),
    }),
  },
  { weight: 3, arbitrary: fc.constant<Happening>({ do: 'safety' }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('heal' as const), where }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('tamper' as const),
      where,
      how: fc.constantFrom(
        'lose' as const,
        'loseValue' as const,
        'changeValue' as const,
        'overwrite' as const,
        'changeUid' as const,
        'poisonMark' as const,
        'otherInstallation' as const,
        'foreign' as const,
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('targets' as const),
      to: fc.constantFrom(...(Object.keys(targetLists) as (keyof typeof targetLists)[])),
    }),
  },
  { weight: 2, arbitrary: fc.constant<Happening>({ do: 'rotate' }) },
  fc.constantFrom<Happening>({ do: 'forgetRotate' }, { do: 'forgetCompromise' }),
  fc.record({
    do: fc.constant('compromise' as const),
    which: fc.constantFrom('all' as const, 'newest' as const, 'oldest' as const, 'unknown' as const),
  }),
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('terms' as const),
      to: fc.constantFrom(...(Object.keys(terms) as (keyof typeof terms)[])),
    }),
  },
  fc.record({ do: fc.constant('use' as const), which: fc.constantFrom('newest' as const, 'oldest' as const) }),
  fc.record({ do: fc.constant('suspend' as const), on: fc.boolean() }),
  fc.record({ do: fc.constant('pause' as const), on: fc.boolean() }),
  fc.constant<Happening>({ do: 'revoke' }),
  fc.constant<Happening>({ do: 'delete' }),
  fc.constant<Happening>({ do: 'strip' }),
  {
    weight: 3,
    arbitrary: fc.constantFrom<Happening>({ do: 'create' }, { do: 'create', as: 'revoked' }, { do: 'create', as: 'suspended' }),
  },
  fc.constant<Happening>({ do: 'sweep' }),
  fc.record({ do: fc.constant('remove' as const), what: reference }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restore' as const), what: reference }) },
  fc.record({ do: fc.constant('storeFails' as const), times: fc.integer({ min: 1, max: 3 }) }),
);

describe('any sequence of happenings, with crashes', () => {
  it('breaks no invariant, and heals', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...mixes),
        fc.array(happening, { minLength: 3, maxLength: 25 }),
        async (stages, happenings) => {
          const storm = await Storm.open(stages);
          await storm.run(happenings);
          await expectCalm(storm);
        },
      ),
      // A failure prints its seed and the shortest sequence.
      { numRuns: process.env['CI'] === 'true' ? 1000 : 60 },
    );
  }, 300_000);
});

describe('[S2-1] any sequence of edits, valid or not, with a policy that comes and goes, and crashes', () => {
  const edit: fc.Arbitrary<Happening> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('edit' as const), valid: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('policy' as const), on: fc.boolean() }) },
    { weight: 6, arbitrary: happening },
  );

  it('never lets settings apply that are invalid, or that the policy did not judge', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(edit, { minLength: 3, maxLength: 25 }), async (happenings) => {
        const storm = await Storm.open();
        await storm.run(happenings);
        expect(storm.broken).toEqual([]);
      }),
      { numRuns: process.env['CI'] === 'true' ? 500 : 60 },
    );
  }, 300_000);

  it('has teeth: an edit that is judged applies, and one that is not is proposed', async () => {
    const storm = await Storm.open();
    const settings = () => [...storm.world.store.database.rows.keys.values()][0];
    await storm.run([{ do: 'policy', on: true }, { do: 'advance', minutes: 1 }, { do: 'delete' }, pass, { do: 'create' }, pass]);
    await storm.run([{ do: 'edit', valid: true }, pass]);
    expect(settings()?.settings.displayName).toMatch(/^judged/);
    await storm.run([{ do: 'policy', on: false }, { do: 'edit', valid: true }, pass, { do: 'policy', on: true }, pass]);
    expect(settings()).toMatchObject({
      settings: { displayName: expect.stringMatching(/^judged/) as string },
      proposed: { displayName: expect.stringMatching(/^not judged/) as string },
    });
  });
});
