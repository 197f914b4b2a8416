import { exitCodes } from './command.ts';
import { nodeFault } from './runtime.ts';

// The first import of main.ts: it ends the process before any other module is evaluated. On an old Node, some of those fail with
// obscure errors.
const fault = nodeFault(process.versions.node);
if (fault !== undefined) {
  process.stderr.write(`keywright: ${fault}\n`);
  process.exit(exitCodes.badConfiguration);
}
