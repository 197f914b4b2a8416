import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';

import { systemCode } from '../domain/systemcode.ts';
import { StandaloneFault } from './fault.ts';

/** A user to run as. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
}

/**
 * What child processes of ours get for an environment: nothing of the caller's, so that no `PG*` variable or library
 * path of a developer's machine changes the server.
 */
export const childEnvironment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
} as const;

/** Whether this process is root: PostgreSQL refuses to run as root, so root runs it as somebody else. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The user that root runs PostgreSQL as: `postgres` where there is one, else `nobody`. */
export async function findServiceUser(): Promise<Identity> {
  const users = await readUsers();
  const user = users.find(({ name }) => name === 'postgres') ?? users.find(({ name, uid }) => name === 'nobody' && uid !== 0);
  if (user === undefined) {
    throw new StandaloneFault(
      'PostgreSQL does not run as root, and this machine has no user "postgres" or "nobody"; add one, or start as a plain user',
    );
  }
  return user;
}

/** Refuses an account that the machine does not know by name (`docker run -u 12345`, OpenShift): initdb does. */
export function requireName(): void {
  try {
    userInfo();
  } catch {
    const number = String(process.getuid?.());
    throw new StandaloneFault(
      `PostgreSQL cannot create a database for the user ${number}, whom this machine does not know; add a line for that number to /etc/passwd, or set KEYWRIGHT_DATABASE_URL to a database of yours`,
    );
  }
}

/** Who owns a folder; `undefined` when it does not exist. */
export async function findOwner(folder: string): Promise<Identity | undefined> {
  try {
    const { uid, gid } = await stat(folder);
    return { uid, gid, name: await nameUser(uid) };
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The name of a user; the number of one that the machine does not know. */
export async function nameUser(uid: number): Promise<string> {
  return (await readUsers()).find((user) => user.uid === uid)?.name ?? String(uid);
}

/** Runs a short command, as another user where `identity` says so, and tells whether it succeeded within 20 s. */
export function succeeds(file: string, args: readonly string[], identity?: Identity): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(
      file,
      args,
      {
        cwd: '/',
        env: childEnvironment,
        timeout: 20_000,
        ...(identity === undefined ? {} : { uid: identity.uid, gid: identity.gid }),
      },
      (error) => resolve(error === null),
    );
  });
}

/** Whether that user can reach the folder and enter it. */
export function canEnter(folder: string, identity: Identity): Promise<boolean> {
  return succeeds('/bin/sh', ['-c', 'cd "$0"', folder], identity);
}

async function readUsers(): Promise<readonly Identity[]> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n');
  return lines.flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    return name === undefined || uid === undefined || gid === undefined ? [] : [{ name, uid: Number(uid), gid: Number(gid) }];
  });
}
