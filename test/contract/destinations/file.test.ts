import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openFileDestination } from '../../../operator/src/destinations/file/file.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { privateDir } from '../../harness/process.ts';
import { destinationFaults, type FaultName, type FaultTable } from './faults.ts';
import { destinationContract, poison } from './suite.ts';

destinationContract('a folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keywright-file-'));
  const at = (location: Location, ...rest: string[]) => join(folder, location.path, ...rest);
  let count = 0;
  return {
    destination: openFileDestination({ folder, clock: systemClock }),
    marksShowChanges: true,
    othersStandBeside: true,
    owner: { namespace: 'payments', name: 'billing', uid: 'uid-1' },
    fresh: () => ({ destinationUid: 'secret', path: `payments/place-${(count += 1)}` }),
    close: () => rm(folder, { recursive: true, force: true }),
    stranger: {
      put: async (location) => {
        await mkdir(at(location), { recursive: true });
        await writeFile(at(location, 'password'), 'not ours');
      },
      // As most editors save: a new file takes the name.
      change: async (location, apiKey) => {
        await writeFile(at(location, 'api-key.swp'), apiKey);
        await rename(at(location, 'api-key.swp'), at(location, 'api-key'));
      },
      // In place, as a shell's redirection writes: the file behind the link changes.
      edit: async (location, entries) => {
        for (const [name, text] of Object.entries(entries)) {
          if (text === null) await rm(at(location, '..data', name));
          else await writeFile(at(location, name), text);
        }
      },
      changeMark: async (location, installation) => {
        const file = at(location, '..data', '.keywright-mark.json');
        const mark = JSON.parse(await readFile(file, 'utf8')) as Record<string, string>;
        await writeFile(file, JSON.stringify({ ...mark, installation }));
      },
      poison: async (location) => {
        const file = at(location, '..data', '.keywright-mark.json');
        const mark = JSON.parse(await readFile(file, 'utf8')) as Record<string, string>;
        await writeFile(file, JSON.stringify({ ...mark, ...poison }));
      },
      remove: (location) => rm(at(location), { recursive: true }),
      read: async (location) => {
        const siblings = await readdir(dirname(at(location))).catch((): string[] => []);
        if (!siblings.includes(location.path.split('/')[1] ?? '')) return undefined;
        const names = (await readdir(at(location))).filter((name) => !name.startsWith('.'));
        return Object.fromEntries(
          await Promise.all(names.map(async (name) => [name, await readFile(at(location, name), 'utf8')] as const)),
        );
      },
    },
  };
});

/** A disk of our own, to be filled and made read-only: root may make one, and no mode of a folder stops root. */
const disk = privateDir('disk');
const mountDisk = (): boolean =>
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k,mode=700', 'keywright-test', disk]).status === 0;
const unmountDisk = (): boolean => spawnSync('umount', ['--lazy', disk]).status === 0;
// Tried once and taken away again: a run that skips these tests must not leave a mount.
const isDisk = mountDisk() && unmountDisk();
const isRoot = process.getuid?.() === 0;
const noServer = 'a folder is reached by system calls, not over a network';
const noAnswer = 'a folder gives no answers; what lies in it and is not ours counts as foreign, as the suite shows';
const changes = ['create', 'replace', 'withdraw'] as const;
const table: FaultTable = {
  calls: changes,
  faults: {
    refused: 'a folder that is not there is made',
    silent: noServer,
    slow: noServer,
    reset: noServer,
    truncated: noAnswer,
    garbage: noAnswer,
    otherJson: noAnswer,
    huge: noAnswer,
    redirect: 'a link in the place of the folder counts as foreign: test/unit/destinations/file.test.ts',
    failed: 'nothing on this machine breaks a disk on demand',
    throttled: noServer,
    denied:
      isDisk || !isRoot
        ? { kind: 'waiting', message: /may not be written by this user$/, calls: [...changes, 'probe'] }
        : 'root may write everywhere, and may not mount a disk here',
    expired: 'nobody logs in to a folder',
    full: isDisk
      ? { kind: 'waiting', message: /disk with the folder of the secrets is full$/ }
      : 'only root may mount a disk to fill',
  },
  oversized: isDisk
    ? { bytes: 600_000, kind: 'waiting', message: /disk with the folder of the secrets is full$/ }
    : 'files have no bound but the disk',
  lostAnswers: noServer,
};

destinationFaults('a folder', table, async () => {
  if (isDisk && !mountDisk()) throw new Error('the disk could not be mounted again');
  const folder = join(disk, 'secrets');
  const filler = join(disk, 'filler');
  let count = 0;
  const protect = async (isProtected: boolean): Promise<void> => {
    if (isDisk) spawnSync('mount', ['-o', isProtected ? 'remount,ro' : 'remount,rw', disk]);
    else
      for (const path of [folder, join(folder, 'payments')])
        await chmod(path, isProtected ? 0o500 : 0o700).catch(() => undefined);
  };
  const breaks: Partial<Record<FaultName | 'lostAnswers', () => Promise<unknown>>> = {
    denied: () => protect(true),
    full: () => writeFile(filler, Buffer.alloc(1_000_000)).catch(() => undefined),
  };
  return {
    destination: openFileDestination({ folder, clock: systemClock }),
    timeoutMs: 5_000,
    owner: { namespace: 'payments', name: 'billing', uid: 'uid-1' },
    fresh: () => ({ destinationUid: 'secret', path: `payments/place-${(count += 1)}` }),
    break: async (fault) => {
      await breaks[fault]?.();
    },
    heal: async () => {
      await protect(false);
      await rm(filler, { force: true });
    },
    calls: () => undefined,
    mostCalls: 0,
    hidden: [disk],
    close: async () => {
      if (isDisk) unmountDisk();
      await rm(disk, { recursive: true, force: true });
    },
  };
});
