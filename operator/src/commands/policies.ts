import { stringify } from 'yaml';
import { admissionPolicy, admissionPolicyBinding } from '../api/admission/policy.ts';
import { loginServiceAccount, roleManifests } from '../api/admission/roles.ts';
import { exitCodes, type CommandContext, type ExitCode } from './command.ts';

/** `keywright policies`: prints the admission policy, its binding, the roles and the ServiceAccount for Vault, for `kubectl apply -f -`. */
export async function runPolicies(context: CommandContext): Promise<ExitCode> {
  const { namespace } = context.environment;
  const manifests = [admissionPolicy(), admissionPolicyBinding(), ...roleManifests(namespace), loginServiceAccount(namespace)];
  const documents = manifests.map((one) => stringify(one, { lineWidth: 0, aliasDuplicateObjects: false }));
  context.print(documents.join('---\n'));
  return exitCodes.stopped;
}
