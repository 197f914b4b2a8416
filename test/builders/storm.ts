import type { Destinations } from '../../operator/src/destinations/port.ts';
import { parseDurationMs } from '../../operator/src/domain/duration.ts';
import { waiting } from '../../operator/src/domain/failure.ts';
import type { ApiKey } from '../../operator/src/api/kinds.ts';
import { finalizer } from '../../operator/src/api/meta.ts';
import { formatLocation, type Location } from '../../operator/src/domain/key.ts';
import { Plaintext } from '../../operator/src/domain/plaintext.ts';
import { isLive, type Delivery, type Version } from '../../operator/src/domain/version.ts';
import type { Next } from '../../operator/src/queue/queue.ts';
import type { Dependencies } from '../../operator/src/reconcile/dependencies.ts';
import { Orphans } from '../../operator/src/reconcile/orphans.ts';
import { Outages } from '../../operator/src/reconcile/outages.ts';
import { Precedence } from '../../operator/src/reconcile/precedence.ts';
import { reconcile } from '../../operator/src/reconcile/reconciler.ts';
import { reconcileSafety } from '../../operator/src/reconcile/safetypass.ts';
import { askedBy } from '../../operator/src/reconcile/signatures.ts';
import { Withdrawals } from '../../operator/src/reconcile/sweep.ts';
import { Traffic } from '../../operator/src/reconcile/traffic.ts';
import type { KeyRow } from '../../operator/src/store/port.ts';
import type { FakeDestination, Step } from '../harness/fakes/destination.ts';
import { statusFaults } from '../harness/statusrules.ts';
import { violations, type Overlap, type Place, type Snapshot } from '../harness/invariants.ts';
import { isTurn, Turns, type Turn } from './turns.ts';
import { policyAway, World, type Staging } from './world.ts';

/** The process ended here. It is no Failure: nothing in the program may catch it. */
export class Crash extends Error {}

/** A run of the program that ends after its n-th effect, or never. Nothing that it began goes on after that. */
export class Life {
  #effects = 0;
  #dead = false;
  readonly #lastEffect: number | undefined;

  constructor(lastEffect: number | undefined) {
    this.#lastEffect = lastEffect;
  }

  /** Counts an effect, and ends the life when it was the last one. */
  effect(): void {
    this.#effects += 1;
    if (this.#effects === this.#lastEffect) this.#dead = true;
    this.check();
  }

  /** It ends now, between two effects. */
  end(): void {
    this.#dead = true;
  }

  check(): void {
    if (this.#dead) throw new Crash('crashed');
  }

  get dead(): boolean {
    return this.#dead;
  }
}

/** Every call of `target` fails once the life is over. */
export function mortal<T extends object>(target: T, life: Life): T {
  return new Proxy(target, {
    get(object, name): unknown {
      const member: unknown = Reflect.get(object, name, object);
      if (typeof member === 'function') {
        return (...args: unknown[]): unknown => {
          life.check();
          return Reflect.apply(member, object, args);
        };
      }
      return member !== null && typeof member === 'object' ? mortal(member, life) : member;
    },
  });
}

/** What may happen to a key and its surroundings. Everything in it is plain, so that a failing sequence can be read. */
export type Happening =
  | Turn
  | { readonly do: 'pass'; readonly drift: boolean }
  | { readonly do: 'safety' }
  | { readonly do: 'sweep' }
  | { readonly do: 'advance'; readonly minutes: number }
  | { readonly do: 'fail'; readonly where: Where; readonly operations: 'all' | 'write' | 'readValue' }
  /** Calls are taken and not answered, until it heals. A pass that meets them stays in flight, and other things happen meanwhile. */
  | { readonly do: 'hang'; readonly where: Where; readonly operations: 'all' | 'write' | 'readValue' }
  | { readonly do: 'heal'; readonly where: Where }
  | {
      readonly do: 'tamper';
      readonly where: Where;
      readonly how:
        'lose' | 'loseValue' | 'changeValue' | 'overwrite' | 'changeUid' | 'poisonMark' | 'otherInstallation' | 'foreign';
    }
  | { readonly do: 'targets'; readonly to: keyof typeof targetLists }
  | { readonly do: 'suspend'; readonly on: boolean }
  /** Somebody edits the settings of the key: together with a field that is invalid, or as an edit should be. */
  | { readonly do: 'edit'; readonly valid: boolean }
  /** The admission policy goes, or is there again; it is required from the first of these on. */
  | { readonly do: 'policy'; readonly on: boolean }
  | { readonly do: 'pause'; readonly on: boolean }
  | { readonly do: 'revoke' }
  | { readonly do: 'delete' }
  /** Somebody takes its finalizer by force and deletes it: nobody ever sees the deletion. */
  | { readonly do: 'strip' }
  | { readonly do: 'create'; readonly as?: 'revoked' | 'suspended' }
  | { readonly do: 'remove'; readonly what: Reference }
  | { readonly do: 'restore'; readonly what: Reference }
  | { readonly do: 'storeFails'; readonly times: number }
  | { readonly do: 'crash'; readonly afterEffects: number };

type Where = 'vault' | 'secret';
/** What somebody writes into a mark who may edit the value beside it. */
const poison = { keyId: 'poisoned', epoch: 999_999_999, envelope: 'poisoned' };
/** How the name of a key begins whose settings must never apply. */
const notJudged = 'not judged';
/** As the world makes it. */
const firstVaultUid = 'vault-uid';
type Reference = 'ApiCatalog' | 'KeyOwner' | 'KeyDestination';

const referenceNames = { ApiCatalog: 'default', KeyOwner: 'payments-team', KeyDestination: 'prod-vault' } as const;

/** The lists that `deliverTo` is edited to: fewer, more, elsewhere. */
export const targetLists = {
  both: [
    { name: 'vault', destination: 'prod-vault' },
    { name: 'local', secret: { name: 'billing-api-key' } },
  ],
  vaultOnly: [{ name: 'vault', destination: 'prod-vault' }],
  secretOnly: [{ name: 'local', secret: { name: 'billing-api-key' } }],
  secretMoved: [{ name: 'local', secret: { name: 'elsewhere' } }],
  vaultMoved: [
    { name: 'vault', destination: 'prod-vault', path: 'moved' },
    { name: 'local', secret: { name: 'billing-api-key' } },
  ],
  three: [
    { name: 'vault', destination: 'prod-vault' },
    { name: 'local', secret: { name: 'billing-api-key' } },
    { name: 'second', secret: { name: 'elsewhere' } },
  ],
} as const;

/** What a process has in its memory. */
interface Process {
  readonly traffic: Traffic;
  readonly withdrawals: Withdrawals;
  readonly orphans: Orphans;
  readonly precedence: Precedence;
  /** A pass over the key is in flight. */
  isPassing: boolean;
}

/** A world that things happen to, with the invariants checked after every effect and every happening. */
export class Storm {
  readonly world: World;
  /** Effects so far, over all lives: how far a crash can be moved. */
  effects = 0;
  readonly #tampered = new Set<string>();
  readonly #foreign = new Map<string, string>();
  readonly #broken = new Set<string>();
  /** See {@link Snapshot.byForce}. */
  readonly #byForce = new Set<string>();
  /** As JSON, so that each stands once. */
  readonly #overlaps = new Set<string>();
  #judged: string | undefined;
  readonly #turns: Turns;
  #restores = 0;
  #edits = 0;
  #life = new Life(undefined);
  #process: Process;
  /** What the ApiKey asked for when a safety pass had brought that into the store. */
  #safeFor: string | undefined;

  private constructor(world: World) {
    this.world = world;
    this.#turns = new Turns(world);
    this.#process = this.#newProcess();
    const after = (): void => {
      this.effects += 1;
      this.check();
      this.#life.effect();
    };
    world.store.afterEffect = after;
    world.resources.afterEffect = after;
    this.#watch(world.vault, after);
    this.#watch(world.secret, after);
  }

  static async open(stages: Staging = []): Promise<Storm> {
    const storm = new Storm(await World.open({ stages }));
    storm.world.createKey();
    return storm;
  }

  /** The promises that were broken at any moment. */
  get broken(): readonly string[] {
    return [...this.#broken];
  }

  /** The program dies after so many more effects, at the latest point of them; the next pass starts it again. */
  async crashAfter(effects: number): Promise<void> {
    await this.#start(effects);
  }

  async run(happenings: readonly Happening[]): Promise<void> {
    for (const happening of happenings) {
      await this.happen(happening);
      this.check();
    }
  }

  /**
   * One pass as a process makes it that is started again when it died; `undefined` = there is no key, or a pass over it is in
   * flight and does not come to an end.
   */
  async pass(drift = false): Promise<Next | undefined> {
    if (this.#life.dead) await this.#start(undefined);
    const key = this.world.key();
    const process = this.#process;
    if (key === undefined || process.isPassing) return undefined;
    const life = this.#life;
    const reading = process.precedence.begin('key');
    reading.note(key.metadata);
    const deps = this.deps();
    const assertCurrent = (): void => {
      reading.assertCurrent();
    };
    process.isPassing = true;
    const made = reconcile({ ...deps, store: reading.guard(deps.store), assertCurrent }, key, drift ? 'all' : 'none')
      .then(({ next }) => next)
      .finally(() => {
        reading.end();
        process.isPassing = false;
      });
    return this.#followed(made, life);
  }

  /** What the ApiKey takes away reaches the store, whatever a pass that is in flight waits for. */
  async safety(): Promise<void> {
    if (this.#life.dead) await this.#start(undefined);
    const key = this.world.key();
    if (key === undefined) return;
    const reading = this.#process.precedence.begin('key');
    reading.note(key.metadata);
    try {
      await reading.act(() => reconcileSafety(this.deps(), key));
      this.#safeFor = askedBy(key.metadata);
    } catch (error) {
      if (!(error instanceof Crash) && (error as Error).name !== 'Failure') throw error;
    } finally {
      reading.end();
    }
  }

  async sweep(): Promise<void> {
    if (this.#life.dead) await this.#start(undefined);
    const { orphans, withdrawals } = this.#process;
    const deps = this.#mortalDeps();
    const sweeping = Promise.all([orphans.sweep(deps), withdrawals.sweep()]).catch((error: unknown) => {
      if ((error as Error).name !== 'Failure') throw error;
    });
    await this.#followed(sweeping, this.#life);
  }

  /** Waits for the end, or until nothing moves because a destination does not answer. */
  async #followed<T>(made: Promise<T>, life: Life): Promise<T | { readonly kind: 'conflict' } | undefined> {
    const { vault, secret } = this.world;
    let ended = false;
    const outcome = made
      .catch(async (error: unknown) => {
        await settled();
        if (error instanceof Crash || life.dead) return { kind: 'conflict' } as const;
        this.#broken.add(`a defect: ${(error as Error).message}`);
        return undefined;
      })
      .finally(() => {
        ended = true;
      });
    for (let still = 0; !ended && still < 5; still = vault.pending + secret.pending > 0 ? still + 1 : 0) await settled();
    return ended ? outcome : undefined;
  }

  /** Everything works again, what was missing is back, and passes are made until nothing moves. */
  async calm(): Promise<void> {
    const { world } = this;
    await this.#start(undefined);
    world.vault.heal();
    world.secret.heal();
    this.#watchAll();
    while ((await this.#storeAnswers()) === false);
    for (const what of ['ApiCatalog', 'KeyOwner', 'KeyDestination'] as const) await this.happen({ do: 'restore', what });
    await this.happen({ do: 'pause', on: false });
    let quiet = 0;
    for (let round = 0; round < 12 && quiet < 2; round += 1) {
      // Longer than any brake; not after the last passes, which have seen this very moment.
      if (round > 0 && round < 5) await world.clock.advance(6 * 3_600_000);
      const before = JSON.stringify(this.writes());
      await this.pass(true);
      await this.sweep();
      quiet = JSON.stringify(this.writes()) === before ? quiet + 1 : 0;
    }
    this.check();
  }

  /** Whether every location that the status names holds a value that authenticates. */
  delivered(): boolean {
    const { places, keys, matches, now } = this.#snapshot();
    const live = keys.flatMap((key) => key.minted).filter((version) => isLive(version, now));
    const named = this.world.key()?.status?.destinations ?? [];
    const values = named.map(({ location }) => places.find((place) => place.location.path === location)?.value);
    return named.length > 0 && values.every((value) => value !== undefined && live.some((version) => matches(version, value)));
  }

  /** All writes so far, to see that a pass made none. */
  writes(): Readonly<Record<string, number>> {
    const { store, resources, vault, secret } = this.world;
    return {
      store: store.writes,
      resources: resources.effects.length,
      vault: vault.calls.write + vault.calls.withdraw + vault.calls.promote,
      secret: secret.calls.write + secret.calls.withdraw + secret.calls.promote,
    };
  }

  deps(): Dependencies {
    const { traffic } = this.#process;
    const deps = this.#mortalDeps();
    return { ...deps, destinations: traffic.guard(deps.destinations) };
  }

  #mortalDeps(): Dependencies {
    const deps = this.world.deps;
    const life = this.#life;
    const destinations: Destinations = {
      open: async (uid) => {
        life.check();
        return mortal(await deps.destinations.open(uid), life);
      },
      close: () => deps.destinations.close(),
    };
    return {
      ...deps,
      store: mortal(deps.store, life),
      resources: mortal(deps.resources, life),
      destinations,
      assertLeading: () => {
        life.check();
      },
    };
  }

  async happen(happening: Happening): Promise<void> {
    const { world } = this;
    if (isTurn(happening)) return this.#turns.take(happening);
    switch (happening.do) {
      case 'pass':
        await this.pass(happening.drift);
        return;
      case 'safety':
        return this.safety();
      case 'sweep':
        return this.sweep();
      case 'advance':
        return world.clock.advance(happening.minutes * 60_000);
      case 'fail': {
        const operations = happening.operations === 'all' ? undefined : [happening.operations];
        const error = waiting('DestinationUnavailable', 'the destination does not answer');
        world[happening.where].failNext({ count: 1_000_000, error, ...(operations === undefined ? {} : { operations }) });
        return;
      }
      case 'hang': {
        const writes = ['write', 'promote', 'withdraw'] as const;
        const only = happening.operations === 'write' ? writes : (['readValue'] as const);
        world[happening.where].hang(happening.operations === 'all' ? undefined : only);
        return;
      }
      case 'heal':
        world[happening.where].heal();
        this.#watchAll();
        return;
      case 'tamper':
        this.#tamper(happening.where, happening.how);
        return;
      case 'storeFails':
        world.store.failNext(happening.times);
        return;
      case 'crash':
        return this.crashAfter(happening.afterEffects);
      default:
        this.#edit(happening);
    }
  }

  #edit(
    happening: Exclude<
      Happening,
      Turn | { do: 'pass' | 'safety' | 'sweep' | 'advance' | 'fail' | 'hang' | 'heal' | 'tamper' | 'storeFails' | 'crash' }
    >,
  ): void {
    const { world } = this;
    const key = world.key();
    switch (happening.do) {
      case 'targets':
        if (key !== undefined) world.updateKey({ deliverTo: targetLists[happening.to] });
        return;
      case 'suspend':
        if (key !== undefined) world.updateKey({ suspend: happening.on });
        return;
      case 'edit':
        if (key !== undefined) this.#editSettings(happening.valid);
        return;
      case 'policy':
        this.#edits += 1;
        world.admission = happening.on
          ? { kind: 'inForce', period: `period-${this.#edits}`, since: world.clock.now() }
          : policyAway;
        return;
      case 'pause':
        if (key !== undefined)
          world.resources.annotate('ApiKey', world.name, { 'keywright.dev/paused': happening.on ? 'true' : undefined });
        return;
      case 'revoke':
        if (key !== undefined) world.updateKey({ revoked: { reason: 'KeyCompromise' } });
        return;
      case 'delete':
        if (key?.metadata.deletionTimestamp === undefined && key !== undefined) world.resources.delete('ApiKey', world.name);
        return;
      case 'strip':
        if (key !== undefined) this.#strip(key);
        return;
      case 'create':
        if (key === undefined) this.#create(happening.as);
        return;
      case 'remove':
        if (this.#exists(happening.what)) this.#remove(happening.what);
        return;
      case 'restore':
        if (this.#exists(happening.what)) return;
        if (happening.what === 'ApiCatalog') world.createCatalog();
        else if (happening.what === 'KeyOwner') world.createOwner();
        else {
          // No uid ever comes twice.
          this.#restores += 1;
          world.createDestination(`${firstVaultUid}-${this.#restores}`);
        }
    }
  }

  #strip({ metadata }: ApiKey): void {
    const { resources, name } = this.world;
    this.#byForce.add(metadata.uid);
    resources.update('ApiKey', name, (found) => ({ ...found, metadata: { ...found.metadata, finalizers: [] } }));
    resources.delete('ApiKey', name);
  }

  #create(as: 'revoked' | 'suspended' | undefined): void {
    const created = this.world.createKey({
      ...(as === 'revoked' ? { revoked: { reason: 'KeyCompromise' } } : {}),
      ...(as === 'suspended' ? { suspend: true } : {}),
    });
    if (this.#byForce.size > 0) this.#byForce.add(created.metadata.uid);
  }

  /** The name of the key says whether the edit may ever apply: only one that is valid, and that the policy judged. */
  #editSettings(valid: boolean): void {
    const { world } = this;
    this.#edits += 1;
    const mayApply = valid && world.admission.kind !== 'notInForce';
    world.updateKey({
      displayName: `${mayApply ? 'judged' : notJudged} ${this.#edits}`,
      accessType: valid ? 'Integrations' : 'NoSuchType',
    });
  }

  /** By force: nobody here looks after its finalizer. */
  #remove(what: Reference): void {
    const { resources } = this.world;
    const name = { name: referenceNames[what] };
    resources.update(what, name, (found) => ({ ...found, metadata: { ...found.metadata, finalizers: [] } }));
    resources.delete(what, name);
  }

  #exists(what: Reference): boolean {
    return this.world.resources.peek(what, { name: referenceNames[what] }) !== undefined;
  }

  #tamper(where: Where, how: Extract<Happening, { do: 'tamper' }>['how']): void {
    const destination = this.world[where];
    const [path] = destination.paths();
    if (how === 'foreign') {
      const free = where === 'vault' ? 'secret/keywright/payments/billing' : 'payments/billing-api-key';
      if (destination.paths().includes(free)) return;
      destination.putForeign(free, { password: 'theirs' });
      this.#foreign.set(this.#idOf(where, free), JSON.stringify(destination.entries(free)));
      return;
    }
    if (path === undefined) return;
    const id = this.#idOf(where, path);
    if (this.#foreign.has(id)) {
      // Only its owner deletes it.
      if (how !== 'lose') return;
      this.#foreign.delete(id);
    }
    if (how === 'otherInstallation') {
      if (destination.mark(path) === undefined) return;
      destination.changeMark(path, { installationId: 'another' });
      this.#foreign.set(id, JSON.stringify(destination.entries(path)));
      return;
    }
    if (how === 'lose') destination.lose(path);
    else if (how === 'loseValue') destination.loseValue(path);
    else if (how === 'changeValue') destination.changeValue(path, 'somebody typed here');
    else if (how === 'overwrite') destination.overwrite(path, 'somebody wrote here');
    else if (how === 'poisonMark') destination.changeMark(path, poison);
    else destination.changeMark(path, { uid: 'an-earlier-resource' });
    this.#tampered.add(id);
  }

  /** Checks the invariants now; a broken one is remembered, because a hook's error would be taken for a failed call. */
  check(): void {
    const snapshot = this.#snapshot();
    for (const id of [...this.#tampered]) {
      const place = snapshot.places.find((one) => formatLocation(one.location) === id);
      const value = place?.value;
      const live = snapshot.keys.flatMap((key) => key.minted).filter((version) => isLive(version, snapshot.now));
      const right = value !== undefined && live.some((version) => snapshot.matches(version, value));
      const { uid, epoch } = place?.mark ?? {};
      if (right && uid !== 'an-earlier-resource' && epoch !== poison.epoch) this.#tampered.delete(id);
    }
    for (const violation of [...violations(snapshot), ...this.#givenBack(), ...this.#gained()]) this.#broken.add(violation);
    const [key] = snapshot.resources;
    // A status that was looked at is not looked at again.
    if (key === undefined || key.metadata.resourceVersion === this.#judged) return;
    this.#judged = key.metadata.resourceVersion;
    for (const fault of statusFaults(key)) this.#broken.add(fault);
  }

  /** P2: settings apply that are invalid, or that the policy did not judge. */
  #gained(): readonly string[] {
    const applied = [...this.world.store.database.rows.keys.values()].map(({ settings }) => settings.displayName);
    return applied.some((name) => name.startsWith(notJudged)) ? ['settings apply that nobody with the right wrote'] : [];
  }

  /** What a safety pass took away, and something has given back. */
  #givenBack(): readonly string[] {
    const key = this.world.key();
    if (key === undefined || askedBy(key.metadata) !== this.#safeFor) return [];
    const { keys, versions } = this.world.store.database.rows;
    const { deletionTimestamp } = key.metadata;
    // Of earlier ApiKeys too: one that takes their name answers for them.
    const isAlive = versions.some((one) => one.state !== 'ended');
    const kept = [...keys.values()].filter(({ released }) => !released);
    const isOver = deletionTimestamp !== undefined || key.spec.revoked !== undefined;
    return [
      ...(isOver && isAlive ? ['a version lives after the safety pass over its end'] : []),
      ...(!isOver && key.spec.suspend && !kept.every(isSuspended) ? ['a suspension was undone'] : []),
    ];
  }

  #snapshot(): Snapshot {
    const { world } = this;
    this.#noteOverlap();
    const { keys, versions, deliveries, audit, feed } = world.store.database.rows;
    const key = world.key();
    if (key?.metadata.finalizers?.includes(finalizer) === true) this.#byForce.delete(key.metadata.uid);
    return {
      now: world.clock.now(),
      resources: key === undefined ? [] : [key],
      keys: [...keys.values()]
        .filter(({ released }) => !released)
        .map(({ ref }) => ({
          ref,
          minted: versions.filter((one) => one.apiKeyUid === ref.uid),
          deliveries: deliveries.filter((one) => one.apiKeyUid === ref.uid && one.state !== 'gone').map(atItsPlace),
          overlaps: [...this.#overlaps].map((one) => JSON.parse(one) as Overlap),
        })),
      places: [...this.#placesOf('vault'), ...this.#placesOf('secret')],
      tampered: this.#tampered,
      byForce: this.#byForce,
      foreign: this.#foreign,
      texts: JSON.stringify([[...keys], versions, deliveries, audit, feed, key, world.resources.events]),
      matches: (version: Version, value: string) => world.peppers.matches(version, new Plaintext(value)) === true,
    };
  }

  #noteOverlap(): void {
    const rotation = this.world.key()?.spec.rotation;
    const [leastMs = 0, mostMs = 0] = [rotation?.overlap, rotation?.maxOverlap].map((text) => parseDurationMs(text ?? ''));
    if (mostMs > 0) this.#overlaps.add(JSON.stringify({ leastMs, mostMs } satisfies Overlap));
  }

  #placesOf(where: Where): readonly Place[] {
    const destination = this.world[where];
    return destination.paths().map((path) => ({
      location: this.#location(where, path),
      value: destination.value(path),
      mark: destination.mark(path),
      content: JSON.stringify(destination.entries(path)),
    }));
  }

  #location(where: Where, path: string): Location {
    return { destinationUid: where === 'vault' ? firstVaultUid : 'secret', path };
  }

  #idOf(where: Where, path: string): string {
    return formatLocation(this.#location(where, path));
  }

  #watchAll(): void {
    const after = this.world.store.afterEffect;
    if (after === undefined) return;
    this.#watch(this.world.vault, () => {
      after('');
    });
    this.#watch(this.world.secret, () => {
      after('');
    });
  }

  /** A crash may come between the announcement of a write and the write, and after any effect. */
  #watch(destination: FakeDestination, after: () => void): void {
    destination.onStep = (step: Step) => {
      if (step.phase !== 'before') after();
    };
  }

  /** A process starts: it takes the lead in the store. */
  async #start(lastEffect: number | undefined): Promise<void> {
    await settled();
    // What it had asked for comes to nothing; what came of calls before is there.
    this.world.vault.abandon();
    this.world.secret.abandon();
    await settled();
    this.#life = new Life(lastEffect);
    this.#process = this.#newProcess();
    await this.#storeAnswers();
  }

  #newProcess(): Process {
    const { clock } = this.world;
    const traffic = new Traffic({ clock, outages: new Outages(clock), concurrency: 4, assertLeading: () => {} });
    const deps = this.#mortalDeps();
    const withdrawals = new Withdrawals({ ...deps, destinations: traffic.guard(deps.destinations) });
    return { traffic, withdrawals, orphans: new Orphans(), precedence: new Precedence(), isPassing: false };
  }

  async #storeAnswers(): Promise<boolean> {
    try {
      await this.world.store.takeFence();
      return true;
    } catch {
      return false;
    }
  }
}

/** One vault stands behind every uid that its KeyDestination ever had. */
function atItsPlace(row: Delivery): Delivery {
  const { destinationUid, path } = row.location;
  return destinationUid.startsWith(firstVaultUid) ? { ...row, location: { destinationUid: firstVaultUid, path } } : row;
}

/** By the settings that apply, or by those that are proposed; what is revoked for good, or is no key, needs neither. */
function isSuspended(key: KeyRow): boolean {
  return key.revokedReason !== undefined || key.settings.suspended || key.proposed?.suspended === true;
}

/** What a dead process began has come to its end. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
