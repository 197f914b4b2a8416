// `npm run bench -- <name>`: measures, prints a table, and exits with 1 when a goal is missed.
import { benchDecide } from '../test/bench/decide.ts';
import { benchDenials } from '../test/bench/denials.ts';
import { benchFlood } from '../test/bench/flood.ts';
import { benchManifests } from '../test/bench/manifests.ts';
import { benchRevoke } from '../test/bench/revoke.ts';
import { benchStart } from '../test/bench/start.ts';

type Bench = (print: (line: string) => void) => boolean | Promise<boolean>;
const benches: ReadonlyMap<string, Bench> = new Map<string, Bench>([
  ['decide', benchDecide],
  ['denials', benchDenials],
  ['flood', benchFlood],
  ['manifests', benchManifests],
  ['revoke', benchRevoke],
  ['start', benchStart],
]);

const [name = ''] = process.argv.slice(2);
const bench = benches.get(name);
if (bench === undefined) {
  process.stderr.write(`usage: npm run bench -- ${[...benches.keys()].join('|')}\n`);
  process.exitCode = 2;
} else {
  const met = await bench((line) => process.stdout.write(`${line}\n`));
  process.exitCode = met ? 0 : 1;
}
