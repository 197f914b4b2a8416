import { createHash } from 'node:crypto';
import { chown, mkdir, readdir, rename, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { Log } from '../telemetry/log.ts';
import type { DataFolder } from './datafolder.ts';
import { StandaloneFault } from './fault.ts';
import { canWorkIn, findOwner, findServiceUser, isRoot } from './identity.ts';
import type { Identity } from './identity.ts';

/** Where the database lies, and who runs it. */
export interface Place {
  /** Ours alone: the cluster, the server's log, folders of interrupted starts. */
  readonly base: string;
  /** PostgreSQL's data folder; exists as soon as it is whole. */
  readonly cluster: string;
  /** Absent: ourselves. */
  readonly identity: Identity | undefined;
}

/** What {@link choosePlace} needs. */
export interface PlaceInput {
  readonly data: DataFolder;
  /** Root's place for databases whose data folder is closed to PostgreSQL's user. */
  readonly systemFolder: string;
  readonly log: Log;
}

/**
 * A plain user has the database in the data folder. Root has to run it as another user, and that user may not reach
 * the data folder (a home of mode 0700): then it lies in the system's folder under the hash of the data folder's path.
 * An existing database is found again wherever an earlier start put it.
 */
export async function choosePlace({ data, systemFolder, log }: PlaceInput): Promise<Place> {
  const inside = join(data.path, 'postgres');
  if (!isRoot()) return takeOwn(inside);
  const outside = join(systemFolder, createHash('sha256').update(data.path).digest('hex').slice(0, 16));
  const outsideOwner = await findOwner(join(outside, 'cluster'));
  if (outsideOwner !== undefined) {
    if (!(await isNew(data))) return placeAt(outside, outsideOwner, log, data);
    await setAside(outside, log);
  }
  const insideOwner = await findOwner(join(inside, 'cluster'));
  if (insideOwner !== undefined) return reopen(inside, insideOwner);
  const user = await findServiceUser();
  await mkdir(inside, { recursive: true, mode: 0o700 });
  await chown(inside, user.uid, user.gid);
  if (await canWorkIn(inside, user)) return { base: inside, cluster: join(inside, 'cluster'), identity: user };
  await removeIfEmpty(inside);
  return placeAt(outside, user, log, data);
}

async function takeOwn(base: string): Promise<Place> {
  const cluster = join(base, 'cluster');
  const owner = await findOwner(cluster);
  if (owner !== undefined && owner.uid !== process.getuid?.()) {
    throw new StandaloneFault(
      `the database in ${cluster} belongs to the user ${owner.name}; start as before, or choose another folder with --data`,
    );
  }
  await mkdir(base, { recursive: true, mode: 0o700 });
  return { base, cluster, identity: undefined };
}

async function reopen(base: string, owner: Identity): Promise<Place> {
  // PostgreSQL runs only as the owner of its data folder, whoever made it.
  if (await canWorkIn(base, owner)) return { base, cluster: join(base, 'cluster'), identity: owner };
  throw new StandaloneFault(
    `the database in ${base} runs as the user ${owner.name}, who cannot reach it any more; open the folders above it to that user (chmod o+x)`,
  );
}

async function placeAt(base: string, identity: Identity, log: Log, data: DataFolder): Promise<Place> {
  await mkdir(base, { recursive: true, mode: 0o755 });
  await chown(base, identity.uid, identity.gid);
  log.info('database folder', {
    file: base,
    message: `${data.path} is closed to the user ${identity.name}, who runs the database: it lies in ${base}`,
  });
  return { base, cluster: join(base, 'cluster'), identity };
}

/** A data folder without anything that a start leaves behind: removed and made anew, so the database of its path is another's. */
async function isNew(data: DataFolder): Promise<boolean> {
  const names = await readdir(data.path);
  return !['database.json', 'pepper.json', 'status'].some((name) => names.includes(name));
}

async function setAside(base: string, log: Log): Promise<void> {
  let number = 1;
  while ((await findOwner(`${base}.${number}`)) !== undefined) number += 1;
  await rename(base, `${base}.${number}`);
  log.warn('database set aside', {
    file: `${base}.${number}`,
    message: 'it belonged to a data folder that was removed; delete it when nobody needs it',
  });
}

async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch {
    // Something else is in it: it may stay.
  }
}
