import { isCode } from '../../domain/systemcode.ts';
import { openRegular, readInto } from '../../regularfile.ts';

/** More than any file of ours. In bytes. */
const limitBytes = 65_536;

/** The text of a regular file of at most 64 KiB; `undefined` = there is none. */
export async function readSmallFile(path: string): Promise<string | undefined> {
  try {
    const file = await openRegular(path);
    if (file === undefined) return undefined;
    try {
      const bytes = Buffer.alloc(limitBytes + 1);
      const length = await readInto(file, bytes);
      return length > limitBytes ? undefined : bytes.toString('utf8', 0, length);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (isCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO')) return undefined;
    throw error;
  }
}
