import { randomBytes } from 'node:crypto';
import { link, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { waiting } from '../../domain/failure.ts';
import { isCode } from '../../domain/systemcode.ts';
import type { Clock } from '../../domain/time.ts';
import { readSmallFile } from './smallfile.ts';

const pollMs = 20;
const deadlineMs = 5_000;
/** `<lock>.<process id>_<its start>_<chance>`: the name tells whose it is, also before anything stands in it. */
const passingPattern = /\.lock\.([1-9][0-9]*)_([0-9]+|-)_[0-9a-f]{12}$/;

/**
 * Runs `work` while this process alone holds the lock file. A lock whose process is dead counts for nothing. Throws
 * `waiting DestinationUnavailable` when a living process holds it for 5 s.
 */
export async function withLock<T>(path: string, clock: Clock, work: () => Promise<T>): Promise<T> {
  const holder = await formatHolder(process.pid);
  const mine = `${holder} ${randomBytes(8).toString('hex')}`;
  const giveUpAtMs = clock.monotonicMs() + deadlineMs;
  while (!(await tryLock(path, holder, mine))) {
    await removeIfDead(path, holder);
    if (clock.monotonicMs() > giveUpAtMs) throw waiting('DestinationUnavailable', 'another process holds the lock of the folder');
    await clock.sleep(pollMs);
  }
  try {
    await removePassing(dirname(path));
    return await work();
  } finally {
    if ((await readOrUndefined(path)) === mine) await rm(path, { force: true });
  }
}

/** The content is there as soon as the name is: a lock without its holder's id could never be told from a dead one. */
async function tryLock(path: string, holder: string, content: string): Promise<boolean> {
  const temporary = namePassing(path, holder);
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(content);
    } finally {
      await file.close();
    }
    await link(temporary, path);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    // Also after a failure, such as that of a full disk.
    await rm(temporary, { force: true });
  }
}

/** Takes a dead holder's lock away under another name first: of two that try it at once, only one moves that file. */
async function removeIfDead(path: string, holder: string): Promise<void> {
  const content = await readOrUndefined(path);
  if (content === undefined || (await isAlive(content))) return;
  const aside = namePassing(path, holder);
  try {
    await rename(path, aside);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return;
    throw error;
  }
  // Somebody was quicker, and what was moved is his living lock: back with it.
  if ((await readOrUndefined(aside)) !== content) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

function namePassing(path: string, holder: string): string {
  return `${path}.${holder.replace(' ', '_')}_${randomBytes(6).toString('hex')}`;
}

/** Removes the passing files of processes that were killed between making and removing them. */
async function removePassing(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const [, pid, started] = passingPattern.exec(name) ?? [];
    if (pid !== undefined && !(await isAlive(`${pid} ${started}`))) await rm(join(folder, name), { force: true });
  }
}

async function isAlive(content: string): Promise<boolean> {
  const [pid = '', started = ''] = content.split(' ');
  if (!/^[1-9][0-9]*$/.test(pid)) return false;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    // EPERM: it lives, under another user.
    if (!isCode(error, 'EPERM')) return false;
  }
  return (await formatHolder(Number(pid))) === `${pid} ${started}`;
}

/** Process id and start time: ids are used again. Without /proc the id alone must do. */
async function formatHolder(pid: number): Promise<string> {
  const stat = await readOrUndefined(`/proc/${pid}/stat`);
  // Field 22, counted after the program's name in parentheses, which may hold anything (proc(5)).
  const started = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return `${pid} ${started ?? '-'}`;
}

async function readOrUndefined(path: string): Promise<string | undefined> {
  return readSmallFile(path).catch(() => undefined);
}
