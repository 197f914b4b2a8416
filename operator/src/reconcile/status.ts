import type { ApiKeyStatus, Condition, ConditionType, DestinationStatus } from '../api/kinds.ts';
import type { Failure } from '../domain/failure.ts';
import { formatInstant, parsePastInstant, type Instant } from '../domain/time.ts';
import { type Version } from '../domain/version.ts';
import { effectiveOf } from '../domain/grants.ts';
import type { Plan } from './action.ts';
import { appliedOf, layersOf } from './applied.ts';
import { enforcedOf } from './enforcement.ts';
import { activeVersion, deliveryAt, pendingVersion, type Observed, type Target } from './observed.ts';
import { handledRequests } from './rotation/outlook.ts';
import { namesOfUsers } from './rotation/statements.ts';
import { lastUseTold, predecessorOf, successionOf } from './succession.ts';
import {
  deliveredOf,
  holdsOneOf,
  issuedOf,
  no,
  ownerOf,
  progressOf,
  readyOf,
  targetFault,
  yes,
  type Statement,
} from './verdict.ts';

/**
 * The whole status of an ApiKey, projected from what was observed: a lost status comes back as it was. Read it only to be more
 * cautious, because an attacker with the operator's token can forge it; docs/threat-model.md lists what is read. The only writer
 * of conditions; each keeps its lastTransitionTime while its status stays the same.
 */
export function statusOf(o: Observed, plan: Plan): ApiKeyStatus {
  const previous = o.resource.status;
  const { reconciling, stalled } = progressOf(o, plan);
  const { conditions: succession, nextRotationAt } = successionOf(o, plan);
  const owner = ownerOf(o);
  const handled = handledRequests(o);
  const statements: Readonly<Partial<Record<ConditionType, Statement>>> = {
    Ready: readyOf(o, plan),
    Issued: issuedOf(o),
    Delivered: deliveredOf(o),
    OwnerActive: owner,
    ...succession,
    ...enforcedOf('ApiKey', o.resource.spec),
    Reconciling: reconciling,
    Stalled: stalled,
  };
  const current = activeVersion(o) ?? pendingVersion(o);
  const old = predecessorOf(o)?.version;
  const secret = boundSecret(o);
  return {
    ...(handled.compromised === undefined ? {} : { lastHandledCompromise: handled.compromised }),
    ...(handled.rotate === undefined ? {} : { lastHandledRotation: handled.rotate }),
    ...effectiveStatusOf(o),
    ...generationOf(o),
    conditions: conditionsOf(statements, previous?.conditions ?? [], o.now, o.resource.metadata.generation),
    ...(current === undefined ? {} : { currentKey: currentKeyOf(current, previous) }),
    ...(old === undefined ? {} : { previousKey: previousKeyOf(old, previous) }),
    ...(nextRotationAt === undefined ? {} : { nextRotationAt: formatInstant(nextRotationAt) }),
    destinations: o.targets.flatMap((target) => destinationOf(o, target)),
    ...(secret === undefined ? {} : { binding: { name: secret } }),
    ...(o.store.revokedKeyIds.length === 0 ? {} : { revokedKeyIds: [...o.store.revokedKeyIds] }),
  };
}

/**
 * The status when nothing could be observed: the last known one, but nobody can vouch for Ready. `failures` carries the
 * back-off over a restart.
 */
export function failedStatusOf(
  previous: ApiKeyStatus | undefined,
  failure: Failure,
  at: { readonly now: Instant; readonly retryAt: Instant; readonly generation: number | undefined },
): ApiKeyStatus {
  const { now, retryAt, generation } = at;
  const { reason, message } = failure;
  const stuck = failure.kind === 'stalled';
  const statements: Readonly<Partial<Record<ConditionType, Statement>>> = {
    Ready: { status: 'Unknown', reason, message },
    Reconciling: stuck ? no(reason, message) : yes(reason, message),
    Stalled: stuck ? yes(reason, message) : no('Progressing'),
  };
  const before = previous?.conditions ?? [];
  const told = conditionsOf(statements, before, now, generation);
  const others = before.filter((condition) => statements[condition.type] === undefined);
  return {
    ...(previous ?? {}),
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    conditions: [...told, ...others],
    failures: { count: (previous?.failures?.count ?? 0) + 1, lastAt: formatInstant(now), retryAt: formatInstant(retryAt) },
  };
}

/** As many scopes as the status may name. */
const mostScopes = 200;

/** What the key may do now: access type ∩ selection ∩ owner, spelled out. Nothing can be said without a catalog. */
function effectiveStatusOf(o: Observed): Pick<ApiKeyStatus, 'effective'> {
  if (o.index === undefined) return {};
  const { notPermitted } = appliedOf(o);
  const found = effectiveOf({ index: o.index, layers: layersOf(o), rules: notPermitted === true ? [] : o.rules });
  return { effective: { ...found, scopes: found.scopes.slice(0, mostScopes) } };
}

/** The conditions of a status; the lastTransitionTime of each stays while its status stays. */
export function conditionsOf(
  statements: Readonly<Partial<Record<ConditionType, Statement>>>,
  previous: readonly Condition[],
  now: Instant,
  generation: number | undefined,
): readonly Condition[] {
  return Object.entries(statements).map(([type, statement]) =>
    conditionOf(type as ConditionType, statement, previous, now, generation),
  );
}

function conditionOf(
  type: ConditionType,
  statement: Statement,
  previous: readonly Condition[],
  now: Instant,
  generation: number | undefined,
): Condition {
  const before = previous.find((condition) => condition.type === type);
  // The CRD's own first condition has the first instant of 1970.
  const isPast = (parsePastInstant(before?.lastTransitionTime, now) ?? 0) > 0;
  const unchanged = before !== undefined && isPast && before.status === statement.status;
  return {
    type,
    ...statement,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    lastTransitionTime: unchanged ? before.lastTransitionTime : formatInstant(now),
  };
}

function currentKeyOf(version: Version, told: ApiKeyStatus | undefined): NonNullable<ApiKeyStatus['currentKey']> {
  return {
    id: version.keyId,
    display: version.display,
    epoch: version.epoch,
    issuedAt: formatInstant(version.issuedAt),
    ...(version.activatedAt === undefined ? {} : { activatedAt: formatInstant(version.activatedAt) }),
    ...(version.expiresAt === undefined ? {} : { expiresAt: formatInstant(version.expiresAt) }),
    ...(version.firstUsedAt === undefined ? {} : { firstUsedAt: formatInstant(version.firstUsedAt) }),
    ...usesOf(version, told),
  };
}

/** Who used a version, and when last. */
function usesOf(
  version: Version,
  told: ApiKeyStatus | undefined,
): Pick<NonNullable<ApiKeyStatus['currentKey']>, 'lastUsedAt' | 'usedBy'> {
  const lastUsedAt = lastUseTold(version, told);
  const users = namesOfUsers(version);
  return { ...(lastUsedAt === undefined ? {} : { lastUsedAt }), ...(users.length === 0 ? {} : { usedBy: users }) };
}

function previousKeyOf(version: Version, told: ApiKeyStatus | undefined): NonNullable<ApiKeyStatus['previousKey']> {
  return {
    id: version.keyId,
    epoch: version.epoch,
    ...(version.notAfter === undefined ? {} : { notAfter: formatInstant(version.notAfter) }),
    ...usesOf(version, told),
  };
}

function destinationOf(o: Observed, target: Target): readonly DestinationStatus[] {
  const { location } = target;
  if (location === undefined) return [];
  const row = deliveryAt(o, location);
  const fault = targetFault(o, target);
  return [
    {
      name: target.name,
      location: location.path,
      ...(row?.heldKeyId === undefined ? {} : { keyId: row.heldKeyId }),
      ...(row?.heldVersion === undefined ? {} : { version: row.heldVersion }),
      ...(row?.deliveredAt === undefined ? {} : { deliveredAt: formatInstant(row.deliveredAt) }),
      ...(fault === undefined ? {} : { reason: fault.reason }),
    },
  ];
}

/** Service Binding's `status.binding`: the first delivered Secret. */
function boundSecret(o: Observed): string | undefined {
  const live = o.store.versions.map((version) => version.keyId);
  for (const [at, entry] of o.resource.spec.deliverTo.entries()) {
    const target = o.targets[at];
    if (entry.secret !== undefined && target !== undefined && holdsOneOf(o, target, live)) return entry.secret.name;
  }
  return undefined;
}

function generationOf(o: Observed): Pick<ApiKeyStatus, 'observedGeneration'> {
  const { generation } = o.resource.metadata;
  return generation === undefined ? {} : { observedGeneration: generation };
}
