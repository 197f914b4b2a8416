import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { writeDurably } from '../resources/files/durable.ts';
import type { DataFolder } from './datafolder.ts';
import { StandaloneFault } from './fault.ts';
import { requireOwnFile } from './ownership.ts';

const pattern = /^[0-9a-f-]{36}\n$/;

/**
 * What tells this data folder from every other one: kept in its file `id`, made when there is none. A database that somebody else keeps
 * belongs to one of them, or two programs with different manifests would revoke each other's keys.
 */
export async function ensureFolderId(data: DataFolder): Promise<string> {
  const path = join(data.path, 'id');
  if (!(await requireOwnFile(path))) {
    await writeDurably(path, `${randomUUID()}\n`, { mode: 0o600, folderMode: 0o700 });
  }
  const text = await readFile(path, 'utf8');
  if (!pattern.test(text))
    throw new StandaloneFault(`${path} does not hold the id of the data folder; remove it to get another one`);
  return text.trim();
}
