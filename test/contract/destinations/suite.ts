import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Destination, Reading } from '../../../operator/src/destinations/port.ts';
import { isExactly, type Envelope } from '../../../operator/src/destinations/record.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import type { Mark } from '../../../operator/src/domain/version.ts';
import { put as putTo, version, written, type KeyRef, type Version } from './version.ts';

/** What others do to a location, past the port. */
export interface Stranger {
  /** Puts a value of his own at an empty place. */
  put(location: Location): Promise<void>;
  /** Changes the key in a value of ours by hand. */
  change(location: Location, apiKey: string): Promise<void>;
  /** Writes these entries into a value of ours and removes those that are `null`; the other entries stay. */
  edit(location: Location, entries: Readonly<Record<string, string | null>>): Promise<void>;
  /** Writes these entries beside the key and removes those that are `null`; the key and the other entries stay. */
  edit(location: Location, entries: Readonly<Record<string, string | null>>): Promise<void>;
  /** Makes the mark say that the value is of another installation, and leaves the value as it is. */
  changeMark(location: Location, installationId: string): Promise<void>;
  /** Makes the mark say nonsense of the version, with an epoch that is as large as it can say; whose it is stays. */
  poison(location: Location): Promise<void>;
  /** Deletes value and mark. */
  remove(location: Location): Promise<void>;
  /** All entries as a workload reads them; `undefined` when there is nothing. */
  read(location: Location): Promise<Readonly<Record<string, string>> | undefined>;
}

/** The entries after a {@link Stranger.edit}. */
export function edited(
  found: Readonly<Record<string, string>>,
  entries: Readonly<Record<string, string | null>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries({ ...found, ...entries }).flatMap(([name, text]) => (text === null ? [] : [[name, text]])),
  );
}

/** Members of a mark as providers keep them, for {@link Stranger.poison}. */
export const poison = { 'key-id': 'no key id', epoch: '99999999999', envelope: 'not hex' } as const;

/** One implementation under test. */
export interface Subject {
  readonly destination: Destination;
  readonly stranger: Stranger;
  /** Whether a mark shows by itself that the value was changed by hand; else only reading the value does. */
  readonly marksShowChanges: boolean;
  /** What others add is next to our entries, not among them, such as a file in a folder: it stays. */
  readonly othersStandBeside?: true;
  /** The ApiKey whose values these are. */
  readonly owner: KeyRef;
  /** A location that was never used. */
  fresh(): Location;
  close(): Promise<void>;
}

/** The promises of the port, held by every destination. */
export function destinationContract(name: string, open: () => Promise<Subject>): void {
  describe(name, () => {
    let subject: Subject;
    const one = (epoch: number, change?: Partial<Envelope>) => version(subject.owner, epoch, change);
    const put = (location: Location, observed: Reading, one: Version) => putTo(subject.destination, location, observed, one);

    /** A location with version 1 in it. */
    async function delivered(): Promise<{ location: Location; reading: Reading }> {
      const location = subject.fresh();
      const reading = written(await put(location, await subject.destination.readMark(location), one(1)));
      return { location, reading };
    }

    beforeAll(async () => {
      subject = await open();
    });
    afterAll(() => subject.close());

    it('says that nothing is at a place that nobody used', async () => {
      const location = subject.fresh();
      expect((await subject.destination.readMark(location)).kind).toBe('absent');
      expect(await subject.destination.readValue(location)).toBeUndefined();
    });

    it('proves login and rights without writing', async () => {
      await expect(subject.destination.probe()).resolves.toBeUndefined();
    });

    it('gives back the value and the mark that it wrote', async () => {
      const { location, reading } = await delivered();
      const expected = one(1);
      expect(reading).toMatchObject({ kind: 'marked', mark: expected.mark, carries: true });
      expect(await subject.destination.readMark(location)).toEqual(reading);
      const value = await subject.destination.readValue(location);
      expect(value?.apiKey?.reveal()).toBe(expected.token);
      expect(value?.reading).toEqual(reading);
    });

    it('gives workloads six flat entries', async () => {
      const { location } = await delivered();
      const { token, mark } = one(1);
      expect(await subject.stranger.read(location)).toEqual({
        'api-key': token,
        'key-id': mark.keyId,
        'expires-at': '2027-01-01T00:00:00Z',
        header: `Authorization: Bearer ${token}`,
        type: 'api-key',
        provider: 'keywright',
      });
    });

    it('replaces one version by the next, and says so in the mark', async () => {
      const { location, reading } = await delivered();
      const after = written(await put(location, reading, one(2)));
      expect(after).toMatchObject({ kind: 'marked', carries: true, mark: { epoch: 2 } });
      expect(after.revision).not.toBe(reading.revision);
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(one(2).token);
    });

    it('rewrites the envelope around the same key', async () => {
      const { location, reading } = await delivered();
      const never = one(1, { expiresAt: undefined, headerName: 'X-API-Key', headerScheme: undefined });
      written(await put(location, reading, never));
      expect(await subject.stranger.read(location)).toMatchObject({
        'api-key': one(1).token,
        'expires-at': 'never',
        header: `X-API-Key: ${one(1).token}`,
      });
      expect(never.mark.envelope).not.toBe(one(1).mark.envelope);
    });

    it('takes a place whose mark somebody poisoned for ours still, and writes over it', async () => {
      const { location } = await delivered();
      await subject.stranger.poison(location);
      const { installationId, namespace, name, uid } = one(1).mark;
      const poisoned = await subject.destination.readMark(location);
      expect(poisoned).toMatchObject({ kind: 'marked', mark: { installationId, namespace, name, uid } });
      expect(poisoned).not.toMatchObject({ mark: { keyId: one(1).mark.keyId } });
      const after = written(await put(location, poisoned, one(2)));
      expect(after).toMatchObject({ kind: 'marked', carries: true, mark: one(2).mark });
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(one(2).token);
    });

    it("changes no value by a write planned before another leader's write", async () => {
      const { location, reading } = await delivered();
      written(await put(location, reading, one(2)));
      expect(await put(location, reading, one(3))).toEqual({ kind: 'lost' });
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(one(2).token);
      expect(await subject.destination.readMark(location)).toMatchObject({ carries: true, mark: one(2).mark });
    });

    it('lets one of two writers create, and tells the other', async () => {
      const location = subject.fresh();
      const observed = await subject.destination.readMark(location);
      written(await put(location, observed, one(1)));
      expect(await put(location, observed, one(2))).toEqual({ kind: 'lost' });
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(one(1).token);
    });

    it('lets exactly one of several writers at once change the value', async () => {
      const { location, reading } = await delivered();
      const epochs = [2, 3, 4, 5];
      const outcomes = await Promise.all(epochs.map((epoch) => put(location, reading, one(epoch))));
      const winners = epochs.filter((_epoch, index) => outcomes[index]?.kind === 'written');
      expect(winners).toHaveLength(1);
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(one(winners[0] ?? 0).token);
    });

    it('tells a value of somebody else by its missing mark', async () => {
      const location = subject.fresh();
      await subject.stranger.put(location);
      expect((await subject.destination.readMark(location)).kind).toBe('unmarked');
    });

    it('never overwrites a value of somebody else', async () => {
      const location = subject.fresh();
      const absent = await subject.destination.readMark(location);
      await subject.stranger.put(location);
      const before = await subject.stranger.read(location);
      const foreign = await subject.destination.readMark(location);
      await expect(put(location, foreign, one(1))).rejects.toMatchObject({ kind: 'stalled', reason: 'ForeignValue' });
      expect(await put(location, absent, one(1))).toEqual({ kind: 'lost' });
      expect(await subject.stranger.read(location)).toEqual(before);
    });

    it('never withdraws a value of somebody else', async () => {
      const location = subject.fresh();
      const absent = await subject.destination.readMark(location);
      await subject.stranger.put(location);
      const before = await subject.stranger.read(location);
      const foreign = await subject.destination.readMark(location);
      await expect(subject.destination.withdraw(location, foreign)).rejects.toMatchObject({ reason: 'ForeignValue' });
      expect(await subject.destination.withdraw(location, absent)).toBe('lost');
      expect(await subject.stranger.read(location)).toEqual(before);
    });

    it('shows a value that was changed by hand, and repairs it', async () => {
      const { location, reading } = await delivered();
      await subject.stranger.change(location, 'changed-by-hand');
      const changed = await subject.destination.readMark(location);
      expect(changed).toMatchObject({ kind: 'marked', mark: one(1).mark, carries: !subject.marksShowChanges });
      expect(changed.revision).not.toBe(reading.revision);
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe('changed-by-hand');
      expect(await put(location, reading, one(2))).toEqual({ kind: 'lost' });
      written(await put(location, changed, one(1)));
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(one(1).token);
      expect(await subject.destination.readMark(location)).toMatchObject({ carries: true });
    });

    it.each([
      ['changes an entry', { header: 'Authorization: Bearer somebody-elses' }],
      ['empties an entry', { header: '' }],
      ['takes an entry out', { 'expires-at': null }],
      ['adds an entry', { password: 'somebody-elses' }],
    ])('shows that somebody %s beside the key, and writes exactly its own again', async (_what, entries) => {
      const { location } = await delivered();
      const before = await subject.stranger.read(location);
      await subject.stranger.edit(location, entries);
      const found = await subject.destination.readValue(location);
      if (found === undefined) throw new Error('nothing found');
      const { token, record } = one(1);
      const others = subject.othersStandBeside === true && 'password' in entries ? entries : {};
      expect(found.apiKey?.reveal()).toBe(token);
      const isCarried = found.reading.kind === 'marked' && found.reading.carries;
      expect(isCarried && isExactly(record, found.entries)).toBe('password' in others);
      const after = written(await put(location, found.reading, one(1)));
      expect(await subject.stranger.read(location)).toEqual({ ...before, ...others });
      const restored = await subject.destination.readValue(location);
      expect(restored?.reading).toEqual(after);
      expect(isExactly(record, restored?.entries ?? new Map())).toBe(true);
    });

    it.each<[string, Partial<Mark>]>([
      ['installation', { installationId: '0c7d0000-another-installation' }],
      ['ApiKey', { namespace: 'shipping', name: 'tracking' }],
      ['resource of this name', { uid: 'another-uid' }],
    ])("tells whose a value is: another %s's, word for word", async (_whose, change) => {
      const location = subject.fresh();
      const theirs = one(1);
      const mark = { ...theirs.mark, ...change };
      // Read from the write's own answer: in a cluster the collector soon takes what belongs to nobody.
      const reading = written(await put(location, await subject.destination.readMark(location), { ...theirs, mark }));
      expect(reading).toMatchObject({ kind: 'marked', mark, carries: true });
    });

    it('shows a mark that was changed by hand over an untouched value, and repairs it', async () => {
      const { location } = await delivered();
      await subject.stranger.changeMark(location, 'somebody-else');
      const changed = await subject.destination.readMark(location);
      expect(changed).toMatchObject({ kind: 'marked', mark: { ...one(1).mark, installationId: 'somebody-else' } });
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(one(1).token);
      written(await put(location, changed, one(1)));
      expect(await subject.destination.readMark(location)).toMatchObject({ kind: 'marked', mark: one(1).mark, carries: true });
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(one(1).token);
    });

    it('neither withdraws nor replaces a value that another installation took over', async () => {
      const { location, reading } = await delivered();
      const theirs = { ...one(2), mark: { ...one(2).mark, installationId: '0c7d0000-another-installation' } };
      written(await put(location, reading, theirs));
      expect(await subject.destination.withdraw(location, reading)).toBe('lost');
      expect(await put(location, reading, one(3))).toEqual({ kind: 'lost' });
      expect(await subject.destination.readMark(location)).toMatchObject({ kind: 'marked', mark: theirs.mark, carries: true });
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(theirs.token);
    });

    it('writes again where value and mark were deleted', async () => {
      const { location, reading } = await delivered();
      await subject.stranger.remove(location);
      const gone = await subject.destination.readMark(location);
      expect(gone.kind).toBe('absent');
      expect(await put(location, reading, one(2))).toEqual({ kind: 'lost' });
      written(await put(location, gone, one(1)));
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(one(1).token);
    });

    it('promotes what it wrote, and nothing newer', async () => {
      const { location, reading } = await delivered();
      expect(await subject.destination.promote(location, one(1).mark, reading)).toMatchObject({ kind: 'written' });
      written(await put(location, reading, one(2)));
      expect(await subject.destination.promote(location, one(1).mark, reading)).toEqual({ kind: 'lost' });
    });

    it('withdraws value and mark, and twice is once', async () => {
      const { location, reading } = await delivered();
      expect(await subject.destination.withdraw(location, reading)).toBe('withdrawn');
      expect(await subject.stranger.read(location)).toBeUndefined();
      const gone = await subject.destination.readMark(location);
      expect(gone.kind).toBe('absent');
      expect(await subject.destination.withdraw(location, reading)).toBe('withdrawn');
      expect(await subject.destination.withdraw(location, gone)).toBe('withdrawn');
    });

    it('withdraws nothing newer than what was observed', async () => {
      const { location, reading } = await delivered();
      written(await put(location, reading, one(2)));
      expect(await subject.destination.withdraw(location, reading)).toBe('lost');
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(one(2).token);
    });

    it('delivers again to a place that it has withdrawn from', async () => {
      const { location, reading } = await delivered();
      await subject.destination.withdraw(location, reading);
      const again = written(await put(location, await subject.destination.readMark(location), one(2)));
      expect(again.revision).not.toBe(reading.revision);
      expect(await subject.destination.withdraw(location, reading)).toBe('lost');
      expect((await subject.destination.readValue(location))?.apiKey?.reveal()).toBe(one(2).token);
    });

    it.each(['..', '.', '', 'a//b', '%2e%2e', 'a b', 'a\\b', 'a?b', 'a#b', `${'a'.repeat(64)}/${'b'.repeat(254)}`, '-a', 'ä'])(
      'refuses the odd name %j before any call',
      async (odd) => {
        const good = subject.fresh();
        const location = { ...good, path: `${good.path.slice(0, good.path.lastIndexOf('/'))}/${odd}` };
        const refusal = { kind: 'stalled', reason: 'InvalidSpec' };
        const observed: Reading = { kind: 'absent', revision: 'absent' };
        await expect((async () => subject.destination.readMark(location))()).rejects.toMatchObject(refusal);
        await expect((async () => subject.destination.readValue(location))()).rejects.toMatchObject(refusal);
        await expect((async () => put(location, observed, one(1)))()).rejects.toMatchObject(refusal);
        await expect((async () => subject.destination.withdraw(location, observed))()).rejects.toMatchObject(refusal);
      },
    );

    it('shows no value when what it returns is printed', async () => {
      const { location } = await delivered();
      const value = await subject.destination.readValue(location);
      expect(`${inspect(value, { depth: 9, showHidden: true })}${JSON.stringify(value)}`).not.toContain(one(1).token);
    });
  });
}
