import { stringify } from 'yaml';
import { admissionManifests } from '../api/admission/manifests.ts';
import { loginServiceAccount, roleManifests } from '../api/admission/roles.ts';
import { exitCodes, type CommandContext, type ExitCode } from './command.ts';

/** `keywright policies`: prints the admission policies, their bindings, the roles and the ServiceAccount for Vault, for `kubectl apply -f -`. */
export async function runPolicies(context: CommandContext): Promise<ExitCode> {
  const { namespace } = context.environment;
  const manifests = [...admissionManifests(namespace), ...roleManifests(namespace), loginServiceAccount(namespace)];
  const documents = manifests.map((one) => stringify(one, { lineWidth: 0, aliasDuplicateObjects: false }));
  context.print(documents.join('---\n'));
  return exitCodes.stopped;
}
