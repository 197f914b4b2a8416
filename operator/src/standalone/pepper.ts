import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

import { writeDurably } from '../resources/files/durable.ts';
import type { DataFolder } from './datafolder.ts';
import { requireOwnFile } from './ownership.ts';

/**
 * The path of `pepper.json` in the data folder, made (0600) with one random pepper of 32 bytes when there is none. It
 * is never made anew over an existing one, not even over a broken one: hashes in the database depend on it.
 */
export async function ensurePepperFile(data: DataFolder): Promise<string> {
  const path = join(data.path, 'pepper.json');
  if (!(await requireOwnFile(path))) {
    const id = `local-${randomBytes(4).toString('hex')}`;
    const content = { current: id, peppers: { [id]: randomBytes(32).toString('base64') } };
    await writeDurably(path, `${JSON.stringify(content)}\n`, { mode: 0o600, folderMode: 0o700 });
  }
  return path;
}
