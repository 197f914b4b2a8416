import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** How {@link writeDurably} makes the file. */
export interface FileMode {
  /** Permission bits of the file. */
  readonly mode: number;
  /** Permission bits of the folders that have to be made. */
  readonly folderMode: number;
}

/**
 * Writes a file as one step: a reader, and a start after a kill or a power cut, finds the old content or the new one,
 * never a part of it. Temp file in the same folder, fsync, rename, fsync of the folder.
 */
export async function writeDurably(path: string, content: string, { mode, folderMode }: FileMode): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: folderMode });
  const temporary = join(folder, `.${randomBytes(6).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Removes a file for good: also after a power cut it is gone. An absent one is no error. */
export async function removeDurably(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncFolder(dirname(path));
}

/** Makes a rename or a removal in `folder` durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
