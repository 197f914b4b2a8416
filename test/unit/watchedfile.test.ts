import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { WatchedFile, watchedFileMaxLength, watchFile } from '../../operator/src/watchedfile.ts';
import { FakeClock } from '../harness/fakes/clock.ts';

let folder: string;
const at = (...names: readonly string[]): string => join(folder, ...names);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keywright-watched-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Accepts what begins with "good". */
function open(...names: readonly string[]): Promise<WatchedFile<string>> {
  const accept = (texts: readonly string[]): string => {
    const bad = texts.findIndex((text) => !text.startsWith('good'));
    if (bad !== -1) throw new Error(`${names[bad] ?? ''}: not good`);
    return texts.join('+');
  };
  return WatchedFile.open({ name: 'test', paths: names.map((name) => at(name)), accept });
}

describe('a watched file', () => {
  test('takes over a new content, and tells who listens what changed', async () => {
    await writeFile(at('a'), 'good 1');
    const file = await open('a');
    const changes: string[] = [];
    file.onChange((before, after) => changes.push(`${before} > ${after}`));
    expect([await file.refresh(), file.value]).toEqual(['same', 'good 1']);
    await writeFile(at('a'), 'good 2');
    expect([await file.refresh(), file.value]).toEqual(['changed', 'good 2']);
    expect(changes).toEqual(['good 1 > good 2']);
  });

  test('follows a mounted Secret, which kubelet swaps by the link ..data', async () => {
    const generation = async (name: string, text: string): Promise<void> => {
      await mkdir(at(name));
      await writeFile(at(name, 'token'), text);
      await symlink(name, at('..data_tmp'));
      await rename(at('..data_tmp'), at('..data'));
    };
    await generation('..1', 'good 1');
    await symlink(join('..data', 'token'), at('token'));
    const file = await open('token');
    await generation('..2', 'good 2');
    await rm(at('..1'), { recursive: true });
    expect([await file.refresh(), file.value]).toEqual(['changed', 'good 2']);
  });

  test('counts files that belong together only together', async () => {
    await Promise.all([writeFile(at('a'), 'good a1'), writeFile(at('b'), 'good b1')]);
    const file = await open('a', 'b');
    await Promise.all([writeFile(at('a'), 'good a2'), writeFile(at('b'), 'half of')]);
    await expect(file.refresh()).rejects.toThrow('b: not good');
    expect(file.value).toBe('good a1+good b1');
    await writeFile(at('b'), 'good b2');
    await file.refresh();
    expect(file.value).toBe('good a2+good b2');
  });

  test('keeps the last good content while the file is gone, and names it', async () => {
    await writeFile(at('a'), 'good');
    const file = await open('a');
    await rm(at('a'));
    await expect(file.refresh()).rejects.toThrow(`${at('a')} cannot be read: there is no such file`);
    expect(file.value).toBe('good');
  });

  test('reads neither a pipe, which would never answer, nor a device nor a folder nor more than 1 MiB', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    await mkdir(at('folder'));
    await symlink('/dev/zero', at('device'));
    await writeFile(at('large'), '');
    await truncate(at('large'), watchedFileMaxLength + 1);
    for (const name of ['pipe', 'folder', 'device'])
      await expect(open(name)).rejects.toThrow(`${at(name)} cannot be read: it is not a regular file`);
    await expect(open('large')).rejects.toThrow(`${at('large')} cannot be read: it is larger than 1 MiB`);
  });
});

describe('watching', () => {
  test('reports each change once, a lasting failure once, and its end; and stops when asked', async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    await writeFile(at('a'), 'good 1');
    const file = await open('a');
    const seen: string[] = [];
    let refreshed = (): void => {};
    // Each refresh, also one that reports nothing.
    const observed = {
      name: file.name,
      paths: file.paths,
      refresh: () => file.refresh().finally(() => setImmediate(() => refreshed())),
    };
    const watching = watchFile(observed, {
      clock,
      everyMs: 2_000,
      signal: stop.signal,
      report: (outcome, error) => seen.push(error instanceof Error ? `${outcome}: ${error.message}` : outcome),
    });
    const round = async (text: string): Promise<void> => {
      await writeFile(at('a'), text);
      const done = new Promise<void>((resolve) => (refreshed = resolve));
      await clock.advance(2_000);
      await done;
    };
    for (const text of ['good 1', 'bad', 'bad', 'worse', 'good 1', 'good 2']) await round(text);
    expect(seen).toEqual(['failed: a: not good', 'recovered', 'changed']);
    stop.abort();
    await watching;
    expect(clock.sleepers()).toBe(0);
  });
});
