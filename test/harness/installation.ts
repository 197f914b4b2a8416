import { request } from 'undici';
import type { ChartValues } from '../../scripts/chart/values.ts';
import { chartPath } from './chart.ts';
import { Helm, type HelmOptions, type HelmResult } from './helm.ts';
import { programImage } from './image.ts';
import type { Kube } from './kube.ts';
import { Kubelet, type ContainerImage, type RunningPod } from './kubelet.ts';
import { hostsWith, postgresImage } from './postgresimage.ts';
import type { VerifyAnswer } from './program.ts';
import { until } from './until.ts';

/** Keywright in a cluster of the tests, installed by Helm, with a kubelet that runs its Pods. */
export class Installation {
  readonly kube: Kube;
  readonly helm: Helm;
  readonly kubelet: Kubelet;
  readonly namespace: string;
  /** Where the chart under test lies. */
  readonly chart = chartPath;
  /** The loopback address of the PostgreSQL that the chart starts. */
  readonly postgresAddress: string;

  private constructor(kube: Kube, helm: Helm, kubelet: Kubelet, where: { namespace: string; postgresAddress: string }) {
    const { namespace, postgresAddress } = where;
    this.postgresAddress = postgresAddress;
    this.kube = kube;
    this.helm = helm;
    this.kubelet = kubelet;
    this.namespace = namespace;
  }

  /** Makes the namespace unless somebody else does, and begins to run what comes there; installs nothing. */
  static async open(kube: Kube, { createNamespace = true } = {}): Promise<Installation> {
    const namespace = 'keywright-system';
    if (createNamespace) await kube.kubectl(['create', 'namespace', namespace]);
    // Port 5432 of 127.0.0.1 may be somebody's; of this one it is not.
    const address = `127.${(process.pid >> 16) + 1}.${(process.pid >> 8) & 255}.${process.pid & 255}`;
    const hosts = hostsWith(address, [`keywright-postgres.${namespace}.svc`]);
    const imageOf = (image: string): ContainerImage | undefined => {
      if (image.startsWith('postgres:')) return postgresImage(address);
      // Wherever the registry is.
      if (!/(?:^|\/)keywright[:@]/.test(image)) return undefined;
      const program = programImage();
      return { ...program, mounts: [...program.mounts, hosts] };
    };
    const kubelet = await Kubelet.start({ kube, namespace, imageOf });
    return new Installation(kube, await Helm.open(kube), kubelet, { namespace, postgresAddress: address });
  }

  /** `helm install` or `upgrade` of the chart under test; waits for its Pods. A failure shows what they logged. */
  async apply(verb: 'install' | 'upgrade', values: ChartValues, args: readonly string[] = []): Promise<HelmResult> {
    const all = [verb, 'keywright', chartPath, '--namespace', this.namespace, '--wait', '--timeout', '90s', ...args];
    return await this.run(all, { values });
  }

  /** Another command of Helm. */
  async run(args: readonly string[], options: HelmOptions = {}): Promise<HelmResult> {
    try {
      return await this.helm.run(args, options);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.whatHappened()}`, { cause: error });
    }
  }

  /** The Pods of a component that run and are not on their way out. */
  running(component: 'operator' | 'authorizer' | 'postgres'): readonly RunningPod[] {
    return this.kubelet.running(component);
  }

  /** Waits until a Pod of the component has logged a text. */
  async logs(component: 'operator' | 'authorizer', text: string): Promise<void> {
    const isThere = () => this.running(component).some((pod) => pod.log().includes(text));
    await until(isThere, { what: `the log of the ${component}: ${text}`, deadlineMs: 30_000 });
  }

  /** The entry of a Secret of the release namespace. */
  async secretEntry(name: string, entry: string): Promise<string> {
    const { body } = await this.kube.request('GET', `/api/v1/namespaces/${this.namespace}/secrets/${name}`);
    const { data = {} } = body as { data?: Readonly<Record<string, string>> };
    return Buffer.from(data[entry] ?? '', 'base64').toString();
  }

  /** Asks one of the authorizers that are ready, as the Service would choose it, with the caller token of the chart. */
  async verify(key: string, asked: Readonly<Record<string, string>>): Promise<VerifyAnswer> {
    const caller = await this.secretEntry('keywright-callers', 'token');
    for (const pod of this.running('authorizer').filter(({ isReady }) => isReady)) {
      const answer = await request(`${pod.url('http')}/v1/verify`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'keywright-caller': caller },
        body: JSON.stringify({ key, request: { method: 'GET', scheme: 'https', ...asked } }),
        signal: AbortSignal.timeout(10_000),
      });
      return (await answer.body.json()) as VerifyAnswer;
    }
    throw new Error(`no authorizer is ready\n${this.whatHappened()}`);
  }

  /** Ends all processes; the cluster stays as it is. */
  async close(): Promise<void> {
    await this.kubelet.stop();
  }

  /** What the Pods logged last, and what kept others from starting: for a failing test's message. */
  whatHappened(): string {
    const logs = this.kubelet.running().map((pod) => `${pod.name}:\n${pod.log().split('\n').slice(-15).join('\n')}`);
    return [this.kubelet.failures(), ...logs].join('\n');
  }
}
