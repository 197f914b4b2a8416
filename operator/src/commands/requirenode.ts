import { exitCodes } from './command.ts';
import { nodeFault } from './runtime.ts';

// The first import of main.ts: it ends the process before any other module is evaluated, some of which fail on an old Node
// in ways that tell nobody why.
const fault = nodeFault(process.versions.node);
if (fault !== undefined) {
  process.stderr.write(`keywright: ${fault}\n`);
  process.exit(exitCodes.badConfiguration);
}
