import { Agent, request } from 'undici';
import { apiKinds, kindTable, type ApiKind, type Condition } from '../../operator/src/api/kinds.ts';
import { apiVersion, type KubeObject, type ObjectRef } from '../../operator/src/api/meta.ts';
import type { Kube } from './kube.ts';
import { until } from './until.ts';

/** An object of our kinds as the API server once had it. */
export type Sight = KubeObject<
  unknown,
  {
    readonly observedGeneration?: number;
    readonly conditions?: readonly Condition[];
    /** Of an ApiKey. */
    readonly currentKey?: { readonly epoch: number };
  }
>;

interface Message {
  readonly type: string;
  readonly object: Sight;
}

/**
 * Keeps what anybody who watches our five kinds gets to see: each object whenever its status, generation or deletion is
 * another than before. Start it before there are any; a watch that ends early makes {@link seen} throw.
 */
export class StatusRecorder {
  readonly #agent: Agent;
  readonly #stop = new AbortController();
  readonly #sights = new Map<string, Sight[]>();
  #broken: unknown;

  private constructor(agent: Agent) {
    this.#agent = agent;
  }

  static async start(kube: Kube): Promise<StatusRecorder> {
    // No body timeout: a watch is silent while nothing happens.
    const recorder = new StatusRecorder(new Agent({ connect: { ca: kube.handle.ca }, bodyTimeout: 0 }));
    await Promise.all(apiKinds.map((kind) => recorder.#watch(kube, kind)));
    return recorder;
  }

  /** The sights of one object in their order, over all objects that ever had this name. */
  seen(kind: ApiKind, ref: ObjectRef): readonly Sight[] {
    if (this.#broken !== undefined) throw new Error('a watch of the recorder ended', { cause: this.#broken });
    return this.#sights.get(keyOf(kind, ref)) ?? [];
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#agent.destroy();
  }

  async #watch(kube: Kube, kind: ApiKind): Promise<void> {
    const url = `${kube.url}/apis/${apiVersion}/${kindTable[kind].plural}?watch=true&resourceVersion=0&timeoutSeconds=3600`;
    const headers = { authorization: `Bearer ${kube.token()}` };
    // A CRD that was just made answers 429 for a moment.
    const body = await until(
      async () => {
        const answer = await request(url, { dispatcher: this.#agent, headers, signal: this.#stop.signal });
        if (answer.statusCode === 200) return answer.body;
        throw new Error(`${answer.statusCode} ${await answer.body.text()}`);
      },
      { what: `a watch of ${kind}` },
    );
    void this.#read(body).catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#broken = error;
    });
  }

  async #read(body: AsyncIterable<Buffer>): Promise<void> {
    let rest = '';
    for await (const chunk of body) {
      const lines = `${rest}${chunk.toString()}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#note(JSON.parse(line) as Message);
    }
    throw new Error('the server ended the watch');
  }

  #note({ type, object }: Message): void {
    if (type !== 'ADDED' && type !== 'MODIFIED') return;
    const key = keyOf(object.kind, object.metadata);
    const sights = this.#sights.get(key) ?? [];
    const last = sights.at(-1);
    if (last !== undefined && tellOf(last) === tellOf(object)) return;
    this.#sights.set(key, [...sights, object]);
  }
}

function keyOf(kind: string, { namespace = '', name }: ObjectRef): string {
  return `${kind}/${namespace}/${name}`;
}

function tellOf({ metadata, status }: Sight): string {
  return JSON.stringify([metadata.uid, metadata.generation, metadata.deletionTimestamp, status]);
}
