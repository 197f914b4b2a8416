import { setPriority } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { parseBytes } from './parser.ts';
import type { ParsedFile } from './parser.ts';

/** What a worker of ours is started with: the bundle is one file, which begins as any thread's. */
const role = 'keywright-manifests';

/**
 * What reading one file may use, in MiB. The worst 1 MB that was found (`npm run bench -- manifests`) needs
 * more, and is refused: the worker ends, and nothing else. An honest file of 4 MB needs 200 MB.
 */
const limits = { maxOldGenerationSizeMb: 384, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 } as const;

/** Starts a thread that answers each posted `Uint8Array` with its {@link ParsedFile}, in order. It keeps no process alive. */
export function startManifestWorker(): Worker {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: role,
    resourceLimits: limits,
    // Nothing of this process is needed: no environment, no flags, no output of its own.
    env: {},
    execArgv: [],
    stdout: true,
    stderr: true,
  });
  worker.unref();
  return worker;
}

/** Whether this thread is such a worker, so that the program must not begin in it. */
export const isManifestWorker: boolean = !isMainThread && workerData === role;

/** Of this thread alone, as Linux has it (setpriority(2), NPTL): a busy machine answers verdicts first. */
const niceness = 10;

if (isManifestWorker) {
  setPriority(niceness);
  parentPort?.on('message', (bytes: Uint8Array) => {
    parentPort?.postMessage(parseBytes(bytes) satisfies ParsedFile);
  });
}
