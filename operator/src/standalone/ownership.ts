import { lstat, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

import { systemCode } from '../domain/systemcode.ts';
import { StandaloneFault } from './fault.ts';
import { nameUser } from './identity.ts';

const groupAndOthers = 0o022;
const others = 0o002;
const sticky = 0o1000;

/**
 * Refuses a data folder that somebody else made or can write to: what lies in it decides who knows the database's
 * password and what the keys' hashes depend on. Root may always. Throws {@link StandaloneFault}.
 */
export async function requireOwnFolder(path: string): Promise<void> {
  const choice = 'choose another folder with --data';
  const { uid, mode } = await stat(path);
  if (!isOurs(uid)) {
    const name = await nameUser(uid);
    throw new StandaloneFault(`the data folder ${path} belongs to the user ${name}; start as that user, or ${choice}`);
  }
  if ((mode & groupAndOthers) !== 0) {
    const cure = `check what is in it, then run "chmod go-w ${path}"`;
    throw new StandaloneFault(`other users can write to the data folder ${path}; ${cure}, or ${choice}`);
  }
  // Whoever owns a folder above, or shares a group with its owner, is for its owner to know.
  for (let folder = dirname(path), last = path; folder !== last; last = folder, folder = dirname(folder)) {
    const above = await stat(folder);
    if ((above.mode & others) === 0 || (above.mode & sticky) !== 0) continue;
    throw new StandaloneFault(
      `every user can replace the data folder ${path}, because ${folder} is open to all; run "chmod o-w ${folder}", or ${choice}`,
    );
  }
}

/** Refuses a file of the data folder that is not ours alone to write. Whether it is there. Throws {@link StandaloneFault}. */
export async function requireOwnFile(path: string): Promise<boolean> {
  try {
    const found = await lstat(path);
    if (found.isFile() && isOurs(found.uid) && (found.mode & groupAndOthers) === 0) return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
  throw new StandaloneFault(
    `${path} is not a file that only you can write; if you trust what it says, make it your own file with the mode 0600`,
  );
}

function isOurs(uid: number): boolean {
  return uid === 0 || uid === process.getuid?.();
}
