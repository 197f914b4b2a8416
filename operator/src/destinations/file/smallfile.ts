import { constants } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { isCode } from './systemcode.ts';

/** More than any file of ours. In bytes. */
const limitBytes = 65_536;

/** O_NONBLOCK: a FIFO that takes the file's place between the look and the open is opened at once, and not read. */
const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/**
 * The text of a regular file of ordinary size; `undefined` = there is none. Anybody who can write to the folder can put anything in
 * its place: reading a FIFO blocks one of the few threads that read files, and a device may never end.
 */
export async function readSmallFile(path: string): Promise<string | undefined> {
  try {
    if (!(await stat(path)).isFile()) return undefined;
    const file = await open(path, flags);
    try {
      if (!(await file.stat()).isFile()) return undefined;
      const bytes = Buffer.alloc(limitBytes + 1);
      let length = 0;
      for (let read = -1; read !== 0 && length < bytes.length; length += read) {
        ({ bytesRead: read } = await file.read(bytes, length, bytes.length - length, null));
      }
      return length > limitBytes ? undefined : bytes.toString('utf8', 0, length);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO')) return undefined;
    throw error;
  }
}
