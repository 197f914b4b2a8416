import type { Log } from '../../telemetry/log.ts';
import type { Fault } from './declared.ts';

/** How many faults of a whole folder are shown; the rest is only counted. */
export const faultsShown = 200;

/** The most faults that the log gets in a minute; the table and the next minute have the others. */
const logLimit = { lines: 200, perMs: 60_000 } as const;

/**
 * The present faults: the list for the table, and the log of new and resolved ones. Both are bounded whatever the folder
 * contains.
 */
export class FaultList {
  readonly #log: Log;
  #faults: readonly Fault[] = [];
  #minute = { fromMs: 0, lines: 0 };

  constructor(log: Log) {
    this.#log = log;
  }

  current(): readonly Fault[] {
    return this.#faults;
  }

  /** Takes the faults of a look; logs each when it appears and when it is resolved. `atMs` is monotonic. */
  report(found: readonly Fault[], atMs: number): void {
    const faults = bounded(found);
    const old = new Set(this.#faults.map(formatFault));
    const now = new Set(faults.map(formatFault));
    for (const fault of faults) {
      if (!old.has(formatFault(fault)) && this.#mayTell(atMs))
        this.#log[fault.level === 'error' ? 'warn' : 'info']('manifest', toFields(fault));
    }
    for (const fault of this.#faults) {
      if (!now.has(formatFault(fault))) this.#log.debug('manifest fault gone', toFields(fault));
    }
    this.#faults = faults;
  }

  #mayTell(atMs: number): boolean {
    if (atMs - this.#minute.fromMs >= logLimit.perMs) this.#minute = { fromMs: atMs, lines: 0 };
    this.#minute.lines += 1;
    if (this.#minute.lines === logLimit.lines + 1)
      this.#log.warn('manifest', { message: `more than ${logLimit.lines} faults within a minute: the others are not logged` });
    return this.#minute.lines <= logLimit.lines;
  }
}

function bounded(faults: readonly Fault[]): readonly Fault[] {
  const rest = faults.length - faultsShown;
  if (rest <= 0) return faults;
  const rankOf = ({ isDeletion, level }: Fault): number => (isDeletion ? 0 : level === 'error' ? 1 : 2);
  const shown = faults.toSorted((a, b) => rankOf(a) - rankOf(b)).slice(0, faultsShown);
  const message = `${rest.toLocaleString('en-US')} more problems are not shown`;
  return [...shown, { file: 'manifests', message, level: 'error' }];
}

function toFields({ file, line, message }: Fault): { readonly file: string; readonly message: string; readonly line?: number } {
  return { file, message, ...(line === undefined ? {} : { line }) };
}

function formatFault({ file, line, message }: Fault): string {
  return `${file}:${line ?? ''}: ${message}`;
}
