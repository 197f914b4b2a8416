import { finalizer } from '../api/meta.ts';
import type { ApiCatalog } from '../api/kinds.ts';
import { placeOf } from '../destinations/place.ts';
import { composeRecord, envelopeDigest } from '../destinations/record.ts';
import type { Reading } from '../destinations/port.ts';
import { Failure, stalled, transient, waiting } from '../domain/failure.ts';
import { secretDestinationUid, type Location } from '../domain/key.ts';
import type { Plaintext } from '../domain/plaintext.ts';
import type { Mark, Version } from '../domain/version.ts';
import { proofDigest } from '../keys/hash.ts';
import { mintToken } from '../keys/mint.ts';
import type { HeldValue, RequestedBy, Transition } from '../store/port.ts';
import type { Action, WriteTarget } from './action.ts';
import type { Dependencies } from './dependencies.ts';
import { envelopeOf } from './envelope.ts';
import { asFailure, identify, lookAt } from './observe.ts';
import { openTargets, sightOf, type Observed, type Sight } from './observed.ts';
import { causingDestination, placeRequester, requesterOf } from './requester.ts';

/** What a step taught about locations; `undefined` = forget, and look again. */
export type SightChanges = readonly (readonly [Location, Sight | undefined])[];

const nothingSeen: SightChanges = [];
const storeActor = 'operator';

/**
 * Carries out one step. No decision is made here: every condition of the step was part of the plan, and every effect
 * carries the condition with it, so that a paused old leader changes nothing. A step that lost its condition returns
 * what is to be looked at again.
 */
export async function execute(
  deps: Dependencies,
  o: Observed,
  action: Exclude<Action, { kind: 'lookAtConsumers' | 'restartConsumers' | 'checkAdmission' }>,
): Promise<SightChanges> {
  if (action.kind !== 'look') deps.assertLeading();
  const { store } = deps;
  const { uid } = o.ref;
  const requestedBy = requesterOf(o, action);
  switch (action.kind) {
    case 'look':
      return Promise.all(action.at.map(async (location) => [location, await lookAt(deps, o, location, action.depth)] as const));
    case 'addFinalizer':
      return setFinalizers(deps, o, [...(o.resource.metadata.finalizers ?? []), finalizer]);
    case 'removeFinalizer':
      return setFinalizers(
        deps,
        o,
        (o.resource.metadata.finalizers ?? []).filter((name) => name !== finalizer),
      );
    case 'revokeAll': {
      const { revokedReason, detail } = action;
      const closing = revokedReason === undefined ? {} : { revokedReason };
      await store.revokeAll(uid, { actor: storeActor, detail, requestedBy, ...closing }, o.now);
      return nothingSeen;
    }
    case 'takeOver':
      return done(await store.takeOver(o.ref, action.proposed, o.now));
    case 'saveSettings':
      return done(await store.saveSettings(uid, action.applied, o.now, (await placedBy(deps, o, action)) ?? requestedBy));
    case 'endVersions': {
      // What is held while the key expires brings it back when somebody confirms it: so that is not what the key expired with.
      const generation = o.store.key?.accepted?.generation ?? o.resource.metadata.generation;
      return done(await store.endVersions(uid, action.keyIds, action.reason, o.now, action.handled, requestedBy, generation));
    }
    case 'saveHandled':
      return done(await store.saveHandled(uid, action.handled, o.now, requestedBy));
    case 'setExpiry':
      return done(await store.setExpiry(uid, action.expiries, o.now, requestedBy));
    case 'bringForward':
      return done(await store.bringForward(uid, action.ends, o.now));
    case 'beginWithdrawal':
      return done(
        await store.beginWithdrawal(
          uid,
          action.deliveries.map((delivery) => delivery.id),
          o.now,
          requestedBy,
        ),
      );
    case 'withdraw':
      return withdraw(deps, o, action);
    case 'finishWithdrawal':
      return done(await store.finishWithdrawal(uid, action.delivery.id, o.now));
    case 'releaseKey':
      return done(await store.releaseKey(uid, o.now));
    case 'mint':
      return mint(deps, o, action);
    case 'copy':
      return copy(deps, o, action);
    case 'confirm':
      return confirm(deps, o, action);
    case 'activate':
      return activate(deps, o, action);
  }
}

function done(_transition: Transition): SightChanges {
  return nothingSeen;
}

async function setFinalizers(deps: Dependencies, o: Observed, finalizers: readonly string[]): Promise<SightChanges> {
  const outcome = await deps.resources.setFinalizers('ApiKey', o.resource.metadata, finalizers);
  if (outcome === 'lost') throw transient('ConflictRetry', 'the resource was changed by somebody else; will retry');
  return nothingSeen;
}

async function withdraw(deps: Dependencies, o: Observed, action: Extract<Action, { kind: 'withdraw' }>): Promise<SightChanges> {
  const { location, id } = action.delivery;
  const outcome = await attempt(async () => {
    const destination = await deps.destinations.open(location.destinationUid);
    return destination.withdraw(location, action.reading);
  });
  if (typeof outcome !== 'string') return [[location, outcome]];
  if (outcome === 'withdrawn') await deps.store.finishWithdrawal(o.ref.uid, id, o.now);
  return [[location, undefined]];
}

async function mint(deps: Dependencies, o: Observed, action: Extract<Action, { kind: 'mint' }>): Promise<SightChanges> {
  const catalog = catalogOf(o);
  const { keyId, display, token } = mintToken({ ...catalog.spec.key, random: deps.random });
  const { hash, pepperId } = deps.peppers.hash(token);
  const proof = deps.peppers.prove({ pepperId }, token);
  const version: Version = {
    id: deps.newId(),
    apiKeyUid: o.ref.uid,
    keyId,
    display,
    epoch: action.epoch,
    state: 'pending',
    lost: false,
    cause: action.cause,
    hash,
    pepperId,
    ownerUid: o.owner?.metadata.uid ?? '',
    issuedAt: o.now,
    ...(action.expiresAt === undefined ? {} : { expiresAt: action.expiresAt }),
  };
  const targets = action.targets.map(({ name, location }) => ({ targetName: name, location }));
  const { applied, lostKeyIds, handled } = action;
  const outcome = await deps.store.mint({
    ref: o.ref,
    applied,
    version,
    ...(proof === undefined ? {} : { revocationDigest: proofDigest(proof) }),
    targets,
    lostKeyIds,
    ...(handled === undefined ? {} : { handled }),
    requestedBy: requesterOf(o, action),
    now: o.now,
  });
  if (typeof outcome === 'object') return [[outcome.location, { taken: true }]];
  if (outcome === 'already') {
    await refuseReleased(deps, o);
    return nothingSeen;
  }
  deps.metrics.minted(action.cause);
  deps.log.info('minted', { apiKey: nameOf(o), keyId, reason: action.cause });
  return deliver(deps, o, { version, token, targets: action.targets, publish: action.publish });
}

/**
 * An ApiKey may come back with the uid of one whose key was revoked and released: from a backup of etcd, or of a data folder. Its rows
 * are closed for good, so nothing can be minted for it.
 */
async function refuseReleased({ store }: Dependencies, { ref }: Observed): Promise<void> {
  const { key, predecessor } = await store.readKey(ref.uid, ref);
  if (key !== undefined || predecessor !== undefined) return;
  throw stalled('Revoked', 'its key was revoked while this ApiKey was missing; delete the ApiKey, and create it anew');
}

async function copy(deps: Dependencies, o: Observed, action: Extract<Action, { kind: 'copy' }>): Promise<SightChanges> {
  const { version, from, to, publish } = action;
  const found = await attempt(async () => (await deps.destinations.open(from.destinationUid)).readValue(from));
  if (found instanceof Object && 'failure' in found) return [[from, found]];
  const seen = found?.apiKey === undefined ? undefined : identify(deps, found.apiKey, [version]);
  if (found?.apiKey === undefined || seen?.kind !== 'version') return [[from, undefined]];
  const targets = to.map(({ name, location }) => ({ targetName: name, location }));
  const outcome = await deps.store.intend(o.ref, version.keyId, targets, o.now);
  if (typeof outcome === 'object') return [[outcome.location, { taken: true }]];
  if (outcome === 'already') return nothingSeen;
  return deliver(deps, o, { version, token: found.apiKey, targets: to, publish });
}

/** Who wrote the KeyDestination that caused this step; absent = none did. The cache has no `managedFields`. */
async function placedBy(deps: Dependencies, o: Observed, action: Action): Promise<RequestedBy | undefined> {
  const name = causingDestination(o, action);
  if (name === undefined) return undefined;
  try {
    const destination = await deps.resources.readLive('KeyDestination', { name });
    return destination === undefined ? 'unknown' : placeRequester(destination.metadata);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return 'unknown';
  }
}

/** One value on its way to its places. */
interface Consignment {
  readonly version: Version;
  readonly token: Plaintext;
  readonly targets: readonly WriteTarget[];
  /** What is only staged is promoted at once. */
  readonly publish: boolean;
}

/** Writes one value to many places at once, and records what was confirmed. The value does not outlive this call. */
async function deliver(
  deps: Dependencies,
  o: Observed,
  { version, token, targets, publish }: Consignment,
): Promise<SightChanges> {
  const envelope = envelopeOf(catalogOf(o), version);
  const record = composeRecord({ ...envelope, token });
  const mark = markOf(o, version);
  const held: HeldValue[] = [];
  const changes = await Promise.all(
    targets.map(async (target): Promise<readonly [Location, Sight | undefined]> => {
      const outcome = await attempt(async () => {
        assertStays(deps, target);
        const destination = await deps.destinations.open(target.location.destinationUid);
        deps.assertLeading();
        const written = await destination.write(target.location, record, mark, target.reading, version.id);
        if (!publish || written.kind === 'lost' || !isStaged(written.reading)) return written;
        deps.assertLeading();
        return destination.promote(target.location, mark, written.reading);
      });
      if ('failure' in outcome) {
        deps.log.warn('not delivered', {
          apiKey: nameOf(o),
          location: target.location.path,
          reason: outcome.failure.reason,
          message: outcome.failure.message,
        });
        return [target.location, outcome];
      }
      if (outcome.kind === 'lost') return [target.location, undefined];
      held.push({
        location: target.location,
        keyId: version.keyId,
        providerVersion: outcome.providerVersion,
        envelope: mark.envelope,
      });
      return [target.location, { reading: outcome.reading, written: true }];
    }),
  );
  if (held.length > 0) await deps.store.confirmDeliveries(o.ref.uid, held, o.now);
  return changes;
}

async function confirm(deps: Dependencies, o: Observed, action: Extract<Action, { kind: 'confirm' }>): Promise<SightChanges> {
  const targets = action.at.map(({ name, location }) => ({ targetName: name, location }));
  const claim = await deps.store.intend(o.ref, action.version.keyId, targets, o.now);
  if (typeof claim === 'object') return [[claim.location, { taken: true }]];
  const held = action.at.flatMap(({ location, reading }) => heldBy(location, reading, action.version.keyId));
  await deps.store.confirmDeliveries(o.ref.uid, held, o.now);
  return nothingSeen;
}

/**
 * A destination on its way out counts the rows of keys after its deletion has come to the cache. Asked after our row is there:
 * either the row is counted, or the deletion is seen here, and nothing is written.
 */
function assertStays({ resources }: Dependencies, { location, place }: WriteTarget): void {
  if (location.destinationUid === secretDestinationUid) return;
  const found = resources.list('KeyDestination').find(({ uid }) => uid === location.destinationUid);
  if (found === undefined || found.deletionTimestamp !== undefined)
    throw waiting('DestinationNotFound', 'the KeyDestination is being deleted');
  // The login of AWS is part of the place, and can be edited between the plan and this write.
  const destination = resources.get('KeyDestination', { name: found.name });
  if (place !== undefined && (destination === undefined || placeOf(destination) !== place))
    throw waiting('DestinationUnconfirmed', 'the place of the KeyDestination was changed');
}

function isStaged(reading: Reading): boolean {
  return reading.kind === 'marked' && reading.staged === true;
}

function heldBy(location: Location, reading: Reading, keyId: string): readonly HeldValue[] {
  return reading.kind === 'marked'
    ? [{ location, keyId, providerVersion: reading.providerVersion, envelope: reading.mark.envelope }]
    : [];
}

async function activate(deps: Dependencies, o: Observed, action: Extract<Action, { kind: 'activate' }>): Promise<SightChanges> {
  const { version, oldNotAfter } = action;
  const changes: (readonly [Location, Sight | undefined])[] = [];
  let refused = false;
  for (const { location } of openTargets(o)) {
    const sight = sightOf(o, location);
    const { reading, value } = sight;
    // A mark alone says nothing: readers get what was proven.
    const isProven = value?.kind === 'version' && value.keyId === version.keyId;
    if (reading?.kind !== 'marked' || reading.mark.keyId !== version.keyId || !isProven) continue;
    const outcome = await attempt(async () => {
      const destination = await deps.destinations.open(location.destinationUid);
      deps.assertLeading();
      // The mark that stands there: an edited expiry makes another one, which is written after this.
      return destination.promote(location, reading.mark, reading);
    });
    if ('failure' in outcome) changes.push([location, outcome]);
    else changes.push([location, outcome.kind === 'lost' ? undefined : { ...sight, reading: outcome.reading }]);
    refused ||= 'failure' in outcome || outcome.kind === 'lost';
  }
  if (refused) return changes;
  await deps.store.activate(o.ref.uid, version.keyId, oldNotAfter, o.now);
  deps.log.info('activated', { apiKey: nameOf(o), keyId: version.keyId });
  return changes;
}

function markOf(o: Observed, version: Version): Mark {
  const { namespace, name, uid } = o.ref;
  const envelope = o.envelopes.get(version.keyId) ?? freshEnvelope(o, version);
  return { installationId: o.installationId, namespace, name, uid, keyId: version.keyId, epoch: version.epoch, envelope };
}

/** A version that was minted in this very step is not among the observed ones. */
function freshEnvelope(o: Observed, version: Version): string {
  return envelopeDigest(envelopeOf(catalogOf(o), version));
}

function catalogOf(o: Observed): ApiCatalog {
  if (o.catalog === undefined) throw waiting('CatalogNotFound', `ApiCatalog ${o.resource.spec.catalog} does not exist`);
  return o.catalog;
}

/** A call whose failure is something seen at that location. */
async function attempt<T>(call: () => Promise<T>): Promise<T | { readonly failure: ReturnType<typeof asFailure> }> {
  try {
    return await call();
  } catch (error) {
    return { failure: asFailure(error) };
  }
}

function nameOf(o: Observed): string {
  return `${o.ref.namespace}/${o.ref.name}`;
}
