import { dirname, relative } from 'node:path';

import { formatInstant } from '../../domain/time.ts';
import type { Instant } from '../../domain/time.ts';
import { Absence, absenceMs } from './absence.ts';
import type { Waiting } from './absence.ts';
import { clip } from './content.ts';
import { formatName } from './declared.ts';
import type { Declared, Fault } from './declared.ts';
import { liesIn } from './root.ts';

/** An object or Secret that is there, and the file that it came from. */
export interface Present {
  readonly id: string;
  readonly source: string | undefined;
}

/** What {@link findMissing} needs to know of the folder. */
export interface FolderRule {
  /** The path as given. */
  readonly root: string;
  /** Objects of another folder that this one lacks are missing, too. */
  readonly prune: boolean;
}

/** What a look lacks. */
export interface Missing {
  readonly ids: readonly string[];
  /** Why others that it lacks are not missing. */
  readonly faults: readonly Fault[];
  /** What stays because a file or folder cannot be read, or a document is not valid: ids, by the path that a fault names. */
  readonly kept: ReadonlyMap<string, readonly string[]>;
}

/** The objects that a look lacks, and those that it lacks without that meaning anything. */
function findMissing(present: readonly Present[], declared: Declared, { root, prune }: FolderRule): Missing {
  const faults: Fault[] = [];
  const ids: string[] = [];
  const kept = new Map<string, string[]>();
  const keep = (path: string, id: string): void => {
    const known = kept.get(path);
    if (known === undefined) kept.set(path, [id]);
    else known.push(id);
  };
  for (const { id, source } of declared.blind ? [] : present) {
    const invalid = declared.invalid.get(id);
    if (invalid !== undefined) keep(invalid, id);
    if (declared.named.has(id)) continue;
    const file = source === undefined ? id : liesIn(source, root) ? relative(root, source) : source;
    const stray = source === undefined ? undefined : declared.strays.get(source);
    const doubt = source === undefined ? undefined : doubtfulPart(source, declared.uncertain);
    if (source !== undefined && declared.empty.has(source)) {
      const message = `the file is empty, which deletes nothing: ${formatName(id)} stays; delete the file to delete it`;
      faults.push({ file, message, level: 'notice', isDeletion: true });
    } else if (stray !== undefined) {
      const message = `is not a Kubernetes resource, which deletes nothing: ${formatName(id)}, which the file declared before, stays; complete or remove this document, or delete the file`;
      faults.push({ file, line: stray, message, level: 'error', isDeletion: true });
    } else if (doubt !== undefined) keep(doubt, id);
    else if (!prune && !(source !== undefined && liesIn(source, root))) {
      const message = `${formatName(id)} is not in this manifests folder, and kept; --prune deletes it`;
      faults.push({ file, message, level: 'notice' });
    } else ids.push(id);
  }
  return { ids, faults, kept };
}

/** The file, or the folder above it, that may declare objects which the look cannot see. */
function doubtfulPart(path: string, uncertain: Declared['uncertain']): string | undefined {
  for (let at = path; ; at = dirname(at)) {
    if (uncertain.has(at)) return at;
    if (at === dirname(at)) return undefined;
  }
}

/** The faults of a look, each with what it keeps from being deleted: the first of a file says it. */
export function tellKept(faults: readonly Fault[], kept: Missing['kept'], root: string): readonly Fault[] {
  const untold = new Map([...kept].flatMap(([path, ids]) => [[path, ids] as const, [relative(root, path), ids] as const]));
  return faults.map((fault) => {
    const ids = untold.get(fault.file);
    untold.delete(fault.file);
    return ids === undefined ? fault : { ...fault, message: clip(`${fault.message}; until this is repaired, ${listed(ids)}`) };
  });
}

function listed(ids: readonly string[]): string {
  const shown = ids.slice(0, 3).map(formatName);
  const more = ids.length > shown.length ? ` and ${(ids.length - shown.length).toLocaleString('en-US')} more` : '';
  return `${shown.join(', ')}${more} ${ids.length === 1 ? 'stays as it was' : 'stay as they were'}`;
}

/** What a look decides about deletions. */
export interface Decided {
  /** What counts as deleted, unless an unreadable file mentions it. */
  readonly gone: readonly string[];
  /** How many deletions wait for their time. */
  readonly waiting: number;
  readonly faults: readonly Fault[];
  readonly kept: Missing['kept'];
}

/** Follows what is absent from look to look. */
export class Deletions {
  readonly #rule: FolderRule;
  readonly #absence: Absence;
  /** When each is due, as it was shown: a moment later the same time must not read a second later. */
  #shown: ReadonlyMap<string, { readonly dueMs: number; readonly at: Instant }> = new Map();

  constructor(rule: FolderRule & { readonly graceMs: number }) {
    this.#rule = rule;
    this.#absence = new Absence(rule.graceMs);
  }

  /** Takes a look. `now` and `monotonicMs` are the same moment. */
  observe(present: readonly Present[], declared: Declared, now: { readonly at: Instant; readonly monotonicMs: number }): Decided {
    const { ids, faults, kept } = findMissing(present, declared, this.#rule);
    const complete = declared.doubtful.length === 0 && !declared.blind && !declared.cut;
    const { gone, waiting } = this.#absence.observe(ids, complete, now.monotonicMs);
    const sources = new Map(present.map(({ id, source }) => [id, source]));
    // What is due at the next look is not worth a word.
    const told = waiting.filter(({ id, dueMs }) => this.#shown.has(id) || dueMs - now.monotonicMs > absenceMs);
    this.#shown = new Map(told.map((one) => [one.id, this.#due(one, now)]));
    const doubt = complete ? '' : `; this waits because ${this.#doubtIn(declared)}`;
    const announced = told.map(({ id }): Fault => {
      const at = formatInstant(this.#shown.get(id)?.at ?? now.at);
      const message = clip(
        `${formatName(id)} is not in the folder any more: it will be deleted at ${at} unless it comes back${doubt}`,
      );
      return { file: relative(this.#rule.root, sources.get(id) ?? id), message, level: 'notice', isDeletion: true };
    });
    return { gone, waiting: waiting.length, faults: [...announced, ...faults], kept };
  }

  #due({ id, dueMs }: Waiting, now: { readonly at: Instant; readonly monotonicMs: number }): { dueMs: number; at: Instant } {
    const before = this.#shown.get(id);
    return before?.dueMs === dueMs ? before : { dueMs, at: now.at + (dueMs - now.monotonicMs) };
  }

  #doubtIn({ doubtful }: Declared): string {
    const [first] = doubtful;
    return first === undefined
      ? 'the folder is not listed to its end'
      : `${relative(this.#rule.root, first)} cannot be read, and may contain it now`;
  }
}

/** What an unreadable file keeps from being deleted. */
export function heldBack(id: string, file: string): Fault {
  const message = `${formatName(id)} was removed from the folder, but this unreadable file mentions it: it stays until the file is repaired or removed`;
  return { file, message, level: 'error', isDeletion: true };
}
