import { request } from 'undici';
import { setTimeout as delay } from 'node:timers/promises';
import { startContainer, type Mount } from './container.ts';
import type { Kube } from './kube.ts';
import { mountsOf, variablesOf, type Pod, type PodContainer } from './pods.ts';
import { freePort } from './ports.ts';
import { privateDir, type ServerProcess } from './process.ts';

/** What stands for an image: its files, its environment, and what it starts. */
export interface ContainerImage {
  readonly entrypoint: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly Mount[];
  /** STOPSIGNAL; default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
}

/** What a {@link Kubelet} needs. */
export interface KubeletOptions {
  readonly kube: Kube;
  /** The one namespace whose Pods it runs. */
  readonly namespace: string;
  /** The images that it has; a Pod of another one is said to run, and nothing runs. */
  readonly imageOf: (image: string) => ContainerImage | undefined;
}

/** A Pod whose process runs, or has run. */
export interface RunningPod {
  readonly name: string;
  readonly component: string;
  /** What its probe said last. */
  readonly isReady: boolean;
  /** Where a named port of it answers on this machine. */
  url(port: string): string;
  /** Everything that it logged. */
  log(): string;
  readonly process: ServerProcess | undefined;
}

const node = 'kubelet-of-the-tests';
const loopMs = 150;
const restartMs = 300;

/**
 * Plays scheduler and kubelet for one namespace: binds its Pods, runs their init containers, starts their container with the rendered arguments,
 * environment, volumes and ServiceAccount token, says what the readiness probe says, starts again what ended, and ends what is
 * deleted. What it changes is the address of a listener: `:8080` becomes loopback and a free port, as a port mapping would.
 * preStop is not waited for, and a probe that would run a program says yes.
 */
export class Kubelet {
  readonly #options: KubeletOptions;
  readonly #pods = new Map<string, Slot>();
  readonly #claims = privateDir('claims');
  readonly #failures: string[] = [];
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  private constructor(options: KubeletOptions) {
    this.#options = options;
  }

  static async start(options: KubeletOptions): Promise<Kubelet> {
    const body = { apiVersion: 'v1', kind: 'Node', metadata: { name: node } };
    const answer = await options.kube.request('POST', '/api/v1/nodes', { body });
    if (answer.status !== 201 && answer.status !== 409) throw new Error(`no node: ${JSON.stringify(answer.body)}`);
    const kubelet = new Kubelet(options);
    kubelet.#loop = kubelet.#run();
    return kubelet;
  }

  /** The Pods that run now, of one component or all. */
  running(component?: string): readonly RunningPod[] {
    const all = [...this.#pods.values()].filter((slot) => !slot.isEnding);
    return component === undefined ? all : all.filter((slot) => slot.component === component);
  }

  /** What went wrong while Pods were started: for a failing test's message. */
  failures(): string {
    return this.#failures.join('\n');
  }

  /** Ends all processes; their Pods stay as they are. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await Promise.all([...this.#pods.values()].map((slot) => slot.end()));
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#look().catch((error: unknown) => this.#failures.push((error as Error).message));
      await delay(loopMs);
    }
  }

  async #look(): Promise<void> {
    const { kube, namespace } = this.#options;
    const answer = await kube.request('GET', `/api/v1/namespaces/${namespace}/pods`);
    if (answer.status !== 200) return;
    const { items } = answer.body as { items: readonly Pod[] };
    for (const pod of items) {
      const known = this.#pods.get(pod.metadata.uid);
      if (known !== undefined) await known.follow(pod);
      else if (pod.metadata.deletionTimestamp === undefined) this.#pods.set(pod.metadata.uid, await this.#begin(pod));
    }
    const present = new Set(items.map(({ metadata }) => metadata.uid));
    for (const [uid, slot] of this.#pods) {
      if (present.has(uid)) continue;
      this.#pods.delete(uid);
      // Without a graceful deletion: a namespace that goes, or somebody in a hurry.
      void slot.end();
    }
  }

  async #begin(pod: Pod): Promise<Slot> {
    const { kube, imageOf } = this.#options;
    const path = `/api/v1/namespaces/${pod.metadata.namespace}/pods/${pod.metadata.name}`;
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name: pod.metadata.name },
      target: { kind: 'Node', name: node },
    };
    if (pod.spec.nodeName === undefined) await kube.request('POST', `${path}/binding`, { body: binding });
    const [container] = pod.spec.containers;
    if (container === undefined) throw new Error(`${pod.metadata.name} has no container`);
    const shared = { kube, path, pod, container, imageOf, claims: this.#claims, failures: this.#failures };
    const slot = new Slot({ ...shared, image: imageOf(container.image) });
    void slot.start();
    return slot;
  }
}

interface SlotInit {
  readonly kube: Kube;
  readonly path: string;
  readonly pod: Pod;
  readonly container: PodContainer;
  readonly image: ContainerImage | undefined;
  readonly imageOf: KubeletOptions['imageOf'];
  /** Where the volumes lie that outlive it. */
  readonly claims: string;
  readonly failures: string[];
}

/** One Pod, and the process of its container. */
class Slot implements RunningPod {
  readonly name: string;
  readonly component: string;
  process: ServerProcess | undefined;
  isEnding = false;
  readonly #init: SlotInit;
  readonly #logs: ServerProcess[] = [];
  readonly #ports = new Map<string, number>();
  #told: boolean | undefined;
  #restarts = 0;
  #starting: Promise<void> = Promise.resolve();

  constructor(init: SlotInit) {
    this.#init = init;
    this.name = init.pod.metadata.name;
    this.component = init.pod.metadata.labels?.['app.kubernetes.io/component'] ?? '';
  }

  get isReady(): boolean {
    return this.#told === true;
  }

  url(port: string): string {
    const number = this.#ports.get(port);
    if (number === undefined) throw new Error(`${this.name} has no port ${port}`);
    return `http://127.0.0.1:${number}`;
  }

  log(): string {
    return this.#logs.map((one) => one.logTail(100_000)).join('\n');
  }

  start(): Promise<void> {
    this.#starting = this.#keepRunning();
    return this.#starting;
  }

  /** Says what the probe says, and ends when the Pod is deleted. */
  async follow(pod: Pod): Promise<void> {
    if (pod.metadata.deletionTimestamp !== undefined) {
      if (this.isEnding) return;
      this.isEnding = true;
      void this.end().then(() =>
        this.#init.kube.request('DELETE', this.#init.path, {
          body: { gracePeriodSeconds: 0, preconditions: { uid: pod.metadata.uid } },
        }),
      );
      return;
    }
    const isReady = this.#init.image === undefined || (await this.#probe());
    if (isReady !== this.#told) await this.#tell(isReady);
  }

  async end(): Promise<void> {
    this.isEnding = true;
    await this.process?.stop();
    await this.#starting;
    await this.process?.stop();
  }

  async #keepRunning(): Promise<void> {
    const { image, failures, container } = this.#init;
    if (image === undefined) return;
    while (!this.isEnding && !(await this.#initialise())) await delay(restartMs);
    while (!this.isEnding) {
      try {
        // Anew each time: the last ones may have become somebody's in the meantime.
        for (const { name } of container.ports ?? []) this.#ports.set(name, await freePort());
        this.process = await this.#startOnce(image, container);
        this.#logs.push(this.process);
        await this.process.exited;
      } catch (error) {
        failures.push((error as Error).message);
      }
      this.#restarts += 1;
      if (!this.isEnding) await delay(restartMs);
    }
  }

  /** Runs the init containers, one after the other; whether all of them ended well. */
  async #initialise(): Promise<boolean> {
    const { pod, imageOf, failures } = this.#init;
    for (const container of pod.spec.initContainers ?? []) {
      const image = imageOf(container.image);
      if (image === undefined) continue;
      try {
        this.process = await this.#startOnce(image, container);
        this.#logs.push(this.process);
        if ((await this.process.exited) !== 0) return false;
      } catch (error) {
        failures.push((error as Error).message);
        return false;
      }
    }
    return true;
  }

  async #startOnce(image: ContainerImage, container: PodContainer): Promise<ServerProcess> {
    const { kube, pod, claims } = this.#init;
    const { securityContext = {} } = pod.spec;
    const dir = privateDir(`pod-${this.component}`);
    const mounts = await mountsOf(kube, pod, container, { own: `${dir}/volumes`, claims });
    const given = await variablesOf(kube, pod, container);
    const { hostname, port } = new URL(kube.url);
    return await startContainer({
      name: this.component,
      dir,
      command: [...(container.command ?? image.entrypoint), ...(container.args ?? [])],
      env: {
        ...image.env,
        // As in every container, enableServiceLinks or not.
        KUBERNETES_SERVICE_HOST: hostname,
        KUBERNETES_SERVICE_PORT: port,
        HOSTNAME: pod.metadata.name,
        ...Object.fromEntries(Object.entries(given).map(([name, value]) => [name, this.#mapped(value)])),
      },
      mounts: [...image.mounts, ...mounts],
      uid: securityContext.runAsUser ?? 0,
      gid: securityContext.runAsGroup ?? 0,
      ...(image.stopSignal === undefined ? {} : { stopSignal: image.stopSignal }),
      // A kubelet starts, and lets the probes say how it goes.
      ready: () => Promise.resolve(true),
    });
  }

  /** `:9090` → loopback and the port that stands for it on this machine. */
  #mapped(value: string): string {
    const port = (this.#init.container.ports ?? []).find(({ containerPort }) => value === `:${containerPort}`);
    return port === undefined ? value : `127.0.0.1:${String(this.#ports.get(port.name))}`;
  }

  async #probe(): Promise<boolean> {
    const probe = this.#init.container.readinessProbe?.httpGet;
    if (probe === undefined) return true;
    try {
      const { statusCode, body } = await request(`${this.url(probe.port)}${probe.path}`, { signal: AbortSignal.timeout(1_000) });
      await body.dump();
      return statusCode >= 200 && statusCode < 400;
    } catch {
      return false;
    }
  }

  async #tell(isReady: boolean): Promise<void> {
    const { kube, path, container } = this.#init;
    const at = new Date().toISOString();
    const condition = (type: string, is: boolean) => ({ type, status: is ? 'True' : 'False', lastTransitionTime: at });
    const status = {
      phase: 'Running',
      podIP: '127.0.0.1',
      podIPs: [{ ip: '127.0.0.1' }],
      conditions: [condition('Initialized', true), condition('ContainersReady', isReady), condition('Ready', isReady)],
      containerStatuses: [
        {
          name: container.name,
          image: container.image,
          imageID: '',
          ready: isReady,
          started: true,
          restartCount: this.#restarts,
          state: { running: { startedAt: at } },
        },
      ],
    };
    const answer = await kube.request('PATCH', `${path}/status`, {
      body: { status },
      contentType: 'application/merge-patch+json',
    });
    if (answer.status === 200) this.#told = isReady;
  }
}
