// `npm run bench -- <name>`: measures, prints a table, and exits with 1 when a goal is missed.
import { benchDecide } from '../test/bench/decide.ts';

const benches: ReadonlyMap<string, (print: (line: string) => void) => boolean> = new Map([['decide', benchDecide]]);

const [name = ''] = process.argv.slice(2);
const bench = benches.get(name);
if (bench === undefined) {
  process.stderr.write(`usage: npm run bench -- ${[...benches.keys()].join('|')}\n`);
  process.exitCode = 2;
} else {
  const met = bench((line) => process.stdout.write(`${line}\n`));
  process.exitCode = met ? 0 : 1;
}
