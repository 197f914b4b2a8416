import { readFile, readdir, readlink } from 'node:fs/promises';
import { basename, sep } from 'node:path';

/** Names one process for good: a process id alone is given to another process sooner or later. */
export interface ProcessName {
  readonly pid: number;
  /** Clock ticks since the machine's start, field 22 of `/proc/<pid>/stat`. */
  readonly startTicks: string;
  /** Another one after each start of the machine. */
  readonly bootId: string;
}

/** The name of a process; `undefined` when it is dead, also when nobody has collected it yet. */
export async function nameProcess(pid: number): Promise<ProcessName | undefined> {
  const stat = await readOrUndefined(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The program's name stands in parentheses and may hold spaces and parentheses: fields count from the last one.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const startTicks = fields[19];
  if (startTicks === undefined || state === 'Z' || state === 'X') return undefined;
  return { pid, startTicks, bootId: ((await readOrUndefined('/proc/sys/kernel/random/boot_id')) ?? '').trim() };
}

/** Whether the process that had this name still runs. */
export async function isAlive(name: ProcessName): Promise<boolean> {
  const now = await nameProcess(name.pid);
  return now !== undefined && now.startTicks === name.startTicks && now.bootId === name.bootId;
}

/**
 * The processes whose program is one of `programs` and whose working folder is `folder` or lies in it. A PostgreSQL
 * server and all its processes work in their data folder; a person's shell there is not one of the programs.
 */
export async function findProcessesIn(folder: string, programs: readonly string[]): Promise<readonly ProcessName[]> {
  const found: ProcessName[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^[0-9]+$/.test(entry)) continue;
    const cwd = await linkOrUndefined(`/proc/${entry}/cwd`);
    if (cwd === undefined || !(cwd === folder || cwd.startsWith(folder + sep))) continue;
    // A program or folder that was removed while it is in use has this suffix.
    const program = (await linkOrUndefined(`/proc/${entry}/exe`))?.replace(/ \(deleted\)$/, '');
    if (program === undefined || !programs.includes(basename(program))) continue;
    const name = await nameProcess(Number(entry));
    if (name !== undefined) found.push(name);
  }
  return found;
}

/** Sends a signal to exactly this process; one that is gone already is well. */
export async function signalProcess(name: ProcessName, signal: NodeJS.Signals): Promise<void> {
  if (!(await isAlive(name))) return;
  try {
    process.kill(name.pid, signal);
  } catch {
    // It ended between the look and the signal, or is not ours to end: the caller looks again.
  }
}

async function readOrUndefined(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}

async function linkOrUndefined(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch {
    return undefined;
  }
}
