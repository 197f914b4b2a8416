import { setPriority } from 'node:os';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { parseBytes } from './parser.ts';
import type { ParsedFile } from './parser.ts';

/** Marks a manifest worker: the bundle is a single file, so every thread starts with the same code and needs to know its role. */
const role = 'keywright-manifests';

/**
 * The memory for parsing one file, in MiB. The worst known 1 MB (`npm run bench -- manifests`) needs more: the worker ends,
 * nothing else does, and the file is refused. An ordinary file of 4 MB needs 200 MB.
 */
const limits = { maxOldGenerationSizeMb: 384, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 } as const;

/**
 * Starts a thread that answers each posted `Uint8Array` with its {@link ParsedFile}, in order. It does not keep the process
 * alive.
 */
export function startManifestWorker(): Worker {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: role,
    resourceLimits: limits,
    // It needs nothing of this process: no environment, no flags, no output.
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

/** For this thread only, as on Linux (setpriority(2), NPTL), so that a busy machine answers verdicts first. */
const niceness = 10;

if (isManifestWorker) {
  setPriority(niceness);
  parentPort?.on('message', (bytes: Uint8Array) => {
    parentPort?.postMessage(parseBytes(bytes) satisfies ParsedFile);
  });
}
