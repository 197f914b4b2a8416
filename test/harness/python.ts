import { spawnSync } from 'node:child_process';
import { PartMissing } from './binaries.ts';
import { which } from './process.ts';

const PYTHON_MINOR = 11;

/** The system's Python. */
export interface Python {
  readonly path: string;
  /** As `Python 3.11.7`. */
  readonly version: string;
}

/**
 * Finds it; `what` needs it.
 *
 * @throws {PartMissing} when there is none, or an older one.
 */
export function findPython(what: string): Python {
  const cure = `install Python 3.${PYTHON_MINOR} or newer and put python3 on PATH`;
  const path = which('python3');
  if (path === undefined) throw PartMissing.of(what, cure);
  const version = spawnSync(path, ['-V'], { encoding: 'utf8' }).stdout.trim();
  const minor = Number(/^Python 3\.(\d+)/.exec(version)?.[1] ?? Number.NaN);
  if (!(minor >= PYTHON_MINOR)) throw PartMissing.of(what, `${cure}; found ${version || 'none'}`);
  return { path, version };
}
