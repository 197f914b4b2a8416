import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openFileDestination } from '../../../operator/src/destinations/file/file.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { destinationContract } from './suite.ts';

destinationContract('a folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'keywright-file-'));
  const at = (location: Location, ...rest: string[]) => join(folder, location.path, ...rest);
  let count = 0;
  return {
    destination: openFileDestination({ folder, clock: systemClock }),
    marksShowChanges: true,
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
