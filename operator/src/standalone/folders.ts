import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

import { systemCode } from '../domain/systemcode.ts';
import { StandaloneFault } from './fault.ts';
import type { Identity } from './identity.ts';

/** Opens the folder itself, never what a link in its place leads to. `undefined`: nothing is there. */
export async function openFolder(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') return undefined;
    if (code !== 'ENOTDIR' && code !== 'ELOOP') throw error;
    throw new StandaloneFault(`${path} is no folder, but a link or a file; remove it, and start again`);
  }
}

/** The mode of a folder, whatever the umask, and whose it is: absent, ours. */
export interface FolderAccess {
  readonly mode: number;
  readonly owner?: Identity | undefined;
  /** Absent: the owner's. */
  readonly gid?: number | undefined;
}

/**
 * Makes a folder, or takes the one that is there, and gives it its mode and owner: through the open folder, so that
 * nobody can have root give away another one. It goes to its owner last. The caller closes what this returns.
 */
export async function makeFolder(path: string, { mode, owner, gid = owner?.gid }: FolderAccess): Promise<FileHandle> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
  const folder = await openFolder(path);
  if (folder === undefined) throw new StandaloneFault(`${path} was removed while it was opened; start again`);
  try {
    await folder.chmod(mode);
    if (gid !== undefined) await folder.chown(owner?.uid ?? (await folder.stat()).uid, gid);
    return folder;
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/** Makes a new file, 0600. It goes to its owner last, through the open file. */
export async function writeFileFor(owner: Identity | undefined, path: string, content: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(content);
    if (owner !== undefined) await file.chown(owner.uid, owner.gid);
  } finally {
    await file.close();
  }
}
