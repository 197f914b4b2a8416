import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { annotations, type ObjectMeta } from '../../../operator/src/api/meta.ts';
import type { Condition } from '../../../operator/src/api/kinds.ts';
import { createAuthorize, type Authorize } from '../../../operator/src/authorize/authorize.ts';
import type { CommandContext } from '../../../operator/src/commands/command.ts';
import { createController, type Engine } from '../../../operator/src/commands/engine.ts';
import { readConfig } from '../../../operator/src/config.ts';
import type { Destinations } from '../../../operator/src/destinations/port.ts';
import { openDestinations } from '../../../operator/src/destinations/registry.ts';
import { formatLocation, secretDestinationUid, type Location } from '../../../operator/src/domain/key.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import type { Instant } from '../../../operator/src/domain/time.ts';
import { PepperRing } from '../../../operator/src/keys/pepper.ts';
import type { EventRecord } from '../../../operator/src/resources/port.ts';
import { openPostgresStore } from '../../../operator/src/store/postgres/store.ts';
import type { Store } from '../../../operator/src/store/port.ts';
import { silentLog, type LogFields } from '../../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { FakeResources } from '../../harness/fakes/resources.ts';
import type { OpenBao } from '../../harness/parts.ts';
import { authRequest } from '../authrequest.ts';
import { Life, mortal } from '../storm.ts';
import { credentialMetadata } from '../credential.ts';
import { catalogSpec, destinationSpec, keySpec, ownerSpec } from '../world.ts';
import type { Happening, YearKey } from './keys.ts';
import { Outage } from './outage.ts';
import { YearPolicy } from './policy.ts';

/** What a location held from an instant on, as a workload reads it; without a key id it is empty. */
export interface Held {
  readonly at: Instant;
  readonly location: string;
  readonly apiKey: string;
  readonly keyId: string | undefined;
}

/** What a condition said from an instant on. */
export interface Told {
  readonly at: Instant;
  readonly apiKey: string;
  readonly condition: Condition;
}

/** Where the parts are that the world lives in. */
export interface YearParts {
  readonly databaseUrl: string;
  readonly openbao: OpenBao;
  /** Where Secrets are written as files; an empty folder. */
  readonly folder: string;
  readonly start: Instant;
}

const namespace = 'payments';
const vaultUid = 'vault-uid';
const day = 86_400_000;
/** More wakes than a year of a hundred keys may take: who wakes for nothing would go on for ever. */
const mostLeaps = 40_000;

/**
 * Years in minutes: the engine of the program over a real PostgreSQL, a real OpenBao and real files, under a clock that leaps
 * from one wake to the next. What is declared is in memory; what the program does is written down as a workload, and a
 * reader of statuses, sees it.
 */
export class YearWorld {
  readonly clock: FakeClock;
  readonly resources: FakeResources;
  readonly store: Store;
  readonly held: Held[] = [];
  readonly told: Told[] = [];
  readonly events: (EventRecord & { readonly at: Instant; readonly apiKey: string })[] = [];
  /** Passes over keys. */
  passes = 0;
  /** What must not happen: defects in the log, values that were refused when they were written. */
  readonly faults: string[] = [];
  /** What was put off although nothing was down: a real part was too slow, so that instants are not to be judged. */
  readonly setbacks: string[] = [];
  /** How often a key was looked at while it waited for a person, by reason. */
  readonly heldBack = new Map<string, number>();
  leaps = 0;
  crashes = 0;
  readonly #parts: YearParts;
  readonly #peppers: PepperRing;
  readonly #database: pg.Client;
  readonly #base: string;
  readonly #authorize: Authorize;
  /** Condition, per key and type, as it was told last; and the key id at each location. */
  readonly #lastTold = new Map<string, Condition>();
  readonly #lastHeld = new Map<string, string | undefined>();
  readonly #switchMs = new Map<string, number>();
  #diesAfter: string | undefined;
  readonly #suspended = new Set<string>();
  #installationId = '';
  #engine: Engine | undefined;
  #destinations: Destinations | undefined;
  #life = new Life(undefined);
  readonly #vault: Outage;
  readonly #policy: YearPolicy;
  #isPolicyAwaited: () => boolean = () => false;
  /** Ends what the present process does by itself. */
  #stopped = new AbortController();
  /** Calls to the store and to destinations that are under way, those that hang apart. */
  #underWay = 0;
  #reportsUse = true;
  #uses: { readonly at: Instant; readonly apiKey: string }[] = [];

  private constructor(parts: YearParts, peppers: PepperRing) {
    this.#parts = parts;
    this.#peppers = peppers;
    this.clock = new FakeClock(parts.start);
    this.#vault = new Outage(this.clock);
    this.#policy = new YearPolicy(this.clock);
    this.resources = new FakeResources(this.clock);
    // A slow machine is none of the year's accidents.
    const limits = { lockMs: 60_000, statementMs: 60_000, idleInTransactionMs: 60_000, connectMs: 60_000 };
    this.store = openPostgresStore({ url: parts.databaseUrl, clock: this.clock, log: silentLog, poolSize: 8, limits });
    this.#database = new pg.Client({ connectionString: parts.databaseUrl });
    this.#base = parts.openbao.uniquePath();
    const { store, clock } = this;
    // The year's clock stands still while a verdict is asked for.
    const atOnce = { spacingMs: 0, refusalStepMs: 0 };
    this.#authorize = createAuthorize({ store, peppers, clock, log: silentLog, metrics: silentMetrics, limits: atOnce });
  }

  static async open(parts: YearParts): Promise<YearWorld> {
    const pepper = randomBytes(32).toString('base64');
    const world = new YearWorld(parts, PepperRing.parse(JSON.stringify({ current: 'p1', peppers: { p1: pepper } })));
    await world.#prepare();
    return world;
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#engine?.drain(1_000);
    await this.#destinations?.close();
    await this.store.close();
    await this.#database.end();
  }

  /** Lives on until `end`, with what happens meanwhile, in its order. */
  async live(keys: readonly YearKey[], happenings: readonly Happening[], end: Instant): Promise<void> {
    const byName = new Map(keys.map((key) => [key.name, key]));
    for (const { name, switchMs } of keys) if (switchMs !== undefined) this.#switchMs.set(name, switchMs);
    const edited = keys.filter((key) => key.happenings.some(({ do: what }) => what === 'edit'));
    const left = [...happenings].sort((a, b) => a.at - b.at);
    for (;;) {
      const instants = [this.#engine?.nextAt(), this.#vault.nextAt(), left[0]?.at, this.#uses[0]?.at];
      const soon = this.#isPolicyAwaited() ? this.clock.now() + 1_000 : end;
      const at = Math.min(...instants.map((one) => one ?? end), soon, end);
      await this.#leapTo(at);
      while ((left[0]?.at ?? end) <= this.clock.now() && left.length > 0) await this.#happen(left.shift(), byName);
      await this.#use(byName);
      await this.#settle();
      await this.#checkGains(edited);
      if (this.clock.now() >= end) return;
    }
  }

  /** Calls to Vault that hung so far. */
  get hung(): number {
    return this.#vault.hung;
  }

  /** All rows of a query over the store's tables. */
  async rows<T extends pg.QueryResultRow>(query: string): Promise<readonly T[]> {
    return (await this.#database.query<T>(query)).rows;
  }

  /** The paths of everything that stands in the Vault of this world. */
  async vaultPaths(): Promise<readonly string[]> {
    const path = `secret/metadata/${this.#base}/${namespace}`;
    const found = (await this.#parts.openbao.call('LIST', path)) as { data: { keys: readonly string[] } } | undefined;
    return found?.data.keys ?? [];
  }

  /** Where a key is delivered to. */
  locationsOf({ name, places }: YearKey): readonly Location[] {
    return places.map((place) =>
      place === 'vault'
        ? { destinationUid: vaultUid, path: `secret/${this.#base}/${namespace}/${name}` }
        : { destinationUid: secretDestinationUid, path: `${namespace}/${name}` },
    );
  }

  /** What a workload reads at a location now. */
  async read(location: Location): Promise<string | undefined> {
    if (location.destinationUid === secretDestinationUid) {
      const path = join(this.#parts.folder, location.path, 'api-key');
      return readFile(path, 'utf8').catch(() => undefined);
    }
    const answer = (await this.#parts.openbao.call('GET', location.path.replace('secret/', 'secret/data/'))) as
      { data: { data: Record<string, string> } } | undefined;
    return answer?.data.data['api-key'];
  }

  /** What the authorizer says of a value now: `allowed`, or why not. */
  async verdict(value: string, path = '/v1/campaigns'): Promise<string> {
    const verdict = await this.#authorize(authRequest({ credential: new Plaintext(value), path }));
    return verdict.allowed ? 'allowed' : verdict.code;
  }

  async #prepare(): Promise<void> {
    const { resources, store, clock } = this;
    await this.#database.connect();
    // The database's clock is ours: uses and reports of authorizers are dated by it.
    await this.#database.query(`
      create table public.year_clock (at timestamptz not null);
      insert into public.year_clock values (to_timestamp(${clock.now() / 1000}));
      create or replace function keywright.keywright_now() returns timestamptz language sql volatile
        as 'select at from public.year_clock'`);
    this.#installationId = await store.installationId();
    resources.create('Namespace', { metadata: { name: namespace }, spec: {} });
    resources.putSecret(
      { namespace: 'keywright-system', name: 'vault-token' },
      {
        metadata: credentialMetadata('vault-token', this.#parts.openbao.address),
        data: { token: Buffer.from(this.#parts.openbao.rootToken).toString('base64') },
      },
    );
    resources.create('ApiCatalog', {
      metadata: { name: 'default' },
      spec: catalogSpec({
        accessTypes: [
          { name: 'Integrations', endpoints: 'All' },
          { name: 'Restricted', endpoints: 'All', namespaces: { names: ['elsewhere'] } },
        ],
        endpoints: [
          { name: 'list', method: 'GET', path: '/v1/campaigns' },
          { name: 'others', method: 'GET', path: '/v1/others' },
        ],
        requests: { hosts: ['api.example.com'] },
        policy: { neverExpires: 'Allowed', defaultExpiry: '8760h', maxExpiry: '17520h', minOverlap: '5m' },
      }),
    });
    resources.create('KeyOwner', { metadata: { name: 'payments-team' }, spec: ownerSpec() });
    resources.create('KeyDestination', {
      metadata: { name: 'prod-vault', uid: vaultUid },
      spec: destinationSpec({
        vault: {
          address: this.#parts.openbao.address,
          mount: 'secret',
          path: `${this.#base}/{namespace}/{name}`,
          auth: { token: { secretRef: { name: 'vault-token', key: 'token' } } },
        },
      }),
    });
    await resources.start(new AbortController().signal);
    resources.afterEffect = ({ verb, kind, name }) => {
      if (verb === 'applyStatus' && kind === 'ApiKey') this.#noteStatus(name);
      this.#effect(this.#life, verb);
    };
    await this.#startProgram();
  }

  /** A process begins, with nothing but what the store, the destinations and the statuses know. */
  async #startProgram(): Promise<void> {
    await this.#engine?.drain(1_000);
    await this.#destinations?.close();
    this.#life = new Life(undefined);
    await this.store.takeFence();
    const { clock } = this;
    const life = this.#life;
    const log = {
      ...silentLog,
      error: (event: string, fields?: LogFields) => this.#noteDefect(life, event, fields),
      warn: (event: string, fields?: LogFields) => this.#noteSetback(life, event, fields),
    };
    this.#destinations = openDestinations({
      resources: this.resources,
      mode: { kind: 'file', folder: this.#parts.folder },
      clock,
      operatorNamespace: 'keywright-system',
      measure: (kind, destination) =>
        this.#vault.watched(kind, destination, {
          check: () => {
            life.check();
          },
          call: (make) => this.#countCall(make),
          took: async (effect, location) => {
            await this.#noteValue(location);
            this.#effect(life, effect);
          },
        }),
    });
    // The oracle reads the whole history: nothing of it is pruned.
    const kept = { versionRetentionMs: 800 * day, deliveryRetentionMs: 800 * day, auditRetentionMs: 800 * day };
    const config = { ...readConfig({}), ...kept, concurrency: 6, feedPollMs: 600_000, driftIntervalMs: 120 * day };
    const context = { config, clock, log } as unknown as CommandContext;
    this.#stopped.abort();
    this.#stopped = new AbortController();
    const store = mortal(this.#counted(life), life);
    const onFenceLost = (): void => {
      this.faults.push('the fence was lost');
    };
    const admission = this.#policy.openGate(store, this.resources, onFenceLost);
    this.#engine = createController(context, {
      resources: mortal(this.#listened(), life),
      store,
      destinations: mortal(this.#destinations, life),
      peppers: this.#peppers,
      metrics: { ...silentMetrics, reconciled: () => (this.passes += 1) },
      installationId: this.#installationId,
      admission: { state: () => admission.state(), check: () => admission.check() },
      clockIsRight: () => true,
      assertLeading: () => {
        life.check();
      },
      onFenceLost,
    });
    this.#isPolicyAwaited = () => this.#policy.isAwaited(admission.state());
    this.#engine.listen();
    this.resources.resync();
    await admission.start(this.#stopped.signal);
    this.#engine.start();
    await this.#settle();
  }

  /** P2: a key that waits for a person says why, and nothing that was written since then gives it a right. */
  async #checkGains(keys: readonly YearKey[]): Promise<void> {
    for (const key of keys) {
      const resource = this.resources.peek('ApiKey', { namespace, name: key.name });
      const stalled = resource?.status?.conditions.find(({ type, status }) => type === 'Stalled' && status === 'True');
      if (stalled === undefined || !heldBack.includes(stalled.reason)) continue;
      this.heldBack.set(stalled.reason, (this.heldBack.get(stalled.reason) ?? 0) + 1);
      for (const location of this.locationsOf(key)) {
        const verdict = await this.verdict((await this.read(location)) ?? '', '/v1/others');
        if (verdict === 'allowed') this.faults.push(`${key.name} gained a right while it was ${stalled.reason}`);
      }
    }
  }

  async #leapTo(at: Instant): Promise<void> {
    this.leaps += 1;
    if (this.leaps > mostLeaps) throw new Error(`wakes without end, at ${new Date(at).toISOString()}`);
    const now = Math.max(at, this.clock.now());
    const seconds = now / 1000;
    const report = this.#reportsUse ? `; select keywright.report_replica('year', ${now}, 0)` : '';
    await this.#database.query(`update public.year_clock set at = to_timestamp(${seconds})${report}`);
    await this.clock.leap(now - this.clock.now());
  }

  /**
   * Until nothing is queued or in flight, or what is in flight waits for a call that hangs; a process that died meanwhile is started
   * again, at the same instant.
   */
  async #settle(): Promise<void> {
    for (let calm = 0; calm < 4;) {
      // Databases and servers answer in milliseconds; who asks all the time takes their processor.
      await new Promise((resolve) => (calm > 0 ? setImmediate(resolve) : setTimeout(resolve, 1)));
      if (this.#life.dead) {
        this.crashes += 1;
        await this.#startProgram();
      }
      calm = this.#isAtRest() ? calm + 1 : 0;
    }
  }

  #isAtRest(): boolean {
    if (this.#engine?.idle() !== false) return true;
    return this.#vault.nextAt() !== undefined && this.#underWay === 0;
  }

  async #countCall<T>(make: () => Promise<T>): Promise<T> {
    this.#underWay += 1;
    try {
      return await make();
    } finally {
      this.#underWay -= 1;
    }
  }

  async #happen(happening: Happening | undefined, keys: ReadonlyMap<string, YearKey>): Promise<void> {
    if (happening === undefined) return;
    const name = happening.key ?? '';
    const ref = { namespace, name };
    switch (happening.do) {
      case 'create':
        this.resources.create('ApiKey', {
          metadata: { ...ref, uid: uidOf(name) },
          spec: keySpec(keys.get(name)?.spec),
        });
        return;
      case 'suspend':
      case 'resume':
        if (happening.do === 'suspend') this.#suspended.add(name);
        else this.#suspended.delete(name);
        this.#edit(name, { suspend: happening.do === 'suspend' });
        return;
      case 'edit':
        this.#edit(name, happening.changes ?? {});
        return;
      case 'confirm': {
        const said = JSON.stringify(this.resources.peek('ApiKey', ref)?.status?.conditions);
        const value = /keywright\.dev\/confirm=([0-9a-f]{16})/.exec(said)?.[1];
        this.resources.annotate('ApiKey', ref, { [annotations.confirm]: value });
        return;
      }
      case 'policyGone':
        this.#policy.remove();
        return;
      case 'policyBack':
        this.#policy.make();
        return;
      case 'revoke':
        this.#edit(name, { revoked: { reason: 'CessationOfOperation' } });
        return;
      case 'delete':
        this.resources.delete('ApiKey', ref);
        return;
      case 'compromise':
      case 'rotate': {
        const annotation = happening.do === 'rotate' ? annotations.rotate : annotations.compromised;
        // Taken away again later, so that `all` may be said once more.
        this.resources.annotate('ApiKey', ref, { [annotation]: happening.value });
        return;
      }
      case 'outage':
        this.#vault.set('down');
        return;
      case 'hang':
        this.#vault.set('hangs');
        return;
      case 'heal':
        this.#vault.set('well');
        return;
      case 'blind':
      case 'sighted':
        this.#reportsUse = happening.do === 'sighted';
        return;
      case 'crash':
        this.#diesAfter = happening.after;
        return;
      case 'nothing':
    }
  }

  #edit(name: string, changes: Readonly<Record<string, unknown>> & { readonly rotation?: object }): void {
    this.resources.update('ApiKey', { namespace, name }, (key) => {
      const rotation = { ...key.spec.rotation, ...changes.rotation };
      return { ...key, spec: { ...key.spec, ...changes, rotation } };
    });
  }

  /** The workloads whose time has come use what they find at the location now. */
  async #use(keys: ReadonlyMap<string, YearKey>): Promise<void> {
    const due = this.#uses.filter((use) => use.at <= this.clock.now());
    this.#uses = this.#uses.filter((use) => use.at > this.clock.now());
    for (const { apiKey } of due) {
      if (keys.get(apiKey)?.switchMs === undefined) continue;
      // Until this moment the workload used the value before this one.
      const ids = [...new Set(this.held.filter((one) => one.apiKey === apiKey).map((one) => one.keyId))].slice(-2);
      await this.store.recordUse(ids.flatMap((keyId) => (keyId === undefined ? [] : [{ keyId, ageMs: 0, by: 'a workload' }])));
    }
  }

  /** Something took effect; the process dies when it was to die after that. */
  #effect(life: Life, name: string): void {
    if (life !== this.#life) return;
    if (name === this.#diesAfter) {
      this.#diesAfter = undefined;
      life.end();
    }
    life.check();
  }

  /** The store, with the process dying after a transition when its time has come. */
  #counted(life: Life): Store {
    return new Proxy(this.store, {
      get: (store, name): unknown => {
        const member: unknown = Reflect.get(store, name);
        if (typeof member !== 'function') return member;
        const call = (...args: unknown[]): unknown => Reflect.apply(member, store, args);
        return (...args: unknown[]): unknown => {
          const answer = call(...args);
          if (!(answer instanceof Promise)) return answer;
          return this.#countCall(async () => {
            const outcome: unknown = await (answer as Promise<unknown>);
            if (transitions.includes(String(name))) this.#effect(life, String(name));
            return outcome;
          });
        };
      },
    });
  }

  #listened(): FakeResources {
    return new Proxy(this.resources, {
      get: (resources, name): unknown => {
        const member: unknown = Reflect.get(resources, name, resources);
        if (name !== 'recordEvent') return typeof member === 'function' ? (member.bind(resources) as unknown) : member;
        return (kind: 'ApiKey', metadata: ObjectMeta, event: EventRecord): void => {
          if (kind === 'ApiKey') this.events.push({ ...event, at: this.clock.now(), apiKey: metadata.name });
          resources.recordEvent(kind, metadata, event);
        };
      },
    });
  }

  /** Reads what stands there now, as a workload does, and uses it. */
  async #noteValue(location: Location): Promise<void> {
    const value = await this.read(location);
    const apiKey = location.path.split('/').at(-1) ?? '';
    const at = this.clock.now();
    const keyId = value?.split('_')[2]?.slice(0, 12);
    const id = formatLocation(location);
    if (this.#lastHeld.get(id) === keyId) return;
    this.#lastHeld.set(id, keyId);
    this.held.push({ at, location: id, apiKey, keyId });
    if (value === undefined) return;
    const wanted = this.#suspended.has(apiKey) ? 'key_suspended' : 'allowed';
    const verdict = await this.verdict(value);
    if (verdict !== wanted) this.faults.push(`${apiKey}: a value was delivered that is ${verdict}`);
    const switchMs = this.#switchMs.get(apiKey);
    if (switchMs !== undefined) this.#plan({ at: at + switchMs, apiKey });
  }

  #plan(use: { readonly at: Instant; readonly apiKey: string }): void {
    this.#uses = [...this.#uses, use].sort((a, b) => a.at - b.at);
  }

  #noteStatus(apiKey: string): void {
    for (const condition of this.resources.peek('ApiKey', { namespace, name: apiKey })?.status?.conditions ?? []) {
      const id = `${apiKey} ${condition.type}`;
      const last = this.#lastTold.get(id);
      if (last?.status === condition.status && last.reason === condition.reason && last.message === condition.message) continue;
      this.#lastTold.set(id, condition);
      this.told.push({ at: this.clock.now(), apiKey, condition });
    }
  }

  #noteSetback(life: Life, event: string, fields?: LogFields): void {
    if (life.dead || life !== this.#life || !putOff.includes(event) || this.#vault.isUnwell) return;
    this.setbacks.push(`${new Date(this.clock.now()).toISOString()} ${event} ${JSON.stringify(fields)}`);
  }

  #noteDefect(life: Life, event: string, fields?: LogFields): void {
    if (life.dead || life !== this.#life) return;
    this.faults.push(`${event} ${JSON.stringify(fields)}`);
  }
}

/** Why a key waits for a person, and keeps the rights that it had. */
const heldBack = ['NotPermitted', 'InvalidSpec', 'AdmissionPolicyMissing'];

/** What the log says when something is tried again. */
const putOff = ['pass not finished', 'reconcile failed', 'not delivered', 'not withdrawn yet', 'sweep put off'];

/** What changes the store: after each of them a process may end. */
const transitions = [
  ...['mint', 'intend', 'confirmDeliveries', 'activate', 'bringForward', 'setExpiry', 'endVersions', 'saveHandled', 'revokeAll'],
  ...['saveSettings', 'beginWithdrawal', 'finishWithdrawal', 'takeOver', 'releaseKey'],
];

/** A fixed uuid for a name, whose first digits spread what is spread by the uid. */
export function uidOf(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
