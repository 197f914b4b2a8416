import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readdir, readlink, rename, rm, rmdir, symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { isCode } from '../../domain/systemcode.ts';
import type { Instant } from '../../domain/time.ts';
import type { Mark } from '../../domain/version.ts';
import { formatMark, parseMark } from '../condition.ts';
import { entryNames, type EntryName } from '../record.ts';
import { readSmallFile } from './smallfile.ts';

/** The link that names the current generation, as in a Secret that kubelet has mounted. */
const dataLink = '..data';
const dataLinkTemporary = '..data_tmp';
const markFile = '.keywright-mark.json';
const generationPattern = /^\.\.[0-9]{4}(_[0-9]{2}){5}\.[0-9]{9}$/;

/** What lies in a folder. `intact` = every entry leads to a file of the current generation. */
export type FolderContent =
  | { readonly kind: 'empty' }
  | { readonly kind: 'foreign' }
  | { readonly kind: 'ours'; readonly mark: Mark; readonly generation: string; readonly intact: boolean };

/** Looks at a folder without reading a value. Leftovers of a write that stopped before its swap count as nothing. */
export async function inspectFolder(folder: string): Promise<FolderContent> {
  const names = await listFolder(folder);
  if (names === undefined) return { kind: 'empty' };
  if (names === 'notFolder') return { kind: 'foreign' };
  const generation = await linkTarget(join(folder, dataLink));
  if (generation === undefined) {
    const strangers = await Promise.all(names.map(async (name) => !(await isLeftover(folder, name))));
    return strangers.includes(true) ? { kind: 'foreign' } : { kind: 'empty' };
  }
  const isOurs = generationPattern.test(generation) && (await isFolder(join(folder, generation)));
  const mark = isOurs ? await readMark(join(folder, generation)) : undefined;
  if (mark === undefined) return { kind: 'foreign' };
  const intact = await Promise.all(entryNames.map((name) => isIntact(folder, generation, name)));
  return { kind: 'ours', mark, generation, intact: !intact.includes(false) };
}

/** What a reader of the folder gets under an entry's name; `undefined` = nothing. */
export async function readEntry(folder: string, name: EntryName): Promise<string | undefined> {
  return await readSmallFile(join(folder, name));
}

/**
 * Makes a new generation and swaps it in with one rename: readers have the old entries or the new ones. The entries'
 * links are made before the swap, so that after it nothing is missing. Returns the generation's name.
 */
export async function writeGeneration(
  folder: string,
  entries: Readonly<Record<EntryName, string>>,
  mark: Mark,
  now: Instant,
): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await removeLeftovers(folder);
  const generation = nameGeneration(now);
  const place = join(folder, generation);
  try {
    await mkdir(place, { mode: 0o700 });
    for (const name of entryNames) await writeSynced(join(place, name), entries[name]);
    await writeSynced(join(place, markFile), `${JSON.stringify(formatMark(mark))}\n`);
    await syncFolder(place);
    for (const name of entryNames) await ensureLink(folder, name);
    await replaceLink(folder, dataLink, generation);
    await syncFolder(folder);
  } catch (error) {
    // What a full disk cut off holds half a value, and the room that the next try needs.
    await removeLeftovers(folder).catch(() => undefined);
    throw error;
  }
  await removeLeftovers(folder);
  return generation;
}

/**
 * Removes what is ours: first the values, last the mark, so that a stop in between is seen as ours and gone on with.
 * What others put beside it stays, and then the folder does, too.
 */
export async function removeGeneration(folder: string, generation: string | undefined): Promise<void> {
  await removeLeftovers(folder);
  if (generation !== undefined) {
    for (const name of entryNames) await rm(join(folder, generation, name), { force: true });
  }
  for (const name of entryNames) if (await isOurLink(folder, name)) await unlink(join(folder, name));
  if (generation !== undefined) {
    await rm(join(folder, dataLink), { force: true });
    await rm(join(folder, generation), { recursive: true, force: true });
  }
  try {
    await rmdir(folder);
  } catch (error) {
    if (!isCode(error, 'ENOENT', 'ENOTEMPTY', 'EEXIST')) throw error;
  }
}

async function listFolder(folder: string): Promise<readonly string[] | 'notFolder' | undefined> {
  try {
    // A link would lead every write elsewhere: whoever made it is not us.
    if (!(await lstat(folder)).isDirectory()) return 'notFolder';
    return await readdir(folder);
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    if (isCode(error, 'ENOTDIR')) return 'notFolder';
    throw error;
  }
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    // Something that is no link has the name: a text that is no generation.
    if (isCode(error, 'EINVAL')) return '';
    if (isCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

async function isLeftover(folder: string, name: string): Promise<boolean> {
  if (name === dataLinkTemporary || generationPattern.test(name)) return true;
  return isOurLink(folder, name);
}

async function isOurLink(folder: string, name: string): Promise<boolean> {
  return (await linkTarget(join(folder, name))) === `${dataLink}/${name}`;
}

async function isIntact(folder: string, generation: string, name: EntryName): Promise<boolean> {
  if (!(await isOurLink(folder, name))) return false;
  try {
    return (await lstat(join(folder, generation, name))).isFile();
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false;
    throw error;
  }
}

async function readMark(place: string): Promise<Mark | undefined> {
  try {
    const parsed: unknown = JSON.parse((await readSmallFile(join(place, markFile))) ?? '');
    return typeof parsed === 'object' && parsed !== null ? parseMark(parsed as Record<string, unknown>) : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** Not a link to one: a withdrawal would remove what lies elsewhere. */
async function isFolder(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if (isCode(error, 'ENOENT')) return false;
    throw error;
  }
}

async function removeLeftovers(folder: string): Promise<void> {
  const names = await listFolder(folder);
  if (names === undefined || names === 'notFolder') return;
  const current = await linkTarget(join(folder, dataLink));
  const stale = names.filter((name) => name === dataLinkTemporary || (generationPattern.test(name) && name !== current));
  for (const name of stale) await rm(join(folder, name), { recursive: true, force: true });
}

async function ensureLink(folder: string, name: EntryName): Promise<void> {
  if (!(await isOurLink(folder, name))) await replaceLink(folder, name, `${dataLink}/${name}`);
}

/** A rename replaces whatever file has the name, such as one that an editor put in the link's place. */
async function replaceLink(folder: string, name: string, target: string): Promise<void> {
  const temporary = join(folder, dataLinkTemporary);
  await rm(temporary, { force: true });
  await symlink(target, temporary);
  await rename(temporary, join(folder, name));
}

async function writeSynced(path: string, content: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function nameGeneration(now: Instant): string {
  const stamp = new Date(now).toISOString().slice(0, 19).replace(/[-T:]/g, '_');
  return `..${stamp}.${String(randomBytes(6).readUIntBE(0, 6) % 1_000_000_000).padStart(9, '0')}`;
}
