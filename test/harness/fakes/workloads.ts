import type { Workload, WorkloadRef, Workloads } from '../../../operator/src/resources/port.ts';

/** What a test says of a workload; the fake adds uid, resourceVersion and generation, as a server does. */
export type NewWorkload = Pick<Workload, 'kind' | 'spec'> & Partial<Pick<Workload, 'status'>>;

/** What the fake API server behind it has. */
export interface WorkloadServer {
  /** A fresh uid and resourceVersion. */
  readonly newIdentity: () => { readonly uid: string; readonly resourceVersion: string };
  readonly nextVersion: () => string;
  readonly beforeRead: (kind: WorkloadRef['kind']) => Promise<void>;
  /** Wraps a write: may throw before it, or after it took effect. */
  readonly effect: (ref: WorkloadRef, write: () => 'written' | 'lost') => Promise<'written' | 'lost'>;
}

/** Workloads in memory: each change makes a new resourceVersion, each change of the spec a new generation. No controller. */
export class FakeWorkloads implements Workloads {
  readonly #server: WorkloadServer;
  readonly #workloads = new Map<string, Workload>();

  constructor(server: WorkloadServer) {
    this.#server = server;
  }

  /** Somebody creates a workload, or replaces it as a whole: then it is another one, with a uid of its own. */
  put(ref: WorkloadRef, { kind, spec, status }: NewWorkload): Workload {
    const { namespace, name } = ref;
    const metadata = { namespace, name, generation: 1, ...this.#server.newIdentity() };
    return this.#store(ref, { kind, metadata, spec, ...(status === undefined ? {} : { status }) });
  }

  /** Somebody, or a controller, changes it. Throws when there is none. */
  change(ref: WorkloadRef, change: (workload: Workload) => Workload): Workload {
    const old = this.#workloads.get(keyOf(ref));
    if (old === undefined) throw new Error(`no ${ref.kind} ${ref.name}`);
    const next = change(structuredClone(old));
    const generation = (old.metadata.generation ?? 1) + (JSON.stringify(next.spec) === JSON.stringify(old.spec) ? 0 : 1);
    return this.#store(ref, { ...next, metadata: { ...next.metadata, generation, resourceVersion: this.#server.nextVersion() } });
  }

  delete(ref: WorkloadRef): void {
    this.#workloads.delete(keyOf(ref));
  }

  /** What stands there now, without counting as a call. */
  peek(ref: WorkloadRef): Workload | undefined {
    return structuredClone(this.#workloads.get(keyOf(ref)));
  }

  async read(ref: WorkloadRef): Promise<Workload | undefined> {
    await this.#server.beforeRead(ref.kind);
    return this.peek(ref);
  }

  annotateTemplate(
    ref: WorkloadRef,
    observed: { readonly uid: string; readonly resourceVersion: string },
    { name, value }: { readonly name: string; readonly value: string },
  ): Promise<'written' | 'lost'> {
    return this.#server.effect(ref, () => {
      const metadata = this.#workloads.get(keyOf(ref))?.metadata;
      if (metadata?.uid !== observed.uid || metadata.resourceVersion !== observed.resourceVersion) return 'lost';
      this.change(ref, (workload) => {
        const template = workload.spec.template?.metadata;
        const annotations = { ...template?.annotations, [name]: value };
        return { ...workload, spec: { ...workload.spec, template: { metadata: { ...template, annotations } } } };
      });
      return 'written';
    });
  }

  #store(ref: WorkloadRef, workload: Workload): Workload {
    this.#workloads.set(keyOf(ref), workload);
    return structuredClone(workload);
  }
}

function keyOf({ kind, namespace, name }: WorkloadRef): string {
  return `${kind}/${namespace}/${name}`;
}
