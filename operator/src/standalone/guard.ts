import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { Writable } from 'node:stream';

import { childEnvironment, succeeds } from './identity.ts';
import type { Identity } from './identity.ts';

/** A program to run under guard. */
export interface GuardedProgram {
  readonly file: string;
  readonly args: readonly string[];
  /** The working folder: also what a later start recognises it by. */
  readonly cwd: string;
  readonly identity: Identity | undefined;
  /** An open file for what it prints. */
  readonly outputFd: number;
}

/**
 * Starts a program in a session of its own, so that Ctrl-C in our terminal and a kill of our process group do not
 * reach it, and in a way that it cannot outlive us: whatever ends this process, SIGKILL too, sends it SIGQUIT (a
 * PostgreSQL server's immediate shutdown, which takes all its processes along).
 */
export type Guard = (program: GuardedProgram) => ChildProcess;

/** The kernel's parent-death signal where `setpriv` can set it (util-linux ≥ 2.33), else a watcher on a pipe. */
export async function chooseGuard(): Promise<Guard> {
  return (await succeeds('setpriv', ['--pdeathsig', 'QUIT', 'true'])) ? spawnWithDeathSignal : spawnWithWatcher;
}

/**
 * The signal is set after the change of user, which would clear it. The parent is compared afterwards: if we died
 * before it was set, nothing would ever come, so the program does not start then.
 */
export const spawnWithDeathSignal: Guard = (program) =>
  spawn(
    'setpriv',
    [
      '--pdeathsig',
      'QUIT',
      '/bin/sh',
      '-c',
      '[ "$PPID" = "$0" ] && exec "$@"',
      String(process.pid),
      program.file,
      ...program.args,
    ],
    { ...commonOptions(program), stdio: ['ignore', program.outputFd, program.outputFd] },
  );

/**
 * For machines without that `setpriv`: a shell process reads from a pipe whose other end only we hold. The kernel
 * closes our end when we die in whatever way; a word before that means that the program has ended already.
 */
export const spawnWithWatcher: Guard = (program) => {
  const script = '(read -r word <&3 || kill -QUIT $$) >/dev/null 2>&1 & exec "$@" 3<&-';
  const child = spawn('/bin/sh', ['-c', script, 'sh', program.file, ...program.args], {
    ...commonOptions(program),
    stdio: ['ignore', program.outputFd, program.outputFd, 'pipe'],
  });
  const pipe = child.stdio[3] as Writable;
  pipe.on('error', () => {});
  child.once('exit', () => pipe.end('ended\n'));
  return child;
};

function commonOptions({ cwd, identity }: GuardedProgram): {
  cwd: string;
  env: NodeJS.ProcessEnv;
  detached: true;
  uid?: number;
  gid?: number;
} {
  return {
    cwd,
    env: childEnvironment,
    detached: true,
    ...(identity === undefined ? {} : { uid: identity.uid, gid: identity.gid }),
  };
}
