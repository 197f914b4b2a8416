import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { mkdir, readFile, realpath, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { systemCode } from '../domain/systemcode.ts';
import { writeDurably } from '../resources/files/durable.ts';
import { StandaloneFault } from './fault.ts';
import { isRoot } from './identity.ts';
import { requireOwnFolder } from './ownership.ts';
import { isAlive, nameProcess } from './process.ts';
import type { ProcessName } from './process.ts';

/** The data folder while it is ours alone. Whoever works on it takes this as the proof. */
export interface DataFolder {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** Lets the next one in. Twice is once. */
  release(): Promise<void>;
}

const lockFile = 'up.lock';

/**
 * Makes the data folder (0700; by root 0711) and takes it for this process alone. Throws {@link StandaloneFault} while another
 * process has it, and if another user made it or can write to it.
 *
 * Two locks, because each has a gap: a Unix socket in the kernel's own namespace, named after the folder's inode, is
 * taken and given back by the kernel in one step and never outlives its process, but is not seen from another network
 * namespace; the file says who it is, and holds as long as the process of that id and start time lives.
 */
export async function openDataFolder(folder: string): Promise<DataFolder> {
  const path = await makeFolder(folder);
  await requireOwnFolder(path);
  const socket = await takeSocket(path);
  try {
    const holder = await readHolder(path);
    if (holder !== undefined && holder.pid !== process.pid && (await isAlive(holder))) throw busy(path, holder);
    const self = await nameProcess(process.pid);
    if (self === undefined) throw new StandaloneFault('the standalone mode needs Linux with /proc');
    await writeLock(path, self);
  } catch (error) {
    await closeServer(socket);
    throw error;
  }
  return {
    path,
    release: async () => {
      if (!socket.listening) return;
      await rm(join(path, lockFile), { force: true });
      await closeServer(socket);
    },
  };
}

async function makeFolder(folder: string): Promise<string> {
  try {
    // Root's database runs as another user, who has to pass through; what is secret in here is closed by its own mode.
    await mkdir(folder, { recursive: true, mode: isRoot() ? 0o711 : 0o700 });
    return await realpath(folder);
  } catch (error) {
    throw new StandaloneFault(
      `the data folder ${resolve(folder)} cannot be made or opened (${systemCode(error) ?? 'error'}); choose another one with --data`,
    );
  }
}

async function writeLock(path: string, self: ProcessName): Promise<void> {
  try {
    await writeDurably(join(path, lockFile), `${JSON.stringify(self)}\n`, { mode: 0o600, folderMode: 0o700 });
  } catch (error) {
    const code = systemCode(error) ?? 'error';
    throw new StandaloneFault(
      `the data folder ${path} cannot be written (${code}); start as the user that it belongs to, or choose another one with --data`,
    );
  }
}

async function takeSocket(path: string): Promise<Server> {
  const { dev, ino } = await stat(path, { bigint: true });
  const server = createServer((connection) => connection.destroy());
  try {
    await new Promise<void>((resolveListening, reject) => {
      server.once('error', reject);
      server.listen(`\0keywright-up-${dev}-${ino}`, resolveListening);
    });
  } catch (error) {
    if (systemCode(error) !== 'EADDRINUSE') throw error;
    const holder = await readHolder(path);
    // A name left over from a process that has ended does not say who holds the socket: any user of the machine can take it.
    throw busy(path, holder !== undefined && (await isAlive(holder)) ? holder : undefined);
  }
  // The lock alone is no reason to stay.
  return server.unref();
}

function busy(path: string, holder: ProcessName | undefined): StandaloneFault {
  const what =
    holder === undefined
      ? `an unknown process holds the lock of the data folder ${path}; as root, find it with "ss -xlp | grep keywright-up" and stop it`
      : `process ${holder.pid} already runs on the data folder ${path}; stop it first`;
  return new StandaloneFault(`${what}, or choose another folder with --data`);
}

async function readHolder(path: string): Promise<ProcessName | undefined> {
  try {
    const holder: unknown = JSON.parse(await readFile(join(path, lockFile), 'utf8'));
    return isProcessName(holder) ? holder : undefined;
  } catch {
    // No file, or one that says nothing: nobody is named.
    return undefined;
  }
}

function isProcessName(value: unknown): value is ProcessName {
  return (
    typeof value === 'object' &&
    value !== null &&
    'pid' in value &&
    Number.isSafeInteger(value.pid) &&
    'startTicks' in value &&
    typeof value.startTicks === 'string' &&
    'bootId' in value &&
    typeof value.bootId === 'string'
  );
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolveClosed) => server.close(() => resolveClosed()));
}
