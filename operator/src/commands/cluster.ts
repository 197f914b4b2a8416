import { KubeconfigFault } from '../resources/kube/kubeconfigfile.ts';
import { openKubeResources, type KubeResources, type KubeResourcesInit } from '../resources/kube/resources.ts';
import { CommandFault, systemChance, type CommandContext } from './command.ts';

/** Opens the cluster of KUBECONFIG, or of the Pod. Throws {@link CommandFault} when there is none. */
export async function openCluster(
  { clock, log, environment }: CommandContext,
  more: Pick<KubeResourcesInit, 'namespaces' | 'secretNamespaces' | 'onCall'>,
): Promise<KubeResources> {
  const { kubeconfig, hostname } = environment;
  const where = kubeconfig === undefined ? {} : { kubeconfig };
  const opened = openKubeResources({ clock, log, identity: hostname, random: systemChance, ...where, ...more });
  return await opened.catch((error: unknown) => {
    log.debug('kubeconfig refused', { failure: error instanceof Error ? error.name : 'unknown' });
    // Any other text may quote a file of the user's, which may hold tokens.
    const why = error instanceof KubeconfigFault ? error.message : 'it must be a readable kubeconfig with a current context';
    throw new CommandFault(
      kubeconfig === undefined
        ? 'there is no cluster to work on: set KUBECONFIG, or run in a Pod with a ServiceAccount'
        : `KUBECONFIG=${kubeconfig} cannot be used: ${why}`,
    );
  });
}
