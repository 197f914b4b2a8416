import { createHash } from 'node:crypto';
import type { Mark } from '../../domain/version.ts';
import { formatMark, parseMark } from '../condition.ts';
import type { Reading } from '../port.ts';
import { noVault } from '../untrusted.ts';

const prefix = 'keywright-';
const announces = `${prefix}announces`;

/** What KV v2 keeps of a path besides the values (`GET <mount>/metadata/<path>`). */
export interface Metadata {
  /** 0 when only metadata was written so far. It is also what `cas` compares with. */
  readonly currentVersion: number;
  /** Whether the current version has a value: it exists and is neither deleted nor destroyed. */
  readonly live: boolean;
  /** Numbers of all versions whose value was not destroyed. */
  readonly undestroyed: readonly number[];
  readonly customMetadata: Readonly<Partial<Record<string, string>>>;
  /** Tells a path from one that was removed and made anew under the same name. */
  readonly createdTime: string;
}

/** Reads the answer of the metadata endpoint. Throws DestinationUnavailable when it has another shape. */
export function parseMetadata(body: unknown): Metadata {
  const data = member(body, 'data');
  const currentVersion = member(data, 'current_version');
  const versions = member(data, 'versions') ?? {};
  const customMetadata = member(data, 'custom_metadata') ?? {};
  const createdTime = member(data, 'created_time');
  if (typeof currentVersion !== 'number' || !Number.isSafeInteger(currentVersion) || currentVersion < 0) throw garbage();
  if (typeof createdTime !== 'string' || !isObject(versions) || !isObject(customMetadata)) throw garbage();
  const undestroyed = Object.entries(versions).filter(([, one]) => member(one, 'destroyed') !== true);
  const current = undestroyed.find(([number]) => number === String(currentVersion))?.[1];
  const texts = Object.entries(customMetadata).filter((pair): pair is [string, string] => typeof pair[1] === 'string');
  return {
    currentVersion,
    live: current !== undefined && !member(current, 'deletion_time'),
    undestroyed: undestroyed.map(([number]) => Number(number)),
    customMetadata: Object.fromEntries(texts),
    createdTime,
  };
}

/** What stands at a path. `undefined` = 404. */
export function readingOf(metadata: Metadata | undefined): Reading {
  if (metadata === undefined) return { kind: 'absent', revision: 'absent' };
  const revision = revisionOf(metadata);
  const mark = markOf(metadata);
  if (mark === undefined) {
    // Metadata that somebody prepared is his, also before he has written a value; bare metadata is nobody's.
    const bare = metadata.currentVersion === 0 && Object.keys(metadata.customMetadata).length === 0;
    return bare ? { kind: 'absent', revision } : { kind: 'unmarked', revision };
  }
  const announced = Number(metadata.customMetadata[announces]);
  const carries = metadata.live && announced === metadata.currentVersion;
  return { kind: 'marked', mark, carries, providerVersion: String(metadata.currentVersion), revision };
}

/** The custom metadata that says: version `version` is ours, and is this key. At most 512 bytes a value, as Vault demands. */
export function announcement(mark: Mark, version: number): Readonly<Record<string, string>> {
  const texts = Object.entries(formatMark(mark)).map(([name, text]) => [`${prefix}${name}`, text] as const);
  return { ...Object.fromEntries(texts), [announces]: String(version) };
}

/** An answer that is JSON, but not Vault's. */
export function garbage(): Error {
  return noVault({ class: 'answer', text: 'the answer has an unknown shape; is the mount a KV engine of version 2?' });
}

/** A member of what should be an object; `undefined` for anything else. */
export function member(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function markOf(metadata: Metadata): Mark | undefined {
  const ours = Object.entries(metadata.customMetadata).filter(([name]) => name.startsWith(prefix));
  return parseMark(Object.fromEntries(ours.map(([name, text]) => [name.slice(prefix.length), text])));
}

function revisionOf(metadata: Metadata): string {
  const texts = JSON.stringify(Object.entries(metadata.customMetadata).sort(([a], [b]) => (a < b ? -1 : 1)));
  const digest = createHash('sha256').update(texts).digest('hex').slice(0, 12);
  return `${metadata.currentVersion}/${metadata.live ? 'live' : 'gone'}/${metadata.createdTime}/${digest}`;
}
