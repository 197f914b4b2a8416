import { stringify } from 'yaml';
import { toCrd } from '../api/crd.ts';
import { apiKinds } from '../api/kinds.ts';
import { exitCodes, type CommandContext, type ExitCode } from './command.ts';

/** `keywright crds`: prints the CustomResourceDefinitions of this version, for `kubectl apply --server-side -f -`. */
export async function runCrds(context: CommandContext): Promise<ExitCode> {
  const documents = apiKinds.map((kind) => stringify(toCrd(kind), { lineWidth: 0, aliasDuplicateObjects: false }));
  context.print(documents.join('---\n'));
  return exitCodes.stopped;
}
