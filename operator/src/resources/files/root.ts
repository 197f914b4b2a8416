import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';

/**
 * The manifests folder at one moment. Its path as given is its identity, so that objects keep their files when it is a link that is
 * switched to the next release; its real path is where a look reads, so that one look reads one release.
 */
export interface Root {
  readonly given: string;
  readonly real: string;
  /** Where to read a file of the folder. */
  toReal(path: string): string;
  /** By which path a file of the folder is known. */
  toGiven(path: string): string;
}

/** Follows the path as given. One that leads nowhere is its own real path: reading it fails. */
export async function followRoot(given: string): Promise<Root> {
  const real = await realpath(given).catch(() => given);
  return { given, real, toReal: (path) => moved(path, given, real), toGiven: (path) => moved(path, real, given) };
}

/** Whether a path lies in a folder, as text. */
export function liesIn(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function moved(path: string, from: string, to: string): string {
  return from !== to && (path === from || liesIn(path, from)) ? to + path.slice(from.length) : path;
}
