import type { CommandContext } from '../../operator/src/commands/command.ts';
import { createController, type Engine } from '../../operator/src/commands/engine.ts';
import type { ApiCatalogSpec, KeyOwner } from '../../operator/src/api/kinds.ts';
import { parseManifestObject } from '../../operator/src/api/parse.ts';
import type { ObjectRef } from '../../operator/src/api/meta.ts';
import type { WatchedKind } from '../../operator/src/resources/port.ts';
import { createAuthorize } from '../../operator/src/authorize/authorize.ts';
import type { AuthRequest } from '../../operator/src/authorize/request.ts';
import { Plaintext } from '../../operator/src/domain/plaintext.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { silentMetrics, type Metrics } from '../../operator/src/telemetry/metrics.ts';
import { kstatusOf, type KStatus } from '../harness/kstatus.ts';
import { authRequest } from './authrequest.ts';
import { World } from './world.ts';

type ClusterKind = 'ApiCatalog' | 'KeyOwner' | 'KeyOwnerGroup' | 'KeyDestination';

/** What a test sets of the program's configuration and surroundings. */
interface RealmConfig {
  /** Absent = the change feed is not polled. */
  readonly feedPollMs?: number;
  /** Absent = nobody counts. */
  readonly metrics?: Metrics;
}

/** A {@link World} that the program's own reconcilers work in, wired as the commands wire them. */
export class Realm {
  readonly world: World;
  engine: Engine;
  fenceLost = 0;
  /** The metric of held ApiKeys. */
  held = 0;
  readonly #config: RealmConfig;

  private constructor(world: World, config: RealmConfig) {
    this.world = world;
    this.#config = config;
    this.engine = this.#createEngine();
  }

  /** Everything that the world has at the start is worked off. */
  static async open(options: Parameters<typeof World.open>[0] = {}, config: RealmConfig = {}): Promise<Realm> {
    return Realm.over(await World.open(options), config);
  }

  /** The same over a world that a test has prepared. */
  static async over(world: World, config: RealmConfig = {}): Promise<Realm> {
    const realm = new Realm(world, config);
    await realm.start();
    return realm;
  }

  async start(): Promise<void> {
    this.engine.listen();
    this.world.resources.resync();
    this.engine.start();
    await this.quiet();
  }

  /** The operator ends, and another one begins with what the store and the resources know. */
  async restart(): Promise<void> {
    await this.engine.drain(1000);
    this.engine = this.#createEngine();
    await this.start();
  }

  /** Until nothing is queued or in flight; what waits for an instant keeps waiting. */
  async quiet(): Promise<void> {
    for (let calm = 0, turns = 0; calm < 5; turns += 1) {
      if (turns > 5000) throw new Error('the controllers do not come to rest');
      await new Promise((resolve) => setImmediate(resolve));
      calm = this.engine.idle() ? calm + 1 : 0;
    }
  }

  async advance(ms: number): Promise<void> {
    await this.world.clock.advance(ms);
    await this.quiet();
  }

  /** Declares an object of a cluster kind, and waits until it is worked off. */
  async create<K extends ClusterKind>(kind: K, name: string, spec: object, metadata: object = {}): Promise<void> {
    const parsed = parseManifestObject(kind, { apiVersion: 'keywright.dev/v1alpha1', kind, metadata: { name }, spec });
    if (!parsed.ok) throw new Error(`the test's ${kind} is invalid: ${JSON.stringify(parsed.errors)}`);
    this.world.resources.create(kind, { metadata: { ...metadata, name }, spec: parsed.object.spec });
    await this.quiet();
  }

  /** Changes members of a specification, and waits until that is worked off. */
  async edit(kind: WatchedKind, name: string | ObjectRef, changes: object): Promise<void> {
    const ref = typeof name === 'string' ? { name } : name;
    this.world.resources.update(kind, ref, (object) => ({ ...object, spec: { ...(object.spec as object), ...changes } }));
    await this.quiet();
  }

  async remove(kind: WatchedKind, name: string): Promise<void> {
    this.world.resources.delete(kind, { name });
    await this.quiet();
  }

  /** `True Available` and the like, of an object of a cluster kind. */
  ready(kind: ClusterKind, name: string): string {
    const condition = this.#ready(kind, name);
    return condition === undefined ? 'absent' : `${condition.status} ${condition.reason}`;
  }

  message(kind: ClusterKind, name: string): string {
    return this.#ready(kind, name)?.message ?? '';
  }

  /** What kstatus makes of an object of a cluster kind. */
  kstatus(kind: ClusterKind, name: string): KStatus {
    const found = this.world.resources.peek(kind, { name });
    if (found === undefined) throw new Error(`no ${kind} ${name}`);
    return kstatusOf(found);
  }

  keyMessage(type = 'Ready'): string {
    return this.world.status().conditions.find((condition) => condition.type === type)?.message ?? '';
  }

  catalog(name = 'default'): ApiCatalogSpec {
    const found = this.world.resources.peek('ApiCatalog', { name });
    if (found === undefined) throw new Error(`no ApiCatalog ${name}`);
    return found.spec;
  }

  owner(name = 'payments-team'): KeyOwner {
    const found = this.world.resources.peek('KeyOwner', { name });
    if (found === undefined) throw new Error(`no KeyOwner ${name}`);
    return found;
  }

  /**
   * What the program's own authorizer says to this value: `allowed`, or the code of the denial. By default for an endpoint that every key
   * of {@link catalogSpec} with endpoints reaches.
   */
  async ask(value: string | undefined, request: Partial<AuthRequest> = {}): Promise<string> {
    const { store, clock, peppers } = this.world;
    // The clock of these tests moves only when they say so.
    const limits = { spacingMs: 0, refusalStepMs: 0 };
    const authorize = createAuthorize({ store, peppers, clock, log: silentLog, metrics: silentMetrics, limits });
    const verdict = await authorize(authRequest({ credential: new Plaintext(value ?? ''), path: '/v1/things', ...request }));
    return verdict.allowed ? 'allowed' : verdict.code;
  }

  /** What a verify reads of the key's current version. */
  async record() {
    return this.world.store.findByKeyId(this.world.status().currentKey?.id ?? '');
  }

  #ready(kind: ClusterKind, name: string) {
    const status = this.world.resources.peek(kind, { name })?.status;
    return status?.conditions.find(({ type }) => type === 'Ready');
  }

  #createEngine(): Engine {
    const { deps, clock, limits } = this.world;
    const context = {
      config: { ...limits, ...this.#config, concurrency: 2 },
      clock,
      log: silentLog,
    } as unknown as CommandContext;
    const { resources, store, destinations, peppers, installationId } = deps;
    return createController(context, {
      resources,
      store,
      destinations,
      peppers,
      metrics: {
        ...(this.#config.metrics ?? silentMetrics),
        held: (count) => {
          this.held = count;
        },
      },
      installationId,
      admission: deps.admission,
      clockIsRight: () => true,
      assertLeading: () => {},
      onFenceLost: () => {
        this.fenceLost += 1;
      },
    });
  }
}
