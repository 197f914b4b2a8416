import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';

import { writeDurably } from '../resources/files/durable.ts';
import type { DataFolder } from './datafolder.ts';
import { StandaloneFault, systemCode } from './fault.ts';

/** `database.json`: how to reach the embedded database. */
export interface Credentials {
  /** On 127.0.0.1. */
  readonly port: number;
  readonly password: string;
}

const credentialsSchema = z.object({ port: z.int().min(1).max(65_535), password: z.string().min(1) });
const fileName = 'database.json';

/** The file's content; `undefined` when there is none, or one that says nothing. */
export async function readCredentials(data: DataFolder): Promise<Credentials | undefined> {
  const path = join(data.path, fileName);
  try {
    return credentialsSchema.safeParse(JSON.parse(await readFile(path, 'utf8'))).data;
  } catch (error) {
    if (error instanceof SyntaxError || systemCode(error) === 'ENOENT') return undefined;
    throw new StandaloneFault(
      `${path} cannot be read (${systemCode(error) ?? 'error'}); it belongs to the user that started first`,
    );
  }
}

/** Keeps them, 0600. */
export async function saveCredentials(data: DataFolder, credentials: Credentials): Promise<void> {
  await writeDurably(join(data.path, fileName), `${JSON.stringify(credentials)}\n`, { mode: 0o600, folderMode: 0o700 });
}

/** New ones: a port that is free now, 192 random bits. */
export async function makeCredentials(): Promise<Credentials> {
  return { port: await findFreePort(), password: randomBytes(24).toString('base64url') };
}

/** A loopback port that nobody listens on now. */
export async function findFreePort(): Promise<number> {
  const port = await listenOnce(0);
  if (port === undefined) throw new StandaloneFault('no free port on 127.0.0.1');
  return port;
}

/** Whether the database could listen on that port now. */
export async function isFree(port: number): Promise<boolean> {
  return (await listenOnce(port)) !== undefined;
}

function listenOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : undefined));
    });
  });
}
