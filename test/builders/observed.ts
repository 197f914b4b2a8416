import { indexCatalog } from '../../operator/src/domain/catalogindex.ts';
import type {
  ApiCatalog,
  ApiKey,
  ApiKeyStatus,
  Condition,
  ConditionType,
  KeyDestination,
  KeyOwner,
} from '../../operator/src/api/kinds.ts';
import { finalizer } from '../../operator/src/api/meta.ts';
import type { ConsumerSight } from '../../operator/src/consumers/adoption.ts';
import type { Reading } from '../../operator/src/destinations/port.ts';
import { durationMs } from '../../operator/src/domain/duration.ts';
import { stalled, waiting } from '../../operator/src/domain/failure.ts';
import { formatLocation, secretDestinationUid, type Location } from '../../operator/src/domain/key.ts';
import type { Reason } from '../../operator/src/domain/reason.ts';
import { formatInstant, type Instant } from '../../operator/src/domain/time.ts';
import type { Delivery, EndedReason, Mark, MintCause, Version, VersionState } from '../../operator/src/domain/version.ts';
import { acceptanceOf, requestsText, type AdmissionState } from '../../operator/src/reconcile/acceptance.ts';
import type { Action, Plan } from '../../operator/src/reconcile/action.ts';
import { workloadName } from '../../operator/src/reconcile/consuming.ts';
import { envelopesOf } from '../../operator/src/reconcile/envelope.ts';
import type { Comparison, Observed, Sight, ValueSight } from '../../operator/src/reconcile/observed.ts';
import { settingsOf } from '../../operator/src/reconcile/settings.ts';
import { resolveTargets } from '../../operator/src/reconcile/targets.ts';
import { countingOf, termsOf } from '../../operator/src/reconcile/terms.ts';
import type { UsageHorizon } from '../../operator/src/store/horizon.ts';
import { neverAccepted } from '../../operator/src/store/port.ts';
import type { AppliedSettings, HandledRequests, KeyRow, KeySettings, KeyState } from '../../operator/src/store/port.ts';
import { toCatalogModel, toOwnerRow } from '../../operator/src/reconcile/cluster/model.ts';
import { awsSpec, catalogSpec, destinationSpec, keySpec, ownerSpec, secretPath, testLimits, vaultPath } from './world.ts';

/** A version: its key id is `K<epoch>` unless given. Instants are durations from now: `-24h`, `1h`. */
export interface VersionCase {
  readonly id?: string;
  readonly epoch: number;
  readonly state: VersionState;
  readonly cause?: MintCause;
  readonly lost?: boolean;
  readonly issued?: string;
  readonly expires?: string;
  readonly notAfter?: string;
  /** When it was first used. */
  readonly used?: string;
  /** Minted for an earlier ApiKey of the name. */
  readonly inherited?: true;
}

/** A row of the store: `vault` and `local` are the locations of the usual targets, `earlierVault` that of the first under the uid that its KeyDestination had before a restore, anything else is a Secret of that name. */
export interface DeliveryCase {
  readonly at: string;
  readonly holds?: string;
  readonly intended?: string;
  readonly state?: Delivery['state'];
  readonly since?: string;
  readonly staleEnvelope?: boolean;
  /** When the confirmed write was; left out = now. */
  readonly written?: string;
}

/**
 * What was seen of a place. As a text: `absent`, `failed`, `vanished` (its KeyDestination is no more), `unusable` (a person must mend the KeyDestination), `gone-again`
 * (taken away after this pass wrote it), `foreign`, `taken`, or a key id, whose value and mark stand
 * there. In parts: the key id of the mark, whether it speaks of the value, and what the value is.
 */
export type SightCase =
  | string
  | {
      readonly mark: string;
      readonly carries?: boolean;
      readonly staged?: true;
      /** Our labels are missing. */
      readonly undressed?: true;
      /** This pass has written there. */
      readonly written?: true;
      /** An entry with the value is not as we write it. */
      readonly altered?: true;
      readonly epoch?: number;
      readonly uid?: string;
      readonly namespace?: string;
      readonly name?: string;
      readonly installation?: string;
      /** A key id, `unknown` or `absent`; left out = not looked at. */
      readonly value?: string;
    };

/** An {@link Observed} in a few lines: what differs from a Ready key with one active version in both its locations. */
export interface ObservedCase {
  /** No row and no version in the store yet. */
  readonly fresh?: boolean;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly catalog?: object;
  readonly owner?: object;
  readonly destination?: object;
  readonly destinationLeaving?: boolean;
  /** The destination is one of AWS. */
  readonly aws?: boolean;
  /** The key is bound to an earlier owner of this name. */
  readonly ownerReplaced?: boolean;
  readonly missing?: readonly ('catalog' | 'owner' | 'destination')[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly deleting?: boolean;
  readonly finalizer?: boolean;
  readonly namespaceTerminating?: boolean;
  readonly versions?: readonly VersionCase[];
  readonly deliveries?: readonly DeliveryCase[];
  readonly sights?: Readonly<Record<string, SightCase>>;
  readonly compare?: Comparison;
  /** Left out = no policy is required. `away` = it is required and not in force; `back` = it is in force again, in a new period. */
  readonly admission?: 'away' | 'back' | 'inForce';
  /** {@link ObservedCase.admission} was not checked in this pass. */
  readonly admissionUnchecked?: boolean;
  /** What the store knows as accepted: this generation, in the period `before` or `present`; left out = the present one, in `present`. */
  readonly accepted?:
    { readonly generation?: number; readonly requests?: string; readonly period?: 'before' | 'present' } | 'never';
  /** The terms in the store; left out = those of the spec, if that is what was accepted, or else none. */
  readonly terms?: { readonly spec?: Readonly<Record<string, unknown>>; readonly paused?: boolean; readonly endsAt?: string };
  /** The store has rows of an earlier ApiKey of this name. */
  readonly predecessor?: boolean;
  /** What the store has was minted for an earlier ApiKey of this name. */
  readonly inherited?: boolean;
  /** The key's `metadata.generation`; 1 without. */
  readonly generation?: number;
  /** When the key was created, from now; a day ago without. */
  readonly created?: string;
  readonly horizon?: UsageHorizon;
  readonly highestEpoch?: number;
  readonly attempts?: number;
  readonly lastEnded?: EndedReason;
  /** Requests that the store remembers. */
  readonly handled?: HandledRequests;
  /** The version of this id was compromised, and none was minted since; `newest` = none before either. */
  readonly compromised?: { readonly keyId: string; readonly newest: boolean };
  /** Consumers are restarted; what was seen of workloads, by `<kind>/<name>`. */
  readonly workloads?: Readonly<Record<string, 'notAsked' | 'complete' | 'missing'>>;
  /** The reason of a revocation that the store has recorded. */
  readonly closed?: string;
  /** The store has other settings than the spec; `proposed` = and those of the spec as proposed. */
  readonly settingsDiffer?: boolean | 'proposed';
  /** What else of the settings in the store differs from the spec. */
  readonly storedSettings?: Partial<KeySettings>;
  /** The store has recorded that the key is not permitted. */
  readonly recordedNotPermitted?: boolean;
  readonly status?: {
    readonly epoch?: number;
    /** OwnerActive said OwnerReplaced. */
    readonly replaced?: boolean;
    readonly handledRotation?: string;
    readonly handledCompromise?: string;
    readonly revoked?: readonly string[];
    readonly faults?: readonly string[];
    readonly undelivered?: string;
  };
}

const now: Instant = Date.parse('2026-01-01T00:00:00Z');
const uid = 'key-uid';
const installationId = 'installation';

/** Builds what a plan is made from. */
export function observed(given: ObservedCase): Observed {
  const catalog: ApiCatalog = { ...object('ApiCatalog', 'default'), spec: catalogSpec(given.catalog) };
  const owner: KeyOwner = { ...object('KeyOwner', 'payments-team'), spec: ownerSpec(given.owner) };
  const found = object('KeyDestination', 'prod-vault', 'vault-uid');
  const destination: KeyDestination = {
    ...found,
    metadata: {
      ...found.metadata,
      finalizers: [finalizer],
      ...(given.destinationLeaving === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: given.aws === true ? awsSpec() : destinationSpec(given.destination),
  };
  const written = keyOf(given);
  const versions = (given.versions ?? (given.fresh === true ? [] : [{ epoch: 1, state: 'active' as const }])).map(versionOf);
  const digests = envelopesOf(catalog, versions);
  const isMissing = (what: 'catalog' | 'owner' | 'destination') => given.missing?.includes(what) === true;
  const ready: readonly DeliveryCase[] = [
    { at: 'vault', holds: 'K1' },
    { at: 'local', holds: 'K1' },
  ];
  const rows = given.deliveries ?? (given.fresh === true ? [] : ready);
  const store = stateOf(
    given,
    written,
    versions,
    rows.map((row) => deliveryOf(row, digests)),
  );
  const admission = admissionOf(given);
  const accepted = acceptanceOf({
    ...{ resource: written, key: store.key, admission },
    checked: given.admissionUnchecked !== true,
    confirmIn: () => 'confirm-it',
  });
  const counting = countingOf(written, store.key, accepted);
  return {
    now,
    installationId,
    ref: { namespace: 'payments', name: 'billing', uid },
    ...counting,
    namespaceTerminating: given.namespaceTerminating ?? false,
    namespaceLabels: {},
    owner: isMissing('owner') ? undefined : owner,
    catalog: isMissing('catalog') ? undefined : catalog,
    index: isMissing('catalog') ? undefined : indexCatalog(toCatalogModel(catalog.spec)),
    rules: isMissing('owner') ? [] : toOwnerRow(owner).rules,
    targets: resolveTargets(
      counting.resource,
      { name: 'payments', labels: {} },
      { findDestination: () => (isMissing('destination') ? undefined : destination) },
    ),
    store,
    horizon: given.horizon ?? { kind: 'unknown', why: 'no replica' },
    ...(given.workloads === undefined ? {} : { workloads: workloadsOf(given.workloads) }),
    sights: new Map(
      Object.entries(given.sights ?? {}).map(([at, sight]) => [formatLocation(locationOf(at)), sightOf(sight, digests)]),
    ),
    envelopes: isMissing('catalog') ? new Map() : digests,
    compare: given.compare ?? 'none',
    admission,
    limits: testLimits,
  };
}

function admissionOf({ admission }: ObservedCase): AdmissionState {
  const days = 86_400_000;
  switch (admission) {
    case 'away':
      return { kind: 'notInForce', since: now - 60_000, why: 'the ValidatingAdmissionPolicy keywright does not exist' };
    case 'back':
      return { kind: 'inForce', period: 'present', since: now - 60_000 };
    case 'inForce':
      return { kind: 'inForce', period: 'present', since: now - 100 * days };
    default:
      return { kind: 'notRequired' };
  }
}

/** A plan as plain data with instants from now, for a golden file. */
export function summaryOf(plan: Plan): Readonly<Record<string, unknown>> {
  return {
    rule: plan.rule,
    ...(plan.action === undefined ? {} : { action: actionOf(plan.action) }),
    ...(plan.blocker === undefined ? {} : { blocker: plan.blocker }),
    ...(plan.wakeAt === undefined ? {} : { wakeAfter: span(plan.wakeAt) }),
  };
}

function actionOf(action: Action): Readonly<Record<string, unknown>> {
  const { kind } = action;
  switch (action.kind) {
    case 'look':
      return { kind, depth: action.depth, at: action.at.map(nameOf) };
    case 'revokeAll':
      return { ...action };
    case 'checkAdmission':
      return { kind };
    case 'takeOver':
      return { kind, proposed: { suspended: action.proposed.suspended, selections: action.proposed.selections } };
    case 'saveSettings':
      return { kind, ...appliedSummary(action.applied) };
    case 'endVersions':
      return { ...action };
    case 'saveHandled':
      return { ...action };
    case 'setExpiry':
      return {
        kind,
        expires: Object.fromEntries(
          action.expiries.map(({ keyId, expiresAt }) => [keyId, expiresAt === undefined ? 'never' : span(expiresAt)]),
        ),
      };
    case 'bringForward':
      return { kind, ends: Object.fromEntries(action.ends.map(({ keyId, notAfter }) => [keyId, span(notAfter)])) };
    case 'beginWithdrawal':
      return { kind, at: action.deliveries.map((row) => nameOf(row.location)) };
    case 'withdraw':
    case 'finishWithdrawal':
      return { kind, at: nameOf(action.delivery.location) };
    case 'mint': {
      const { epoch, cause, lostKeyIds, expiresAt, publish, handled } = action;
      const expires = expiresAt === undefined ? 'never' : span(expiresAt);
      const to = action.targets.map((target) => nameOf(target.location));
      return { kind, epoch, cause, lostKeyIds, expires, to, publish, ...(handled === undefined ? {} : { handled }) };
    }
    case 'copy':
      return {
        kind,
        keyId: action.version.keyId,
        from: nameOf(action.from),
        to: action.to.map((target) => nameOf(target.location)),
        publish: action.publish,
      };
    case 'confirm':
      return { kind, keyId: action.version.keyId, at: action.at.map((target) => nameOf(target.location)) };
    case 'activate':
      return {
        kind,
        keyId: action.version.keyId,
        oldEnds: action.oldNotAfter === undefined ? 'there is no old one' : span(action.oldNotAfter),
      };
    case 'lookAtConsumers':
      return { kind, at: action.at.map(workloadName) };
    case 'restartConsumers':
      return { kind, at: action.at.map(({ consumer }) => workloadName(consumer)) };
    case 'addFinalizer':
    case 'removeFinalizer':
    case 'releaseKey':
      return { kind };
  }
}

function appliedSummary({ settings, proposed, notPermitted }: AppliedSettings): Readonly<Record<string, unknown>> {
  return {
    suspended: settings.suspended,
    selections: settings.selections,
    ...(proposed === undefined ? {} : { proposed: { suspended: proposed.suspended, selections: proposed.selections } }),
    ...(notPermitted === undefined ? {} : { notPermitted }),
  };
}

function object(kind: string, name: string, ownUid: string = `${name}-uid`) {
  return { apiVersion: 'keywright.dev/v1alpha1', kind, metadata: { name, uid: ownUid, resourceVersion: '1', generation: 1 } };
}

function keyOf(given: ObservedCase): ApiKey {
  const status = statusOf(given);
  return {
    apiVersion: 'keywright.dev/v1alpha1',
    kind: 'ApiKey',
    metadata: {
      namespace: 'payments',
      name: 'billing',
      uid,
      resourceVersion: '7',
      generation: given.generation ?? 1,
      creationTimestamp: formatInstant(at(given.created ?? '-24h')),
      finalizers: given.finalizer === false ? [] : [finalizer],
      ...(given.annotations === undefined ? {} : { annotations: given.annotations }),
      ...(given.deleting === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: keySpec(given.spec),
    ...(status === undefined ? {} : { status }),
  };
}

function statusOf(given: ObservedCase): ApiKeyStatus | undefined {
  if (given.fresh === true && given.status === undefined) return undefined;
  const { epoch = 1, revoked, faults = [], undelivered, replaced, handledRotation, handledCompromise } = given.status ?? {};
  const currentKey = { id: `K${epoch}`, display: `acme_live_K${epoch}`, epoch, issuedAt: '2025-12-31T00:00:00Z' };
  const failing = (type: ConditionType, reason: Reason, since: Instant): Condition => ({
    type,
    status: 'False',
    reason,
    message: 'as it was',
    observedGeneration: 1,
    lastTransitionTime: formatInstant(since),
  });
  const conditions: readonly Condition[] = [
    ...(undelivered === undefined ? [] : [failing('Delivered', 'DestinationUnavailable', at(undelivered))]),
    ...(replaced === true ? [failing('OwnerActive', 'OwnerReplaced', now)] : []),
  ];
  const destinations = faults.map((at) => ({ name: at, location: locationOf(at).path, reason: 'DestinationUnavailable' }));
  return {
    observedGeneration: 1,
    conditions,
    currentKey,
    destinations,
    ...(handledRotation === undefined ? {} : { lastHandledRotation: handledRotation }),
    ...(handledCompromise === undefined ? {} : { lastHandledCompromise: handledCompromise }),
    ...(revoked === undefined ? {} : { revokedKeyIds: revoked }),
  };
}

function stateOf(given: ObservedCase, resource: ApiKey, versions: readonly Version[], deliveries: readonly Delivery[]): KeyState {
  const settings = {
    ...settingsOf(resource.spec),
    ...(given.settingsDiffer === undefined ? {} : { displayName: 'another name' }),
    ...given.storedSettings,
  };
  const highestEpoch = given.highestEpoch ?? Math.max(0, ...versions.map((version) => version.epoch));
  const { closed, lastEnded, handled, compromised } = given;
  return {
    key:
      given.fresh === true
        ? undefined
        : {
            ref: { namespace: 'payments', name: 'billing', uid },
            settings,
            ...acceptedOf(given, resource),
            ...termsIn(given, resource),
            ...(given.settingsDiffer === 'proposed' ? { proposed: settingsOf(resource.spec) } : {}),
            ...(given.recordedNotPermitted === true ? { notPermitted: true as const } : {}),
            ...(closed === undefined ? {} : { revokedReason: closed }),
            ...(handled === undefined ? {} : { handled }),
            ...(lastEnded === 'expired' ? { expiredGeneration: resource.metadata.generation ?? 1 } : {}),
          },
    versions,
    ...(given.predecessor === true ? { predecessor: 'an-earlier-resource' } : {}),
    ...(given.inherited === true ? { newestInherited: true as const } : {}),
    highestEpoch,
    ...(highestEpoch === 0 ? {} : { boundOwnerUid: given.ownerReplaced === true ? 'an-earlier-uid' : 'payments-team-uid' }),
    attemptsOfHighestEpoch: given.attempts ?? versions.filter((version) => version.epoch === highestEpoch).length,
    revokedKeyIds: [],
    ...(lastEnded === undefined ? {} : { lastEnded: { keyId: 'K0', reason: lastEnded, at: now } }),
    ...(compromised === undefined ? {} : { compromised: { ...compromised, at: now } }),
    deliveries,
  };
}

function acceptedOf({ accepted = {}, admission }: ObservedCase, resource: ApiKey): Pick<KeyRow, 'accepted'> {
  if (accepted === 'never') return { accepted: neverAccepted };
  const { generation = resource.metadata.generation ?? 1, requests = requestsText(resource), period = 'present' } = accepted;
  return { accepted: { generation, requests, period: admission === undefined ? 'off' : period } };
}

function termsIn({ terms, accepted, admission }: ObservedCase, resource: ApiKey): Pick<KeyRow, 'terms'> {
  const known = typeof accepted === 'object' ? accepted : {};
  const generation = known.generation ?? resource.metadata.generation ?? 1;
  if (terms === undefined) {
    const isAsWritten =
      generation === resource.metadata.generation && known.requests === undefined && typeof accepted !== 'string';
    return isAsWritten && admission !== undefined ? { terms: termsOf(resource) } : {};
  }
  const { spec = {}, paused = false, endsAt } = terms;
  const end = endsAt === undefined ? {} : { endsAt: at(endsAt) };
  return { terms: { ...termsOf({ ...resource, spec: keySpec(spec) }), generation, paused, ...end } };
}

function versionOf(given: VersionCase): Version {
  const { epoch, state, id = `K${epoch}` } = given;
  const issuedAt = at(given.issued ?? '-24h');
  return {
    id: `uuid-${id}`,
    apiKeyUid: uid,
    keyId: id,
    display: `acme_live_${id}`,
    epoch,
    state,
    lost: given.lost ?? false,
    cause: given.cause ?? 'Initial',
    hash: new Uint8Array(32),
    pepperId: 'p1',
    ownerUid: 'payments-team-uid',
    issuedAt,
    ...(given.inherited === undefined ? {} : { inherited: given.inherited }),
    ...(state === 'pending' ? {} : { activatedAt: issuedAt }),
    ...(given.expires === 'never' ? {} : { expiresAt: at(given.expires ?? '8736h') }),
    ...(given.notAfter === undefined ? {} : { notAfter: at(given.notAfter) }),
    ...(given.used === undefined ? {} : { firstUsedAt: at(given.used), lastUsedAt: at(given.used) }),
  };
}

function workloadsOf(given: NonNullable<ObservedCase['workloads']>): ReadonlyMap<string, ConsumerSight> {
  const metadata = { namespace: 'payments', name: 'billing', uid: 'workload-uid', resourceVersion: '1' };
  const observed = { kind: 'Deployment' as const, metadata, spec: {} };
  return new Map(
    Object.entries(given).map(([name, kind]): [string, ConsumerSight] => [
      name,
      kind === 'notAsked' ? { kind, observed } : { kind },
    ]),
  );
}

function deliveryOf(given: DeliveryCase, digests: ReadonlyMap<string, string>): Delivery {
  const { holds, intended = holds, since } = given;
  const held = holds === undefined ? {} : { heldKeyId: holds, heldVersion: '1', deliveredAt: at(given.written ?? '0s') };
  const digest = given.staleEnvelope === true ? 'stale' : digests.get(holds ?? '');
  return {
    id: `row-${given.at}`,
    apiKeyUid: uid,
    targetName: given.at === 'earlierVault' ? 'vault' : given.at,
    location: locationOf(given.at),
    state: given.state ?? 'live',
    ...held,
    ...(holds === undefined || digest === undefined ? {} : { heldEnvelope: digest }),
    ...(intended === undefined ? {} : { intendedKeyId: intended }),
    ...(since === undefined ? {} : { withdrawingSince: at(since) }),
  };
}

function sightOf(given: SightCase, digests: ReadonlyMap<string, string>): Sight {
  if (given === 'absent') return { reading: { kind: 'absent', revision: 'absent' } };
  if (given === 'failed') return { failure: waiting('DestinationUnavailable', 'the destination does not answer') };
  if (given === 'vanished') return { failure: waiting('DestinationNotFound', 'there is no such destination'), vanished: true };
  if (given === 'gone-again') return { reading: { kind: 'absent', revision: 'absent' }, written: true };
  if (given === 'unusable') return { failure: stalled('InvalidSpec', 'spec.vault.auth cannot be used') };
  if (given === 'foreign') return { reading: { kind: 'unmarked', revision: '1' } };
  if (given === 'taken') return { taken: true };
  const parts: Exclude<SightCase, string> = typeof given === 'string' ? { mark: given, value: given } : given;
  const mark: Mark = {
    installationId: parts.installation ?? installationId,
    namespace: parts.namespace ?? 'payments',
    name: parts.name ?? 'billing',
    uid: parts.uid ?? uid,
    keyId: parts.mark,
    epoch: parts.epoch ?? Number(/^K([0-9]+)/.exec(parts.mark)?.[1] ?? 1),
    envelope: digests.get(parts.mark) ?? 'unknown',
  };
  const { carries = true, staged, undressed, altered } = parts;
  const stage = { ...(staged && { staged }), ...(undressed && { undressed }) };
  const reading: Reading = { kind: 'marked', mark, carries, ...stage, providerVersion: '1', revision: '1' };
  const seen = parts.value === undefined ? {} : { value: { ...valueOf(parts.value), ...(altered && { altered }) } };
  return { reading, ...seen, ...(parts.written && { written: parts.written }) };
}

function valueOf(text: string): ValueSight {
  return text === 'unknown' || text === 'absent' ? { kind: text } : { kind: 'version', keyId: text };
}

function locationOf(name: string): Location {
  if (name === 'vault') return { destinationUid: 'vault-uid', path: vaultPath };
  if (name === 'earlierVault') return { destinationUid: 'earlier-vault-uid', path: vaultPath };
  if (name === 'local') return { destinationUid: secretDestinationUid, path: secretPath };
  return { destinationUid: secretDestinationUid, path: `payments/${name}` };
}

function nameOf(location: Location): string {
  if (location.destinationUid === 'earlier-vault-uid') return 'earlierVault';
  return location.path === vaultPath ? 'vault' : location.path === secretPath ? 'local' : location.path;
}

/** `-24h` → an instant; `0s` is now. */
function at(text: string): Instant {
  return text.startsWith('-') ? now - durationMs(text.slice(1)) : now + durationMs(text);
}

/** An instant → `1h30m` from now. */
function span(instant: Instant): string {
  const seconds = Math.round(Math.abs(instant - now) / 1000);
  const parts = [
    [Math.floor(seconds / 3600), 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ] as const;
  const text = parts.flatMap(([count, unit]) => (count === 0 ? [] : [`${count}${unit}`])).join('');
  return `${instant < now ? '-' : ''}${text === '' ? '0s' : text}`;
}
