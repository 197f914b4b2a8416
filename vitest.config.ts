import { defineConfig } from 'vitest/config';
import { suitesReporter } from './test/harness/reporter.ts';
import { patience } from './test/harness/until.ts';

/** One project per layer, each a folder under test/. Only `unit` runs without real parts. */
function layer(name: string, options: { real: boolean; timeoutMs: number; workers?: number }): object {
  return {
    test: {
      name,
      include: [`test/${name}/**/*.test.ts`],
      testTimeout: options.timeoutMs * patience,
      hookTimeout: (options.real ? 240_000 : 10_000) * patience,
      // One process per file; two at a time is what a small machine carries beside an API server. Stories of e2e mostly wait.
      pool: 'forks',
      setupFiles: ['test/harness/setup.ts'],
      maxWorkers: options.workers ?? 2,
      ...(options.real ? { globalSetup: ['test/harness/global-setup.ts'] } : {}),
    },
  };
}

export default defineConfig({
  test: {
    reporters: ['default', suitesReporter()],
    passWithNoTests: true,
    projects: [
      layer('unit', { real: false, timeoutMs: 30_000 }),
      layer('contract', { real: true, timeoutMs: 30_000 }),
      layer('integration', { real: true, timeoutMs: 180_000 }),
      layer('e2e', { real: true, timeoutMs: 300_000, workers: 4 }),
    ],
  },
});
