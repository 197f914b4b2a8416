import { indexCatalog } from '../../operator/src/domain/catalogindex.ts';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { parseManifestObject } from '../../operator/src/api/parse.ts';
import { finalizer } from '../../operator/src/api/meta.ts';
import type { ApiCatalog, ApiKey, ApiKeySpec, ApiKeyStatus, KeyDestination, KeyOwner } from '../../operator/src/api/kinds.ts';
import { secretDestinationUid } from '../../operator/src/domain/key.ts';
import { PepperRing } from '../../operator/src/keys/pepper.ts';
import type { AdmissionState } from '../../operator/src/reconcile/acceptance.ts';
import type { Dependencies } from '../../operator/src/reconcile/dependencies.ts';
import { toCatalogModel, toGroupRow, toOwnerRow } from '../../operator/src/reconcile/cluster/model.ts';
import type { Limits } from '../../operator/src/reconcile/observed.ts';
import type { References } from '../../operator/src/reconcile/references.ts';
import { EditTimes } from '../../operator/src/reconcile/edittimes.ts';
import { reconcile } from '../../operator/src/reconcile/reconciler.ts';
import type { Next } from '../../operator/src/queue/queue.ts';
import { digestOf } from '../../operator/src/store/digest.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../operator/src/telemetry/metrics.ts';
import { FakeClock } from '../harness/fakes/clock.ts';
import { FakeDestination, FakeDestinations } from '../harness/fakes/destination.ts';
import { FakeResources } from '../harness/fakes/resources.ts';
import { MemoryStore } from '../harness/fakes/store.ts';

/** The limits of tests: the defaults of the program. */
export const testLimits: Limits = { deliverDeadlineMs: 3_600_000, withdrawDeadlineMs: 600_000, driftIntervalMs: 21_600_000 };

/** Parses a spec as a manifest would be, so that defaults are there; fails loudly on a bad builder. */
function parsed<T>(
  kind: 'ApiKey' | 'ApiCatalog' | 'KeyOwner' | 'KeyDestination',
  name: string,
  namespace: string | undefined,
  spec: unknown,
): T {
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
  const result = parseManifestObject(kind, { apiVersion: 'keywright.dev/v1alpha1', kind, metadata, spec });
  if (!result.ok) throw new Error(`the builder's ${kind} is invalid: ${JSON.stringify(result.errors)}`);
  return result.object.spec as T;
}

/** The spec of a key that delivers to the destinations `vault` and `local`, with changes. */
export function keySpec(changes: Partial<Record<keyof ApiKeySpec, unknown>> = {}): ApiKeySpec {
  const spec = {
    displayName: 'Billing',
    catalog: 'default',
    owner: 'payments-team',
    contactEmail: 'payments@example.com',
    accessType: 'Integrations',
    deliverTo: [
      { name: 'vault', destination: 'prod-vault' },
      { name: 'local', secret: { name: 'billing-api-key' } },
    ],
    ...changes,
  };
  return parsed('ApiKey', 'billing', 'payments', given(spec));
}

/** The catalog of {@link keySpec}, with changes. */
export function catalogSpec(changes: object = {}): ApiCatalog['spec'] {
  return parsed('ApiCatalog', 'default', undefined, {
    key: { prefix: 'acme', environment: 'live' },
    accessTypes: [{ name: 'Integrations', endpoints: 'All' }],
    ...changes,
  });
}

/** A rule for everything that the catalog of {@link keySpec} lists. */
export const everyRight = {
  catalog: 'default',
  admin: true,
  accessTypes: ['*'],
  scopes: ['*'],
  endpoints: ['*'],
  applications: ['*'],
  channels: ['*'],
  attributes: ['*'],
};

/** The owner of {@link keySpec}, with changes. */
export function ownerSpec(changes: object = {}): KeyOwner['spec'] {
  return parsed('KeyOwner', 'payments-team', undefined, {
    type: 'Team',
    displayName: 'Payments',
    email: 'payments@example.com',
    allowedNamespaces: { names: ['payments'] },
    grants: [everyRight],
    ...changes,
  });
}

/** The destination `prod-vault` of {@link keySpec}, with changes. */
export function destinationSpec(changes: object = {}): KeyDestination['spec'] {
  const spec = {
    allowedNamespaces: { names: ['payments'] },
    vault: {
      address: 'https://vault.example:8200',
      mount: 'secret',
      path: 'keywright/{namespace}/{name}',
      auth: { token: { secretRef: { name: 'vault-token', key: 'token' } } },
    },
    ...changes,
  };
  return parsed('KeyDestination', 'prod-vault', undefined, given(spec));
}

/** The destination `prod-vault` as one of AWS, with the same locations. */
export function awsSpec(): KeyDestination['spec'] {
  const name = 'secret/keywright/{namespace}/{name}';
  return destinationSpec({ vault: undefined, aws: { region: 'eu-west-1', name, auth: { irsa: {} } } });
}

/** A member that is undefined is one that is left out. */
function given(spec: object): object {
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
}

/** Catalogs and owners as they are declared, as if all were valid and in the store at once. */
export function declaredReferences(resources: FakeResources): References {
  const present = <T extends { readonly metadata: { readonly deletionTimestamp?: string } }>(
    found: T | undefined,
  ): T | undefined => (found?.metadata.deletionTimestamp === undefined ? found : undefined);
  return {
    catalog: (name) => {
      const catalog = present(resources.get('ApiCatalog', { name }));
      if (catalog === undefined) return undefined;
      const model = toCatalogModel(catalog.spec);
      return { catalog, digest: digestOf(model), index: indexCatalog(model) };
    },
    owner: (name) => present(resources.get('KeyOwner', { name })),
    rules: (owner) => [
      ...toOwnerRow(owner).rules,
      ...owner.spec.groups.flatMap((name) => {
        const group = present(resources.get('KeyOwnerGroup', { name }));
        return group === undefined ? [] : toGroupRow(group).rules;
      }),
    ],
  };
}

/** Which destinations of a {@link World} behave as AWS does: what is written over something is staged first. */
export type Staging = readonly ('vault' | 'secret')[];

/** A world in memory: API server, store, two destinations, a clock that a test moves, and a key. */
export class World {
  readonly clock = new FakeClock();
  readonly resources = new FakeResources(this.clock);
  store: MemoryStore = new MemoryStore({ clock: this.clock });
  readonly vault: FakeDestination;
  readonly secret: FakeDestination;
  /** By the uid of its KeyDestination: a destination other than {@link World.vault}. */
  readonly others = new Map<string, FakeDestination>();
  readonly peppers: PepperRing = PepperRing.parse(
    JSON.stringify({ current: 'p1', peppers: { p1: randomBytes(32).toString('base64') } }),
  );
  limits: Limits = testLimits;
  edits = new EditTimes();
  admission: AdmissionState = { kind: 'notRequired' };
  /** Whether a check of it ever ends. */
  admissionAnswers = true;
  /** How often it was checked. */
  admissionChecks = 0;
  clockIsRight = true;
  readonly name = { namespace: 'payments', name: 'billing' };
  #ids = 0;

  private constructor(stages: Staging) {
    this.vault = new FakeDestination({ stages: stages.includes('vault') });
    this.secret = new FakeDestination({ stages: stages.includes('secret') });
  }

  /** A world with everything that the key refers to; leave parts out with `without`. */
  static async open(
    options: { readonly without?: readonly ('catalog' | 'owner' | 'destination')[]; readonly stages?: Staging } = {},
  ): Promise<World> {
    const world = new World(options.stages ?? []);
    await world.store.takeFence();
    world.resources.create('Namespace', { metadata: { name: 'payments' }, spec: {} });
    if (options.without?.includes('catalog') !== true) world.createCatalog();
    if (options.without?.includes('owner') !== true) world.createOwner();
    if (options.without?.includes('destination') !== true) world.createDestination();
    await world.resources.start(new AbortController().signal);
    return world;
  }

  createCatalog(): void {
    this.resources.create('ApiCatalog', { metadata: { name: 'default' }, spec: catalogSpec() });
  }

  createOwner(): void {
    this.resources.create('KeyOwner', { metadata: { name: 'payments-team' }, spec: ownerSpec() });
  }

  createDestination(uid = 'vault-uid'): void {
    this.resources.create('KeyDestination', {
      metadata: { name: 'prod-vault', uid, finalizers: [finalizer] },
      spec: destinationSpec(),
    });
  }

  createKey(changes: Partial<Record<keyof ApiKeySpec, unknown>> = {}): ApiKey {
    return this.resources.create('ApiKey', { metadata: this.name, spec: keySpec(changes) });
  }

  updateKey(changes: Partial<Record<keyof ApiKeySpec, unknown>>): void {
    this.resources.update('ApiKey', this.name, (key) => ({ ...key, spec: { ...key.spec, ...changes } }));
  }

  get deps(): Dependencies {
    return {
      resources: this.resources,
      references: declaredReferences(this.resources),
      store: this.store,
      destinations: new FakeDestinations((uid) => this.#destination(uid)),
      usageHorizon: () => this.store.readUsageHorizon(),
      peppers: this.peppers,
      // Bytes that differ from call to call and are the same in every run.
      random: (size) => {
        this.#ids += 1;
        return new Uint8Array(createHash('sha512').update(`random ${this.#ids}`).digest()).subarray(0, size);
      },
      newId: () => randomUUID(),
      clock: this.clock,
      log: silentLog,
      metrics: silentMetrics,
      limits: this.limits,
      installationId: this.store.database.installationId,
      admission: {
        state: () => this.admission,
        check: () => {
          this.admissionChecks += 1;
          return this.admissionAnswers ? Promise.resolve(this.admission) : new Promise(() => {});
        },
      },
      edits: this.edits,
      clockIsRight: () => this.clockIsRight,
      assertLeading: () => {},
    };
  }

  /** One vault behind every KeyDestination that there is, whatever its uid, but for {@link World.others}. */
  #destination(uid: string): FakeDestination | undefined {
    if (uid === secretDestinationUid) return this.secret;
    return this.resources.list('KeyDestination').some((known) => known.uid === uid)
      ? (this.others.get(uid) ?? this.vault)
      : undefined;
  }

  /** One pass over the key, as the controller makes it; undefined when the key is gone. */
  async pass(options: { readonly drift?: boolean } = {}): Promise<Next | undefined> {
    const key = await this.resources.readLive('ApiKey', this.name);
    return key === undefined ? undefined : (await reconcile(this.deps, key, options.drift === true ? 'all' : 'none')).next;
  }

  key(): ApiKey | undefined {
    return this.resources.peek('ApiKey', this.name);
  }

  status(): ApiKeyStatus {
    const status = this.key()?.status;
    if (status === undefined) throw new Error('the key has no status');
    return status;
  }

  /** `True Available` and the like. */
  condition(type: string): string {
    const found = this.key()?.status?.conditions.find((condition) => condition.type === type);
    return found === undefined ? 'absent' : `${found.status} ${found.reason}`;
  }
}

/** A required policy that is not there. */
export const policyAway: AdmissionState = {
  kind: 'notInForce',
  since: 0,
  why: 'the ValidatingAdmissionPolicy keywright does not exist',
};

/** Where the two destinations of {@link keySpec} keep the value. */
export const vaultPath = 'secret/keywright/payments/billing';
export const secretPath = 'payments/billing-api-key';
