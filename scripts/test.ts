// `npm test`: everything; `npm test -- unit|contract|integration|e2e [files]`: one layer. The last line is always
// "N passed, N failed, N skipped".
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { BINARIES, isAtHand, obtain } from '../test/harness/binaries.ts';
import { startBroker } from '../test/harness/broker.ts';
import { privateDir, tied } from '../test/harness/process.ts';
import { buildBundle, bundlePath } from './build.ts';
import type { Summary } from '../test/harness/reporter.ts';

const ROOT = join(import.meta.dirname, '..');
const LAYERS = ['unit', 'contract', 'integration', 'e2e'] as const;
type Layer = (typeof LAYERS)[number];

/** What needs nothing but the sources: name → program of node_modules and its arguments. */
const CHECKS: readonly (readonly [name: string, program: string, ...args: string[]])[] = [
  ['format', 'prettier/bin/prettier.cjs', '--check', '--log-level=warn', '.'],
  ['lint', 'eslint/bin/eslint.js', '--max-warnings=0', '.'],
  ['types', 'typescript/bin/tsc', '--project', 'tsconfig.json', '--noEmit'],
];

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  readonly notes: string[];
  /** What each step took, as `lint 28.1 s`. */
  readonly times: string[];
}

const isCi = process.env['CI'] === 'true';
const running = new Set<ChildProcess>();

await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const [wanted, ...filters] = args;
  const layer = LAYERS.find((one) => one === wanted);
  if (wanted !== undefined && layer === undefined) {
    process.stderr.write(`usage: npm test [-- ${LAYERS.join('|')} [files]]\n`);
    process.exit(2);
  }
  const layers: readonly Layer[] = layer === undefined ? LAYERS : [layer];
  const tally: Tally = { passed: 0, failed: 0, skipped: 0, notes: [], times: [] };
  const dir = privateDir('run');
  const stop = stopOnSignal(dir);
  const parts = layers.some((one) => one !== 'unit') ? obtainParts() : Promise.resolve([]);
  // Whoever uses the program has the bundle: so do the tests that play him.
  const bundle = layers.includes('e2e') ? buildBundle() : Promise.resolve();
  if (layers.includes('unit')) await runLayer('unit', filters, dir, tally);
  noteParts(await parts, tally);
  // Beside the layers that mostly wait for servers, and behind them in priority.
  const checks = layer === undefined ? runChecks(tally) : Promise.resolve();
  const real = layers.filter((one) => one !== 'unit');
  await bundle;
  if (layers.includes('e2e')) process.env['KEYWRIGHT_TEST_PROGRAM'] = bundlePath;
  if (real.length > 0) {
    const broker = await startBroker();
    process.env['KEYWRIGHT_TEST_PARTS_URL'] = broker.url;
    try {
      for (const one of real) await runLayer(one, filters, dir, tally);
    } finally {
      await broker.stop();
    }
  }
  await checks;
  stop();
  rmSync(dir, { recursive: true, force: true });
  process.exit(report(tally));
}

/** Has the real parts built, one after another; resolves to what is missing, a sentence each. */
async function obtainParts(): Promise<string[]> {
  const missing: string[] = [];
  const wanting = BINARIES.filter((binary) => !isAtHand(binary));
  if (wanting.length > 0) progress(`real parts to be had: ${wanting.join(', ')}`);
  for (const [index, binary] of wanting.entries()) {
    try {
      await obtain(binary, (line) => progress(`[${index + 1}/${wanting.length}] ${line}`));
    } catch (error) {
      missing.push((error as Error).message);
      progress((error as Error).message);
    }
  }
  return missing;
}

function noteParts(missing: readonly string[], tally: Tally): void {
  tally.notes.push(...missing);
  if (isCi) tally.failed += missing.length;
}

/** One after another; what one says is printed in one piece when it has ended. */
async function runChecks(tally: Tally): Promise<void> {
  for (const [name, program, ...args] of CHECKS) {
    const started = performance.now();
    const { code, output } = await runQuietly([join('node_modules', program), ...args]);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    process.stdout.write(`${output}${code === 0 ? '✓' : '✗'} ${name} ${seconds} s\n`);
    tally.times.push(`${name} ${seconds} s`);
    if (code === 0) {
      tally.passed++;
    } else {
      tally.failed++;
      tally.notes.push(`failed: ${name}`);
    }
  }
}

async function runLayer(layer: Layer, filters: readonly string[], dir: string, tally: Tally): Promise<void> {
  const started = performance.now();
  const summaryFile = join(dir, `${layer}.json`);
  const code = await run(['node_modules/vitest/vitest.mjs', 'run', '--project', layer, ...filters], {
    KEYWRIGHT_TEST_SUMMARY_FILE: summaryFile,
  });
  tally.times.push(`${layer} ${((performance.now() - started) / 1000).toFixed(1)} s`);
  if (!existsSync(summaryFile)) {
    // It ended before it could count: that is never a success.
    tally.failed++;
    tally.notes.push(`${layer}: the test runner ended with ${code} before its tests were counted`);
    return;
  }
  const summary = JSON.parse(readFileSync(summaryFile, 'utf8')) as Summary;
  tally.passed += summary.passed;
  tally.failed += summary.failed;
  tally.skipped += summary.skipped;
  tally.notes.push(...summary.missing, ...summary.failures.map((failure) => `failed: ${failure}`));
  if (code !== 0 && summary.failed === 0 && summary.missing.length === 0) {
    tally.failed++;
    tally.notes.push(`${layer}: the test runner ended with ${code} although no test failed`);
  }
}

/** Runs a program under this Node, tied to our own life. Its output is ours. */
async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  const { command, args: all } = tied(process.execPath, args);
  return ended(spawn(command, all, { cwd: ROOT, env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'] }));
}

/** The same behind everything else that wants the processor, with its output kept. */
async function runQuietly(args: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  const { command, args: all } = tied(process.execPath, args);
  const child = spawn(command, all, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return { code: await ended(child), output };
}

async function ended(child: ChildProcess): Promise<number> {
  running.add(child);
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? 1));
    });
  } finally {
    running.delete(child);
  }
}

/** A first signal ends the run; the servers end with this process. Returns how to take the handlers back. */
function stopOnSignal(dir: string): () => void {
  const stop = (): void => {
    for (const child of running) child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
    process.exit(130);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);
  return () => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
  };
}

/** Prints the notes and the last line; returns the exit code. */
function report(tally: Tally): number {
  for (const note of new Set(tally.notes)) process.stdout.write(`\n! ${note}\n`);
  const isIncomplete = isCi && tally.skipped > 0;
  if (isIncomplete) process.stdout.write(`\n! with CI=true nothing may be skipped, and ${tally.skipped} tests were\n`);
  process.stdout.write(`\n${tally.times.join(', ')}\n${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped\n`);
  return tally.failed > 0 || isIncomplete ? 1 : 0;
}

function progress(line: string): void {
  process.stderr.write(`keywright: ${line}\n`);
}
