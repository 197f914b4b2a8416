import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/**
 * O_NONBLOCK: if a FIFO takes the file's place between the look and the open, the open returns at once. O_NOCTTY: a terminal does not
 * become our controlling terminal (open(2)).
 */
const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** The most that one read takes, in bytes: the thread pool has four threads for all files. */
const pieceBytes = 1_048_576;

/**
 * Opens a regular file to read it; `undefined` = the path leads to something else. Anybody who can write to a folder can put anything
 * in the place of a file: opening a FIFO, or reading a device, would block one of the few threads that read files.
 *
 * @throws The error of the system (ENOENT, EACCES …).
 */
export async function openRegular(path: string): Promise<FileHandle | undefined> {
  if (!(await stat(path)).isFile()) return undefined;
  const file = await open(path, flags);
  try {
    if ((await file.stat()).isFile()) return file;
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return undefined;
}

/** Reads on until the file ends or `bytes` is full; how many bytes there are. */
export async function readInto(file: FileHandle, bytes: Uint8Array): Promise<number> {
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await file.read(bytes, length, Math.min(bytes.length - length, pieceBytes), null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return length;
}
