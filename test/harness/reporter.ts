import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, SerializedError, TestModule, TestSuite } from 'vitest/node';
import type { PartUse } from './broker.ts';

/** What one run of vitest came to; `npm test` adds these up. */
export interface Summary {
  readonly passed: number;
  readonly failed: number;
  /** Tests that were skipped, and suites whose real part is not there (one each). */
  readonly skipped: number;
  /** Why suites were skipped, a sentence each. */
  readonly missing: readonly string[];
  /** Each failed test with the first line of its error: said once more at the end of a long run. */
  readonly failures: readonly string[];
}

interface Count {
  passed: number;
  failed: number;
  skipped: number;
  missing: Set<string>;
  failures: string[];
}

/** Prints each suite with the real parts it ran against, and writes the {@link Summary} for `npm test`. */
class SuitesReporter implements Reporter {
  async onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): Promise<void> {
    const uses = await readUses(modules);
    const total: Count = { passed: 0, failed: errors.length, skipped: 0, missing: new Set(), failures: errors.map(firstLine) };
    const lines = modules.map((module) => describe(module, countModule(module), uses));
    for (const module of modules) add(total, countModule(module));
    if (modules.length > 0) process.stdout.write(`\nSuites and the parts they ran against\n${lines.sort().join('\n')}\n`);
    const summaryFile = process.env['KEYWRIGHT_TEST_SUMMARY_FILE'];
    if (summaryFile === undefined) return;
    const summary: Summary = { ...total, missing: [...total.missing] };
    writeFileSync(summaryFile, JSON.stringify(summary));
  }
}

/** Made by vitest's configuration. */
export function suitesReporter(): Reporter {
  return new SuitesReporter();
}

function countModule(module: TestModule): Count {
  const count: Count = { passed: 0, failed: 0, skipped: 0, missing: new Set(), failures: [] };
  const file = relative(process.cwd(), module.moduleId);
  for (const test of module.children.allTests()) {
    const { state, errors = [] } = test.result();
    if (state === 'passed') count.passed++;
    else if (state === 'failed') count.failed++;
    else count.skipped++;
    if (state === 'failed') count.failures.push(`${file} > ${test.fullName}: ${errors.slice(0, 1).map(firstLine).join('')}`);
  }
  for (const error of [...module.errors(), ...suiteErrors([...module.children.allSuites()])]) {
    if (error.name === 'PartMissing') {
      count.missing.add(error.message);
      // A file that could not be read to its end has no tests to count.
      if (module.children.size === 0) count.skipped++;
      if (process.env['CI'] === 'true') count.failed++;
    } else {
      count.failed++;
      count.failures.push(`${file}: ${firstLine(error)}`);
    }
  }
  return count;
}

function firstLine(error: SerializedError): string {
  return (error.message.split('\n')[0] ?? '').slice(0, 300);
}

function suiteErrors(suites: readonly TestSuite[]): SerializedError[] {
  return suites.flatMap((suite) => [...suite.errors()]);
}

function describe(module: TestModule, count: Count, uses: readonly PartUse[]): string {
  const file = relative(process.cwd(), module.moduleId);
  const parts = [...new Set(uses.filter((use) => use.suite === module.moduleId).map((use) => use.part))];
  const against =
    count.missing.size > 0 ? [...count.missing].join('; ') : parts.length > 0 ? parts.join(', ') : 'nothing outside the process';
  return `  ${file}  ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped  → ${against}`;
}

function add(total: Count, count: Count): void {
  total.passed += count.passed;
  total.failed += count.failed;
  total.skipped += count.skipped;
  for (const message of count.missing) total.missing.add(message);
  total.failures.push(...count.failures);
}

/** From the brokers of the projects that ran; a project without one (unit) has no parts. */
async function readUses(modules: readonly TestModule[]): Promise<PartUse[]> {
  const urls = new Set(modules.map((module) => module.project.getProvidedContext().partsUrl as string | undefined));
  const uses: PartUse[] = [];
  for (const url of urls) {
    if (url !== undefined) uses.push(...((await (await fetch(`${url}/used`)).json()) as PartUse[]));
  }
  return uses;
}
