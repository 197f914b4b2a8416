import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { AwsSpec } from '../../../operator/src/destinations/aws/aws.ts';
import type { Destination, Reading } from '../../../operator/src/destinations/port.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import { awsStranger, type AwsStranger } from '../../harness/aws.ts';
import { AwsFake } from '../../harness/awsfake/awsfake.ts';
import { openAws } from './openaws.ts';
import { put, version, write, written, type KeyRef } from './version.ts';

const owner: KeyRef = { namespace: 'payments', name: 'billing', uid: 'uid-1' };
const [first, second, third] = [1, 2, 3].map((epoch) => version(owner, epoch)) as [V, V, V];
type V = ReturnType<typeof version>;

let aws: AwsFake;
let stranger: AwsStranger;
let destination: Destination;
let count = 0;
const opened: Destination[] = [];

async function open(change: Partial<AwsSpec> = {}): Promise<Destination> {
  const keys = aws.identities.createUser();
  const one = await openAws({ endpoint: aws.endpoint, region: aws.region, keys }, change);
  opened.push(one);
  return one;
}

beforeAll(async () => {
  aws = await AwsFake.open();
  stranger = awsStranger((action, input) => aws.call(action, input));
  destination = await open();
});
beforeEach(() => {
  aws.liftFaults();
});
afterAll(async () => {
  for (const one of opened) await one.close();
  await aws.close();
});

const fresh = (): Location => ({ destinationUid: 'aws', path: `keywright/payments/place-${(count += 1)}` });
const calls = (): readonly string[] => aws.log.map(({ action }) => action);
const read = async (location: Location) =>
  (JSON.parse((await stranger.read(location.path)) ?? '{}') as { 'api-key'?: string })['api-key'];
const stagesAt = async ({ path }: Location) => (await stranger.describe(path))?.VersionIdsToStages ?? {};
const holder = async (location: Location, stage: string) =>
  Object.entries(await stagesAt(location)).find(([, stages]) => stages.includes(stage))?.[0];

async function delivered(): Promise<{ location: Location; reading: Reading }> {
  const location = fresh();
  const reading = written(await put(destination, location, await destination.readMark(location), first));
  return { location, reading };
}

it('delivers a first value, proves it and finds it promoted with three calls', async () => {
  const location = fresh();
  aws.forgetCalls();
  const reading = written(await write(destination, location, await destination.readMark(location), first));
  expect(reading).not.toHaveProperty('staged');
  expect((await destination.readValue(location))?.apiKey?.reveal()).toBe(first.token);
  expect(await destination.promote(location, first.mark, reading)).toMatchObject({ kind: 'written' });
  expect(calls()).toEqual(['DescribeSecret', 'CreateSecret', 'GetSecretValue']);
});

it('delivers a next value, proves it and promotes it with four calls', async () => {
  const { location } = await delivered();
  aws.forgetCalls();
  const staged = written(await write(destination, location, await destination.readMark(location), second));
  const value = await destination.readValue(location);
  expect(value?.apiKey?.reveal()).toBe(second.token);
  expect(value?.reading).toEqual(staged);
  written(await destination.promote(location, second.mark, staged));
  expect(calls()).toEqual(['DescribeSecret', 'PutSecretValue', 'GetSecretValue', 'UpdateSecretVersionStage']);
  expect(await read(location)).toBe(second.token);
});

it('gives readers the old value until the new one is promoted', async () => {
  const { location, reading } = await delivered();
  const staged = written(await write(destination, location, reading, second));
  expect(staged).toMatchObject({ kind: 'marked', staged: true, carries: true, mark: second.mark });
  expect(await destination.readMark(location)).toEqual(staged);
  expect(await read(location)).toBe(first.token);
  written(await destination.promote(location, second.mark, staged));
  expect(await read(location)).toBe(second.token);
  expect((await stagesAt(location))[reading.kind === 'marked' ? reading.providerVersion : '']).toEqual(['AWSPREVIOUS']);
});

it('finds a staged value after a stop, and stages the same again as the same version', async () => {
  const { location, reading } = await delivered();
  const staged = written(await write(destination, location, reading, second));
  const other = await open();
  const found = await other.readMark(location);
  expect(found).toEqual(staged);
  expect((await other.readValue(location))?.apiKey?.reveal()).toBe(second.token);
  expect(written(await write(other, location, found, second))).toEqual(staged);
  written(await other.promote(location, second.mark, found));
  expect(await read(location)).toBe(second.token);
});

it('is promoted once, also when the answer to the promotion was lost', async () => {
  const { location, reading } = await delivered();
  const staged = written(await write(destination, location, reading, second));
  const lost = aws.fault('UpdateSecretVersionStage', { kind: 'lateReset' }, 1);
  written(await destination.promote(location, second.mark, staged));
  expect(lost.met).toBe(1);
  expect(await read(location)).toBe(second.token);
});

it('creates once, also when the answer to the creation was lost', async () => {
  const location = fresh();
  const lost = aws.fault('CreateSecret', { kind: 'lateReset' }, 1);
  written(await write(destination, location, await destination.readMark(location), first));
  expect(lost.met).toBe(1);
  expect(Object.keys(await stagesAt(location))).toHaveLength(1);
});

it('takes its own stage down when another leader was quicker, and leaves that of another alone', async () => {
  const { location, reading } = await delivered();
  const other = await open();
  const quick = written(await write(other, location, reading, third));
  const late = written(await write(destination, location, reading, second));
  written(await other.promote(location, third.mark, quick));
  expect(await destination.promote(location, second.mark, late)).toEqual({ kind: 'lost' });
  expect(await read(location)).toBe(third.token);
  expect(await holder(location, 'AWSPENDING')).toBeUndefined();
  const next = await destination.readMark(location);
  written(await write(destination, location, next, second));
  const stale = await destination.readMark(location);
  written(await put(other, location, stale, version(owner, 4)));
  expect(await destination.promote(location, second.mark, stale)).toEqual({ kind: 'lost' });
  expect(await destination.readMark(location)).toMatchObject({ mark: { epoch: 4 }, carries: true });
});

it('puts a stale stage right by writing the current value again', async () => {
  const { location, reading } = await delivered();
  const stale = written(await write(destination, location, reading, second));
  written(await put(destination, location, stale, first));
  expect(await read(location)).toBe(first.token);
  expect(await destination.readMark(location)).toMatchObject({ mark: first.mark, carries: true });
  expect(await destination.readMark(location)).not.toHaveProperty('staged');
});

it('stages again what somebody took the stage from', async () => {
  const { location, reading } = await delivered();
  const staged = written(await write(destination, location, reading, second));
  const pending = staged.kind === 'marked' ? staged.providerVersion : '';
  await aws.call('UpdateSecretVersionStage', {
    SecretId: location.path,
    VersionStage: 'AWSPENDING',
    RemoveFromVersionId: pending,
  });
  const unstaged = await destination.readMark(location);
  expect(unstaged).toEqual(reading);
  const again = written(await write(destination, location, unstaged, second));
  expect(await destination.readMark(location)).toEqual(again);
  written(await destination.promote(location, second.mark, again));
  expect(await read(location)).toBe(second.token);
});

it("does not take another program's staged version for ours", async () => {
  const { location, reading } = await delivered();
  await aws.call('PutSecretValue', {
    SecretId: location.path,
    SecretString: 'a rotation function was here',
    ClientRequestToken: crypto.randomUUID(),
    VersionStages: ['AWSPENDING'],
  });
  const seen = await destination.readMark(location);
  expect(seen).toMatchObject({ kind: 'marked', mark: first.mark, carries: true });
  expect(seen).not.toHaveProperty('staged');
  expect((await destination.readValue(location))?.apiKey?.reveal()).toBe(first.token);
  expect(await destination.withdraw(location, reading)).toBe('lost');
});

it('says which value a change by hand replaced, or that nobody knows', async () => {
  const { location } = await delivered();
  await stranger.change(location.path, 'not even JSON');
  const changed = await destination.readMark(location);
  expect(changed).toMatchObject({ kind: 'marked', carries: false, mark: first.mark });
  expect((await destination.readValue(location))?.apiKey).toBeUndefined();
  await stranger.change(location.path, '{}');
  const unknown = await destination.readMark(location);
  expect(unknown).toMatchObject({ kind: 'marked', carries: false, mark: { keyId: 'unknown', epoch: 1, uid: owner.uid } });
  written(await put(destination, location, unknown, second));
  expect(await read(location)).toBe(second.token);
});

it('tags a secret with its owner and what the KeyDestination asks for, and again when they change', async () => {
  const location = fresh();
  const tagged = await open({ tags: { team: 'payments' } });
  const reading = written(await put(tagged, location, await tagged.readMark(location), first));
  const tags = async () =>
    Object.fromEntries(((await stranger.describe(location.path))?.Tags ?? []).map(({ Key, Value }) => [Key, Value]));
  expect(await tags()).toEqual({
    team: 'payments',
    'keywright.dev/installation': first.mark.installationId,
    'keywright.dev/namespace': 'payments',
    'keywright.dev/name': 'billing',
    'keywright.dev/uid': 'uid-1',
  });
  const renamed = await open({ tags: { team: 'billing' } });
  aws.forgetCalls();
  const moved = version({ ...owner, uid: 'uid-2' }, 2);
  const now = await renamed.readMark(location);
  expect(now).toMatchObject({ kind: 'marked', mark: reading.kind === 'marked' ? reading.mark : undefined });
  written(await put(renamed, location, now, moved));
  expect(await tags()).toMatchObject({ team: 'billing', 'keywright.dev/uid': 'uid-2' });
  expect(aws.calls('TagResource')).toBe(1);
});

it.each([[{ 'aws:team': 'a' }], [{ 'keywright.dev/uid': 'a' }], [{ team: 'a\nb' }], [{ ['a'.repeat(129)]: 'a' }]])(
  'refuses the tags %j before any call',
  async (tags) => {
    await expect(open({ tags })).rejects.toMatchObject({ kind: 'stalled', reason: 'InvalidSpec' });
  },
);

it.each([
  ['168h', 7],
  ['169h', 8],
  ['720h', 30],
])('schedules a deletion after %s as %i days, and restores the secret for the next value', async (recoveryWindow, days) => {
  const location = fresh();
  const one = await open({ recoveryWindow });
  const reading = written(await put(one, location, await one.readMark(location), first));
  const before = Date.now() / 1000;
  expect(await one.withdraw(location, reading)).toBe('withdrawn');
  const deletedAt = (await stranger.describe(location.path))?.DeletedDate ?? 0;
  expect(Math.round((deletedAt - before) / 86_400)).toBe(days);
  const gone = await one.readMark(location);
  expect(gone.kind).toBe('absent');
  expect(await one.readValue(location)).toBeUndefined();
  written(await put(one, location, gone, version({ ...owner, uid: 'uid-2' }, 1)));
  expect(await one.readMark(location)).toMatchObject({ kind: 'marked', carries: true, mark: { uid: 'uid-2' } });
});

it('restores and deletes nothing that a stranger deleted', async () => {
  const location = fresh();
  const absent = await destination.readMark(location);
  await stranger.put(location.path, 'not ours');
  await aws.call('DeleteSecret', { SecretId: location.path, RecoveryWindowInDays: 7 });
  const foreign = await destination.readMark(location);
  expect(foreign.kind).toBe('unmarked');
  await expect(write(destination, location, foreign, first)).rejects.toMatchObject({ reason: 'ForeignValue' });
  expect(await write(destination, location, absent, first)).toEqual({ kind: 'lost' });
  expect(await stranger.describe(location.path)).toHaveProperty('DeletedDate');
});

it('does not restore what another installation deleted', async () => {
  const { location, reading } = await delivered();
  await destination.withdraw(location, reading);
  const gone = await destination.readMark(location);
  const others = { ...first, mark: { ...first.mark, installationId: 'another' } };
  await expect(write(destination, location, gone, others)).rejects.toMatchObject({ kind: 'stalled', reason: 'ForeignValue' });
  expect(await stranger.describe(location.path)).toHaveProperty('DeletedDate');
});

it('changes nothing of a secret that somebody deleted or made anew since', async () => {
  const { location, reading } = await delivered();
  await aws.call('DeleteSecret', { SecretId: location.path, RecoveryWindowInDays: 7 });
  expect(await write(destination, location, reading, second)).toEqual({ kind: 'lost' });
  await stranger.remove(location.path);
  await stranger.put(location.path, 'not ours');
  const before = await stranger.describe(location.path);
  expect(await write(destination, location, reading, second)).toEqual({ kind: 'lost' });
  expect(await destination.withdraw(location, reading)).toBe('lost');
  expect(await stranger.describe(location.path)).toEqual(before);
});

it('says that the KMS key is not known, or cannot be used', async () => {
  const unknown = await open({ kmsKeyId: 'alias/nobody' });
  const location = fresh();
  const absent = await unknown.readMark(location);
  await expect(write(unknown, location, absent, first)).rejects.toThrow('kmsKeyId');
  const key = aws.kms.create('gone');
  const encrypted = await open({ kmsKeyId: key.arn });
  written(await write(encrypted, location, absent, first));
  expect((await stranger.describe(location.path))?.KmsKeyId).toBe(key.arn);
  aws.kms.disable(key.id);
  await expect(encrypted.readValue(location)).rejects.toThrow('the KMS key of the secret cannot be used');
});
