import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, rmdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { Log } from '../telemetry/log.ts';
import type { DataFolder } from './datafolder.ts';
import { StandaloneFault } from './fault.ts';
import { openFolder, makeFolder } from './folders.ts';
import { canEnter, findOwner, findServiceUser, isRoot } from './identity.ts';
import type { Identity } from './identity.ts';

/** Where the database lies, and who runs it. */
export interface Place {
  /** Ours alone, also when another user runs the database: the cluster, the socket's folder, the server's log, folders of interrupted starts. */
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
  await claim(outside);
  const outsideOwner = await findOwner(join(outside, 'cluster'));
  if (outsideOwner !== undefined) {
    if (!(await isNew(data))) return placeAt(outside, outsideOwner, log, data);
    await setAside(outside, log);
  }
  await claim(inside);
  const insideOwner = await findOwner(join(inside, 'cluster'));
  if (insideOwner !== undefined) return reopen(inside, insideOwner);
  const user = await findServiceUser();
  await openTo(user, inside);
  if (await canEnter(inside, user)) return { base: inside, cluster: join(inside, 'cluster'), identity: user };
  await removeIfEmpty(inside);
  return placeAt(outside, user, log, data);
}

/**
 * Root's folder, as each start makes it, is root's own: whoever runs the database passes through, and can neither make
 * nor replace anything that root opens. Earlier versions gave it to that account: what it put there is removed, except
 * for folders, such as the cluster.
 */
async function claim(base: string): Promise<void> {
  const folder = await openFolder(base);
  if (folder === undefined) return;
  try {
    const { uid, mode } = await folder.stat();
    if (uid === 0 && (mode & 0o022) === 0) return;
    await folder.chown(0, 0);
    await folder.chmod(0o700);
    for (const entry of await readdir(base, { withFileTypes: true })) {
      if (!entry.isDirectory()) await unlink(join(base, entry.name));
    }
  } finally {
    await folder.close();
  }
}

/** Lets that user, and nobody else, pass through a folder of root's. */
async function openTo(user: Identity, base: string): Promise<void> {
  await (await makeFolder(base, { mode: 0o710, gid: user.gid })).close();
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
  await openTo(owner, base);
  if (await canEnter(join(base, 'cluster'), owner)) return { base, cluster: join(base, 'cluster'), identity: owner };
  throw new StandaloneFault(
    `the database in ${base} runs as the user ${owner.name}, who cannot reach it any more; open the folders above it to that user (chmod o+x)`,
  );
}

async function placeAt(base: string, identity: Identity, log: Log, data: DataFolder): Promise<Place> {
  await mkdir(dirname(base), { recursive: true, mode: 0o755 });
  await openTo(identity, base);
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
