import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openFileDestination } from '../../../operator/src/destinations/file/file.ts';
import type { Destination, Reading } from '../../../operator/src/destinations/port.ts';
import { composeRecord } from '../../../operator/src/destinations/record.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { systemClock, type Clock } from '../../../operator/src/domain/time.ts';

const location = { destinationUid: 'secret', path: 'payments/billing' };
let root: string;
let folder: string;
let destination: Destination;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'keywright-file-'));
  folder = join(root, 'secrets', location.path);
  destination = openFileDestination({ folder: join(root, 'secrets'), clock: systemClock });
});
afterEach(() => rm(root, { recursive: true, force: true }));

const recordOf = (keyId: string) =>
  composeRecord({ token: new Plaintext(`token-${keyId}`), keyId, expiresAt: undefined, headerName: 'X-API-Key' });
const markOf = (keyId: string) => ({
  installationId: 'i',
  namespace: 'payments',
  name: 'billing',
  uid: 'u',
  keyId,
  epoch: 1,
  envelope: 'e',
});

async function write(keyId: string, observed?: Reading): Promise<Reading> {
  const outcome = await destination.write(
    location,
    recordOf(keyId),
    markOf(keyId),
    observed ?? (await destination.readMark(location)),
    'a',
  );
  if (outcome.kind !== 'written') throw new Error('lost');
  return outcome.reading;
}

it('lies like a Secret that kubelet has mounted', async () => {
  await write('k1');
  expect(await readlink(join(folder, 'api-key'))).toBe('..data/api-key');
  expect(await readlink(join(folder, '..data'))).toMatch(/^\.\.\d{4}(_\d\d){5}\.\d{9}$/);
  expect(await readFile(join(folder, 'api-key'), 'utf8')).toBe('token-k1');
});

it('lets no other user in', async () => {
  await write('k1');
  for (const path of [join(root, 'secrets'), join(folder, '..'), folder, join(folder, '..data')]) {
    expect((await stat(path)).mode & 0o777).toBe(0o700);
  }
  for (const name of ['api-key', 'header', 'key-id', '..data/.keywright-mark.json']) {
    expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
  }
});

it('keeps no old value beside the new one', async () => {
  const first = await write('k1');
  await write('k2', first);
  const generations = (await readdir(folder)).filter((name) => name.startsWith('..2'));
  expect(generations).toEqual([await readlink(join(folder, '..data'))]);
});

it('takes a write that stopped before its swap for none, and clears it away', async () => {
  const half = join(folder, '..2026_01_01_00_00_00.000000001');
  await mkdir(half, { recursive: true });
  await writeFile(join(half, 'api-key'), 'half');
  await symlink('..data/api-key', join(folder, 'api-key'));
  await symlink('..2026_01_01_00_00_00.000000001', join(folder, '..data_tmp'));
  expect(await destination.readMark(location)).toMatchObject({ kind: 'absent' });
  expect(await destination.readValue(location)).toBeUndefined();
  await write('k1');
  expect(await readdir(folder)).not.toContain('..2026_01_01_00_00_00.000000001');
  expect(await readFile(join(folder, 'api-key'), 'utf8')).toBe('token-k1');
});

it('removes what a stopped first write left when it withdraws', async () => {
  const half = join(folder, '..2026_01_01_00_00_00.000000001');
  await mkdir(half, { recursive: true });
  await writeFile(join(half, 'api-key'), 'half');
  expect(await destination.withdraw(location, await destination.readMark(location))).toBe('withdrawn');
  await expect(stat(folder)).rejects.toThrow('ENOENT');
});

it('goes on with a withdrawal that stopped half way', async () => {
  await write('k1');
  await rm(join(folder, '..data', 'api-key'));
  const half = await destination.readMark(location);
  expect(half).toMatchObject({ kind: 'marked', carries: false });
  expect(await destination.withdraw(location, half)).toBe('withdrawn');
  await expect(stat(folder)).rejects.toThrow('ENOENT');
});

it('leaves what others put beside the value', async () => {
  const reading = await write('k1');
  await writeFile(join(folder, 'notes.txt'), 'mine');
  expect(await destination.withdraw(location, reading)).toBe('withdrawn');
  expect(await readdir(folder)).toEqual(['notes.txt']);
});

it.each<[string, () => Promise<unknown>]>([
  ['a file', () => writeFile(folder, 'mine')],
  ['a link to another folder', () => symlink(root, folder)],
])('takes %s in the place of the folder for somebody else’s', async (_what, make) => {
  await mkdir(join(folder, '..'), { recursive: true });
  await make();
  expect(await destination.readMark(location)).toMatchObject({ kind: 'unmarked' });
});

describe('what somebody puts in the place of a file of ours', () => {
  const markPath = async () => join(folder, await readlink(join(folder, '..data')), '.keywright-mark.json');
  const lockPath = () => join(folder, '..', '.billing.lock');
  const replace = async (path: string, make: (path: string) => unknown) => {
    await rm(path, { force: true });
    await make(path);
  };

  it.each<[string, (path: string) => unknown]>([
    ['a FIFO', (path) => execFileSync('mkfifo', [path])],
    ['a link to a device that never ends', (path) => symlink('/dev/zero', path)],
    ['a file without end', (path) => writeFile(path, '{').then(() => truncate(path, 1e12))],
  ])('is not read when it is %s: neither the mark nor a value', async (_what, make) => {
    await write('k1');
    await replace(join(folder, 'api-key'), make);
    expect((await destination.readValue(location))?.apiKey).toBeUndefined();
    await replace(await markPath(), make);
    expect(await destination.readMark(location)).toMatchObject({ kind: 'unmarked' });
  });

  it('is not read as a lock when it is a FIFO, for which a thread would wait for ever', async () => {
    await mkdir(join(folder, '..'), { recursive: true });
    execFileSync('mkfifo', [lockPath()]);
    let ms = 0;
    const impatient: Clock = { ...systemClock, monotonicMs: () => (ms += 6_000) };
    const opened = openFileDestination({ folder: join(root, 'secrets'), clock: impatient });
    const writing = opened.write(location, recordOf('k1'), markOf('k1'), { kind: 'absent', revision: 'absent' }, 'a');
    await expect(writing).rejects.toMatchObject({ reason: 'DestinationUnavailable' });
  });

  it('removes nothing elsewhere when it is a link in the place of a generation', async () => {
    const reading = await write('k1');
    const generation = await readlink(join(folder, '..data'));
    const elsewhere = join(root, 'elsewhere');
    await rename(join(folder, generation), elsewhere);
    await symlink(elsewhere, join(folder, generation));
    expect(await destination.readMark(location)).toMatchObject({ kind: 'unmarked' });
    expect(await destination.withdraw(location, reading)).toBe('lost');
    expect(await readdir(elsewhere)).toContain('api-key');
  });
});

it('counts the lock of a dead process for nothing', async () => {
  await mkdir(join(folder, '..'), { recursive: true });
  // The id lives, but started at another time: it was used again.
  await writeFile(join(folder, '..', '.billing.lock'), `${process.pid} 1 nonce`);
  await write('k1');
  expect(await readdir(join(folder, '..'))).toEqual(['billing']);
});

it('clears away what killed processes left beside a lock, and nothing of a living one', async () => {
  await mkdir(join(folder, '..'), { recursive: true });
  const dead = ['.billing.lock.4194305_77_0123456789ab', `.other.lock.${process.pid}_1_0123456789ab`];
  const started = (await readFile('/proc/self/stat', 'utf8')).split(') ')[1]?.split(' ')[19];
  const living = `.other.lock.${process.pid}_${started}_0123456789ab`;
  for (const name of [...dead, living]) await writeFile(join(folder, '..', name), '');
  await write('k1');
  expect((await readdir(join(folder, '..'))).sort()).toEqual([living, 'billing']);
});

it('leaves nothing beside a lock that several fought for', async () => {
  const absent = await destination.readMark(location);
  await Promise.allSettled(['k1', 'k2', 'k3', 'k4'].map((keyId) => write(keyId, absent)));
  expect(await readdir(join(folder, '..'))).toEqual(['billing']);
});

it('lets exactly one of many writers win', async () => {
  const observed = await destination.readMark(location);
  const others = Array.from({ length: 8 }, () => openFileDestination({ folder: join(root, 'secrets'), clock: systemClock }));
  const outcomes = await Promise.all(
    others.map((one, index) => one.write(location, recordOf(`k${index}`), markOf(`k${index}`), observed, 'a')),
  );
  const winner = outcomes.findIndex((outcome) => outcome.kind === 'written');
  expect(outcomes.filter((outcome) => outcome.kind === 'written')).toHaveLength(1);
  expect(await readFile(join(folder, 'api-key'), 'utf8')).toBe(`token-k${winner}`);
});

it('says in our words that the folder is a file', async () => {
  await writeFile(join(root, 'secrets'), 'mine');
  await expect(destination.probe()).rejects.toMatchObject({ kind: 'waiting', reason: 'DestinationUnavailable' });
  await expect(
    destination.write(location, recordOf('k1'), markOf('k1'), { kind: 'absent', revision: 'absent' }, 'a'),
  ).rejects.toMatchObject({
    reason: 'DestinationUnavailable',
    message: 'a file stands where the folder of the secrets should be',
  });
});
