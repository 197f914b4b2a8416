import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { everyRule, plan } from '../../../operator/src/reconcile/plan.ts';
import { goldenCase, outcomeOf } from '../../builders/golden.ts';

const root = join(import.meta.dirname, '../../..');

/** `rule/file` of golden plans, and `file: title` of tests below `test/`, or the name of a case that a title is made of. */
interface Proof {
  /** How the row's first cell begins. */
  readonly row: string;
  readonly goldens?: readonly string[];
  readonly tests?: readonly (readonly [file: string, title: string])[];
}

const recovery = 'unit/reconcile/recovery.test.ts';
const reconciler = 'unit/reconcile/reconciler.test.ts';
const invariants = 'unit/reconcile/invariants.test.ts';
const storms = 'unit/reconcile/storms.test.ts';
const orphans = 'unit/reconcile/orphans.test.ts';
const takeover = 'unit/reconcile/takeover.test.ts';
const places = 'unit/reconcile/acceptedplaces.test.ts';
const crashes = [invariants, 'breaks no invariant, and heals: $name'] as const;

/** Where each row of the table "found | done" is proved, in its order. */
const proofsOfFinds: readonly Proof[] = [
  { row: 'nothing', goldens: ['nothingLive/mints-the-first-epoch'] },
  {
    row: 'pending, some location has the value',
    goldens: [
      'pendingEpoch/proves-the-value',
      'pendingEpoch/copies-from-a-to-b',
      'pendingEpoch/confirms-what-is-held',
      'pendingEpoch/activates-when-all-hold-it',
    ],
  },
  {
    row: 'pending, no location has it',
    goldens: ['pendingEpoch/another-attempt-when-no-location-holds-it', 'pendingEpoch/brake-after-three-attempts'],
    tests: [[recovery, 'ends after the overlap once another one has won, although nothing was active before']],
  },
  {
    row: 'a location fails',
    goldens: [
      'pendingEpoch/activates-without-a-location-after-the-deadline',
      'pendingEpoch/activates-at-once-after-a-compromise',
      'pendingEpoch/activates-before-the-old-one-expires',
    ],
  },
  {
    row: 'a value is staged',
    goldens: [
      'pendingEpoch/leaves-a-stage-to-its-activation',
      'pendingEpoch/promotes-at-once-when-readers-have-nothing',
      'drift/promotes-what-a-crash-left-staged',
    ],
  },
  {
    row: 'a location lost or changed its value',
    goldens: [
      'drift/copies-a-lost-value',
      'drift/replaces-a-changed-value',
      'drift/rotates-when-the-value-is-nowhere',
      'drift/brakes-a-second-loss',
      'drift/stalls-after-five-losses',
    ],
    tests: [[storms, 'costs few versions when no sibling has it, however long it goes on']],
  },
  {
    row: 'a value that is not ours',
    goldens: ['withdrawals/leaves-what-is-foreign'],
    tests: [
      [reconciler, 'never overwrites a value of somebody else'],
      [reconciler, 'deletes nothing that is not ours any more'],
    ],
  },
  {
    row: "another ApiKey's location",
    tests: [[recovery, 'the second one mints nothing and says LocationTaken; the first one is left alone']],
  },
  {
    row: 'the mark is wrong, the value right',
    goldens: ['drift/repairs-a-wrong-mark', 'drift/repairs-a-poisoned-epoch'],
  },
  {
    row: 'the mark names another ApiKey, and the store says',
    goldens: [
      'drift/looks-at-the-value-under-another-keys-mark',
      'drift/repairs-a-mark-that-names-another-key',
      'drift/replaces-another-keys-value-in-our-place',
    ],
  },
  {
    row: 'somebody changed, removed or added an entry beside the key',
    goldens: ['drift/restores-an-altered-entry', 'drift/restores-missing-labels'],
    tests: [[reconciler, 'gets its entries back when one of them was %s, without a new version']],
  },
  { row: '`expires-at` or the header line', goldens: ['envelope/looks-first', 'envelope/rewrites-the-same-value'] },
  {
    row: 'a location was removed or moved',
    goldens: ['drift/copies-before-the-only-copy-is-withdrawn', 'withdrawals/all-there', 'withdrawals/empties-what-is-ours'],
  },
  {
    row: 'a KeyDestination is being deleted',
    tests: [
      [recovery, 'keeps what is there, says so, and is emptied when the user takes it out of the key'],
      ['unit/reconcile/targets.test.ts', 'whose destination is being deleted gets nothing new'],
    ],
  },
  {
    row: 'a KeyDestination does not allow the namespace',
    goldens: ['references/destination-not-permitted', 'pendingEpoch/keeps-the-old-one-for-a-target-that-may-not-be-written'],
  },
  {
    row: 'a KeyDestination that is no more',
    goldens: [
      'withdrawals/ends-the-row-of-a-vanished-destination',
      'deletion/empties-through-a-restored-destination',
      'drift/rotates-when-the-only-holder-vanished',
    ],
    tests: [[recovery, 'for good: the row ends when the user takes it out of the key, and an event names the place']],
  },
  {
    row: 'a KeyDestination whose name was accepted for another place',
    tests: [
      [places, 'gets no value of a key %s: no copy, no repair and no rotation goes there'],
      [places, 'gets the key when somebody confirms what the status names, and the next one does not'],
      [places, 'beside a Secret, later'],
    ],
  },
  {
    row: 'a resource of this name with another uid',
    goldens: [
      'takeOver/all-there',
      'takeOver/held',
      'takeOver/while-paused',
      'ownVersion/mints-beside-an-earlier-version',
      'nothingLive/mints-above-an-earlier-resource',
      'drift/repairs-an-earlier-resources-mark',
    ],
    tests: [
      [takeover, 'revokes the old value when it is created as revoked'],
      [takeover, 'gains nothing, and loses what the later one does not ask for, while that one is held'],
      [takeover, 'is not prolonged by the expiry of the later one'],
      [recovery, 'takes over what the earlier one had: its old version ends after the overlap, its locations are its own'],
    ],
  },
  {
    row: 'the owner was deleted',
    goldens: [
      'ownerBinding/stays-dead-without-a-request',
      'ownerBinding/stays-dead-while-the-value-is-lost',
      'ownerBinding/mints-for-a-new-request',
    ],
  },
  { row: '`suspend`, selections', goldens: ['settings/all-there'] },
  {
    row: 'the namespace may not have such keys any more',
    goldens: [
      'settings/are-denied-when-the-catalog-begins-to-restrict',
      'settings/are-denied-when-the-owner-closes-the-namespace',
      'settings/come-back-when-the-namespace-is-allowed-again',
    ],
  },
  { row: 'the namespace is being deleted', goldens: ['settings/are-denied-in-a-namespace-that-is-being-deleted'] },
  {
    row: 'the catalog was deleted, and another one of its name',
    tests: [
      ['unit/reconcile/replacedcatalog.test.ts', 'is not Ready, says why and what to do, and is not minted automatically: %s'],
      ['unit/reconcile/replacedcatalog.test.ts', 'is Ready again by a rotation, whose readers wait for no activation'],
      ['unit/reconcile/replacedcatalog.test.ts', 'is Ready again when the catalog has its format again'],
    ],
  },
  { row: '`revoked`', goldens: ['revoked/all-there', 'revoked/empties-the-locations', 'revoked/rests-when-empty'] },
  {
    row: 'deletion',
    goldens: [
      'deletion/all-there',
      'deletion/withdraws-after-revoking',
      'deletion/waits-for-a-silent-location',
      'deletion/waits-no-longer-than-the-deadline',
      'deletion/removes-the-finalizer-last',
    ],
    tests: [['unit/reconcile/sweep.test.ts', 'empties a location that answers again after its ApiKey is gone']],
  },
  {
    row: 'live versions whose resource is gone',
    tests: [
      [orphans, 'is revoked and withdrawn after two live reads eight minutes apart, and not before'],
      [takeover, 'keeps the old value alive for no moment longer, however often'],
      [
        orphans,
        'are not revoked, then it may be the list that is wrong: a metric, the log and an event in the namespace say so, once',
      ],
    ],
  },
  {
    row: 'a mark or status ahead of the store',
    goldens: ['nothingLive/mints-above-a-restored-store', 'nothingLive/mints-above-the-status', 'drift/rotates-after-a-restore'],
  },
];

/** The same for the table "killed after": the plan that the next pass makes, and the runs that crash there and go on. */
const proofsOfCrashes: readonly Proof[] = [
  {
    row: 'the take-over, before the mint',
    goldens: ['ownVersion/mints-beside-an-earlier-version'],
    tests: [
      crashes,
      [takeover, 'is told as the current key, and ends, when the operator crashes between the take-over and the mint'],
    ],
  },
  { row: "the mint's transaction", goldens: ['pendingEpoch/another-attempt-when-no-location-holds-it'], tests: [crashes] },
  { row: 'some of the writes', goldens: ['pendingEpoch/copies-from-a-to-b'], tests: [crashes] },
  { row: 'all writes, before they were recorded', goldens: ['pendingEpoch/confirms-what-is-held'], tests: [crashes] },
  {
    row: 'a staged write (AWS), before its promotion',
    goldens: ['drift/promotes-what-a-crash-left-staged', 'pendingEpoch/leaves-a-stage-to-its-activation'],
    tests: [crashes],
  },
  { row: 'the promotion, before the activation', goldens: ['pendingEpoch/activates-when-all-hold-it'], tests: [crashes] },
  { row: 'a half-done Vault write', goldens: ['drift/repairs-a-wrong-mark'], tests: [crashes] },
  { row: 'activation, before the status', tests: [crashes, [invariants, "'from nothing to Ready'"]] },
  { row: 'revocation, before the withdrawals', goldens: ['revoked/empties-the-locations'], tests: [crashes] },
  { row: 'the withdrawals, before the finalizer', goldens: ['deletion/removes-the-finalizer-last'], tests: [crashes] },
];

/** The first cells of the rows of the table with this heading. */
function rowsOf(heading: string): readonly string[] {
  const lines = readFileSync(join(root, 'docs/lifecycle.md'), 'utf8').split('\n');
  const start = lines.findIndex((line) => new RegExp(`^\\| ${heading} +\\|`).test(line));
  const cells: string[] = [];
  for (const line of start < 0 ? [] : lines.slice(start + 2)) {
    if (!line.startsWith('|')) break;
    cells.push((line.split('|')[1] ?? '').trim());
  }
  return cells;
}

describe.each([
  { heading: 'found', proofs: proofsOfFinds },
  { heading: 'killed after', proofs: proofsOfCrashes },
])('the table "$heading" of lifecycle.md', ({ heading, proofs }) => {
  it('has a proof for each of its rows, and no proof is of a row that went', () => {
    const rows = rowsOf(heading);
    expect(rows.length).toBeGreaterThan(5);
    const unlike = proofs.map(({ row }, at) => [row, rows[at] ?? 'no such row'] as const);
    expect(unlike.filter(([row, found]) => !found.startsWith(row))).toEqual([]);
    expect(rows.slice(proofs.length)).toEqual([]);
    const bare = proofs.filter(({ goldens = [], tests = [] }) => goldens.length + tests.length === 0);
    expect(bare).toEqual([]);
  });

  const goldens = [...new Set(proofs.flatMap((proof) => proof.goldens ?? []))];
  it.each(goldens)('%s is decided by its rule, and otherwise without it', (golden) => {
    const [rule = '', name = ''] = golden.split('/');
    const given = goldenCase(rule, `${name}.yaml`);
    expect(plan(given).rule).toBe(rule);
    const left = everyRule.filter(([one]) => one !== rule);
    expect(left).toHaveLength(everyRule.length - 1);
    expect(outcomeOf(given, left)).not.toBe(outcomeOf(given, everyRule));
  });

  const tests = [...new Set(proofs.flatMap((proof) => proof.tests ?? []))];
  it.each(tests)('%s still has: %s', (file, title) => {
    expect(readFileSync(join(root, 'test', file), 'utf8')).toContain(title);
  });
});
