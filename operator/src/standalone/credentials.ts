import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

import { systemCode } from '../domain/systemcode.ts';
import { writeDurably } from '../resources/files/durable.ts';
import type { DataFolder } from './datafolder.ts';
import { StandaloneFault } from './fault.ts';
import { requireOwnFile } from './ownership.ts';

/** `database.json`: what the embedded database asks of whoever may enter the folder of its socket. */
export interface Credentials {
  readonly password: string;
}

const credentialsSchema = z.object({ password: z.string().min(1) });
const fileName = 'database.json';

/** The file's content; `undefined` when there is none, or one that says nothing. */
export async function readCredentials(data: DataFolder): Promise<Credentials | undefined> {
  const path = join(data.path, fileName);
  if (!(await requireOwnFile(path))) return undefined;
  try {
    return credentialsSchema.safeParse(JSON.parse(await readFile(path, 'utf8'))).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw new StandaloneFault(
      `${path} cannot be read (${systemCode(error) ?? 'error'}); it belongs to the user that started first`,
    );
  }
}

/** Keeps them, 0600. */
export async function saveCredentials(data: DataFolder, credentials: Credentials): Promise<void> {
  await writeDurably(join(data.path, fileName), `${JSON.stringify(credentials)}\n`, { mode: 0o600, folderMode: 0o700 });
}

/** New ones: 192 random bits. */
export function makeCredentials(): Credentials {
  return { password: randomBytes(24).toString('base64url') };
}
