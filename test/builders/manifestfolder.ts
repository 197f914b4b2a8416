import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { openFilesResources, type FilesResources } from '../../operator/src/resources/files/files.ts';
import type { ManifestParser } from '../../operator/src/resources/files/parser.ts';
import type { ResourceEvent } from '../../operator/src/resources/port.ts';
import { silentLog, type Log } from '../../operator/src/telemetry/log.ts';
import { FakeClock } from '../harness/fakes/clock.ts';
import { directParser } from '../harness/fakes/parser.ts';
import { keySpecText } from './keytext.ts';

/** Long after any file was written, so that a file counts at the first look. */
export const later = Date.parse('2100-01-01T00:00:00Z');

/** Resources over the folder, as they run. */
export interface Running {
  readonly files: FilesResources;
  readonly events: ResourceEvent[];
  /** Lets `ms` pass, and the look that falls into it end. */
  readonly pass: (ms: number) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** What a run differs in from the ordinary one. */
export interface RunOptions {
  readonly prune?: boolean;
  /** Default: none, so that a deletion counts after two looks. */
  readonly deletionGraceMs?: number;
  readonly folder?: string;
  readonly clock?: FakeClock;
  readonly parser?: ManifestParser;
  readonly log?: Log;
}

/** A manifests folder and a data folder of each test of a file. */
export interface TestFolder {
  base: string;
  manifests: string;
  data: string;
  readonly run: (options?: RunOptions) => Promise<Running>;
  readonly put: (file: string, text: string) => Promise<void>;
}

/** Makes them before each test, and ends and removes everything after it. */
export function useFolder(): TestFolder {
  let running: Running[] = [];
  const folder: TestFolder = {
    base: '',
    manifests: '',
    data: '',
    run: async (options = {}) => {
      const one = await open(folder, options);
      running.push(one);
      return one;
    },
    put: async (file, text) => {
      const path = join(folder.manifests, file);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
    },
  };
  beforeEach(async () => {
    folder.base = await mkdtemp(join(tmpdir(), 'keywright-files-'));
    folder.manifests = join(folder.base, 'manifests');
    folder.data = join(folder.base, 'data');
    await mkdir(folder.manifests);
    await mkdir(folder.data);
    running = [];
  });
  afterEach(async () => {
    for (const one of running) await one.stop();
    await rm(folder.base, { recursive: true, force: true });
  });
  return folder;
}

async function open(place: TestFolder, options: RunOptions): Promise<Running> {
  const { clock = new FakeClock(later), folder, prune = false, deletionGraceMs = 0 } = options;
  const { parser = directParser, log = silentLog } = options;
  const abort = new AbortController();
  const events: ResourceEvent[] = [];
  const files = await openFilesResources({
    ...{ manifestsFolder: folder ?? place.manifests, dataFolder: place.data },
    ...{ clock, log, prune, deletionGraceMs, parser },
  });
  files.subscribe((event) => events.push(event));
  let started = false;
  const start = files.start(abort.signal).then(() => (started = true));
  const asleep = async (): Promise<void> => {
    while (clock.sleepers() === 0) await new Promise((resolve) => setImmediate(resolve));
  };
  for (;;) {
    await asleep();
    if (started) break;
    await clock.advance(120);
  }
  await start;
  return {
    files,
    events,
    pass: async (ms) => {
      await asleep();
      await clock.advance(ms);
      await asleep();
    },
    stop: async () => {
      abort.abort();
      await files.idle();
    },
  };
}

/** A manifest of an ApiKey that is fine; `more` stands in its spec. */
export function keyText(name: string, more = ''): string {
  return `apiVersion: keywright.dev/v1alpha1
kind: ApiKey
metadata:
  name: ${name}
spec:
${keySpecText({ displayName: name, secret: name })}${more}`;
}

/** Its name, for {@link FilesResources}. */
export const refOf = (name: string) => ({ namespace: 'default', name });

/** All faults as one line each. */
export function messagesOf(files: FilesResources): readonly string[] {
  return files.faults().map(({ file, line, message }) => `${file}:${line ?? ''} ${message}`);
}
