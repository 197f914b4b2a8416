import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { buildBundle, bundlePath } from '../../scripts/build.ts';
import { privateDir } from '../harness/process.ts';

const root = join(import.meta.dirname, '..', '..');
/** What is aimed at: seconds, where bare Node takes 20 ms. */
const goal = { seconds: 0.4, floorSeconds: 0.02 };
const rounds = 15;

/**
 * How long the program takes to print its help: the bundle, the bundle with a compile cache, and the sources, against Node that
 * does nothing. Interleaved, and the least of each counts. Prints a table; `false` = the goal was missed.
 */
export async function benchStart(print: (line: string) => void): Promise<boolean> {
  await buildBundle();
  const cache = privateDir('compile-cache');
  const bundle = ['--enable-source-maps', bundlePath, '--help'];
  const cases = [
    { name: 'node -e 0', args: ['-e', '0'], env: {} },
    { name: 'bundle', args: bundle, env: {} },
    { name: 'bundle, cached', args: bundle, env: { NODE_COMPILE_CACHE: cache } },
    { name: 'sources', args: [join(root, 'operator', 'src', 'main.ts'), '--help'], env: {} },
  ];
  const best = new Map<string, number>();
  for (let round = 0; round < rounds; round += 1) {
    for (const { name, args, env } of cases) {
      const started = performance.now();
      spawnSync(process.execPath, args, { env, stdio: 'ignore' });
      best.set(name, Math.min(best.get(name) ?? Infinity, (performance.now() - started) / 1000));
    }
  }
  const floor = best.get('node -e 0') ?? Infinity;
  for (const [name, seconds] of best)
    print(`${name.padEnd(16)}${seconds.toFixed(3).padStart(7)} s${(seconds / floor).toFixed(1).padStart(7)} x`);
  return (best.get('bundle') ?? Infinity) / floor < goal.seconds / goal.floorSeconds;
}
