import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer, type ServerProcess } from './process.ts';

/** A folder or file of this machine in a container. */
export interface Mount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** What a container is made of: what an image would bring, and what a Pod says. */
export interface ContainerOptions {
  /** For messages and the log. */
  readonly name: string;
  /** A private directory, which is its own when it is gone. */
  readonly dir: string;
  readonly command: readonly string[];
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly Mount[];
  readonly uid: number;
  readonly gid: number;
  /** What asks it to end; default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  readonly ready: () => Promise<boolean>;
  readonly deadlineMs?: number;
}

const script = join(import.meta.dirname, 'container.sh');

/**
 * Starts a program as a container runtime would: it sees a read-only root with nothing but its mounts and the machine's
 * libraries, has no capability, and cannot get one. The network is the machine's. Needs root, as a runtime does.
 */
export async function startContainer(options: ContainerOptions): Promise<ServerProcess> {
  const { name, dir, command, env, mounts, uid, gid, ready, stopSignal = 'SIGTERM', deadlineMs } = options;
  const root = join(dir, 'root');
  mkdirSync(root, { recursive: true });
  chmodSync(dir, 0o711);
  const table = join(dir, 'mounts');
  writeFileSync(
    table,
    mounts.map(({ source, target, readOnly }) => `${source}\t${target}\t${readOnly ? 'ro' : 'rw'}\n`).join(''),
  );
  const variables = Object.entries(env).map(([variable, value]) => `${variable}=${value}`);
  return await startServer({
    name,
    dir,
    command: 'unshare',
    // The environment is set last: that of the harness has no place in a container.
    args: [
      ...['--mount', '--propagation', 'private', 'env', '-i', `PATH=${process.env['PATH'] ?? ''}`, ...variables],
      ...['sh', script, root, `${uid}:${gid}`, table, ...command],
    ],
    ready,
    stopSignal,
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  });
}
