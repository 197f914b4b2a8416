import { benchTarpits } from '../test/bench/tarpits.ts';
await benchTarpits((line) => process.stdout.write(line + '\n'));
