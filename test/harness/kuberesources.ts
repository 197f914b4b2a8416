import { systemClock } from '../../operator/src/domain/time.ts';
import { openKubeResources, type KubeResources, type KubeResourcesInit } from '../../operator/src/resources/kube/resources.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';

/** The resources of a real API server as the program opens them; what a test does not say is as here. The caller closes them. */
export function openTestResources(init: Partial<KubeResourcesInit> & { readonly kubeconfig: string }): Promise<KubeResources> {
  return openKubeResources({ clock: systemClock, log: silentLog, identity: 'test', random: Math.random, ...init });
}
