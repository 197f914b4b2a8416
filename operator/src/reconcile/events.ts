import type { ApiKeyStatus, Condition, ConditionType } from '../api/kinds.ts';
import { annotations } from '../api/meta.ts';
import { formatLocation, type Location } from '../domain/key.ts';
import { reasons, type Reason } from '../domain/reason.ts';
import { formatInstant } from '../domain/time.ts';
import type { Version } from '../domain/version.ts';
import type { EventRecord } from '../resources/port.ts';
import type { Action } from './action.ts';
import { evidenceOf } from './evidence.ts';
import { activeVersion, deliveryAt, holdingAt, isTampered, type Observed } from './observed.ts';
import { retirementsOf } from './rotation/outlook.ts';
import { parseCompromised } from './rotation/requests.ts';
import type { EndCause } from './rotation/retire.ts';
import { contactOf, namesOfUsers, sentenceOfOld } from './rotation/statements.ts';
import { predecessorOf } from './succession.ts';

/**
 * What a person reads of a key: one sentence for each fact, in the order of the facts. A fact is told where it happens, in the
 * step that makes it ({@link storyOf}), or where the status begins to say it ({@link newsOf}); neither repeats it at a later
 * pass, a restart or another leader. Values are never in it; the display form of a key may be.
 */
export type Story = readonly EventRecord[];

/** One step that was taken. What it did shows in the difference: where another writer was quicker there is none. */
export interface Step {
  readonly before: Observed;
  readonly action: Action;
  readonly after: Observed;
}

/** The events of one step. */
export function storyOf(step: Step): Story {
  const { before, action, after } = step;
  switch (action.kind) {
    case 'mint':
      return mintStory(step, action);
    case 'copy':
      return copyStory(step, action);
    case 'activate':
      return activationStory(step, action.version);
    case 'endVersions':
      return endStory(step, action);
    case 'revokeAll':
      return before.store.versions.length > 0 && after.store.versions.length === 0 ? [normal('Revoked', action.detail)] : [];
    case 'withdraw': {
      const { location, targetName } = action.delivery;
      return isLiveOrLeaving(after, location) ? [] : [normal('Withdrawn', `The value was removed from ${targetName}.`)];
    }
    case 'restartConsumers':
      return restartStory(step, action);
    default:
      return [];
  }
}

function mintStory({ before, after }: Step, { cause, lostKeyIds, epoch }: Extract<Action, { kind: 'mint' }>): Story {
  const minted = after.store.versions.find((version) => !before.store.versions.some(({ keyId }) => keyId === version.keyId));
  if (minted === undefined) return [];
  const lost = lostKeyIds.length === 0 ? '' : `; no destination holds ${lostKeyIds.join(', ')} any more`;
  const why = cause === 'Initial' ? 'The first version.' : reasons[cause];
  const told = normal('Minted', `Minted version ${epoch}, ${minted.display} (${cause}${lost}): ${why}`);
  if (cause === 'StoreBehind') return [warning('StoreBehind', reasons.StoreBehind), told];
  if (cause === 'ValueLost' && lostKeyIds.length === 0)
    return [warning('DestinationDrift', 'The delivered value was lost or changed everywhere.'), told];
  return [told];
}

/** Writing a value again is worth telling when it was there and somebody lost or changed it. */
function copyStory({ before, after }: Step, { version, to }: Extract<Action, { kind: 'copy' }>): Story {
  const repaired = to.filter(({ location }) => {
    const row = deliveryAt(before, location);
    if (row?.state !== 'live' || row.heldKeyId !== version.keyId) return false;
    return isDamaged(before, location, version) && !isDamaged(after, location, version);
  });
  if (repaired.length === 0) return [];
  const names = repaired.map(({ name }) => name).join(', ');
  return [
    warning('DestinationDrift', `The value, or an entry or label of it, was lost or changed and was written again to ${names}.`),
  ];
}

function isDamaged(o: Observed, location: Location, { keyId }: Version): boolean {
  const holding = holdingAt(o, location);
  if (holding.kind === 'empty') return true;
  if (holding.kind !== 'ours') return false;
  return holding.claimed !== keyId || (holding.valueSeen && holding.proven !== keyId) || isTampered(o, location, holding);
}

function activationStory({ before, after }: Step, { keyId, display }: Version): Story {
  const active = activeVersion(after);
  if (active?.keyId !== keyId || activeVersion(before)?.keyId === keyId) return [];
  const old = predecessorOf(after);
  const rest = old === undefined ? '' : ` ${sentenceOfOld(old.version, old.retirement)}`;
  return [normal('Current', `${display} is delivered and current.${rest}`)];
}

function endStory({ before, after }: Step, action: Extract<Action, { kind: 'endVersions' }>): Story {
  const ended = before.store.versions.filter(
    ({ keyId }) => action.keyIds.includes(keyId) && !after.store.versions.some((version) => version.keyId === keyId),
  );
  if (action.reason === 'revoked') return revocationStory(before, action, ended);
  // Of a lost attempt nobody was told that it began.
  return ended
    .filter(({ lost }) => !lost)
    .map((version) =>
      action.reason === 'expired' && version.state !== 'retiring'
        ? warning('Expired', `${version.display} has expired.${contactOf(before.resource.spec.contactEmail)}`)
        : retirementStory(before, version),
    );
}

function revocationStory(
  before: Observed,
  { handled }: Extract<Action, { kind: 'endVersions' }>,
  ended: readonly Version[],
): Story {
  const names = ended.map(({ display }) => display).join(', ');
  if (handled?.compromised === undefined)
    return ended.length === 0 ? [] : [warning('Revoked', `Revoked again, as the status remembers: ${names}.`)];
  const live = before.store.versions.map(({ keyId }) => keyId);
  const { unknown, malformed } = parseCompromised(handled.compromised, live);
  const dead = ended.length === 0 ? 'No live version was named' : `Ended at once: ${names}`;
  const rest = [
    ...(unknown.length === 0 ? [] : [`no live version of this key: ${unknown.join(', ')}`]),
    ...(malformed === 0 ? [] : [`entries that are no key id: ${String(malformed)}`]),
  ];
  return [warning('Compromised', `${[`${dead}, by the annotation ${annotations.compromised}`, ...rest].join('; ')}.`)];
}

const ends: Readonly<Record<EndCause, string>> = {
  Unused: 'it was not used any more',
  OverlapOver: 'the overlap was over',
  MaxOverlap: 'spec.rotation.maxOverlap was over',
  SuccessorDue: 'the version that took its place was to be replaced',
  ExpiryFirst: 'it expired',
};

/** A person is asked for when somebody still used it: its requests are refused from now on. */
function retirementStory(before: Observed, version: Version): EventRecord {
  const why = ends[endCauseOf(before, version)];
  const { lastUsedAt, display } = version;
  const activatedAt = activeVersion(before)?.activatedAt ?? Number.POSITIVE_INFINITY;
  const last = lastUsedAt === undefined ? 'never seen in use' : `last used at ${formatInstant(lastUsedAt)}`;
  const users = namesOfUsers(version);
  const by = lastUsedAt === undefined || users.length === 0 ? '' : ` by ${users.join('; ')}`;
  const wasInUse = lastUsedAt !== undefined && lastUsedAt > activatedAt && why !== ends.Unused;
  const message = `The old version ${display} has ended: ${why}; ${last}${by}.`;
  return wasInUse ? warning('Retired', message) : normal('Retired', message);
}

/** Why an old version ended when it did: what was true of it in the second before. */
function endCauseOf(before: Observed, { keyId, notAfter, expiresAt }: Version): EndCause {
  const end = Math.min(notAfter ?? Number.POSITIVE_INFINITY, expiresAt ?? Number.POSITIVE_INFINITY);
  const then = { ...before, now: Math.min(before.now, end - 1_000) };
  const retirement = retirementsOf(then, evidenceOf(then)).retiring.find(({ version }) => version.keyId === keyId)?.retirement;
  if (retirement === undefined) return end === expiresAt ? 'ExpiryFirst' : 'OverlapOver';
  // Only use that was seen to be over brings an end nearer than that.
  if (end < retirement.notAfter) return 'Unused';
  return retirement.kind === 'ends' ? retirement.why : retirement.latest;
}

function restartStory({ before, after }: Step, { at }: Extract<Action, { kind: 'restartConsumers' }>): Story {
  const display = activeVersion(before)?.display ?? 'the current version';
  return at
    .filter(({ consumer: { kind, name } }) => after.workloads?.get(`${kind}/${name}`)?.kind === 'unseen')
    .map(({ consumer: { kind, name } }) => normal('Restarted', `${kind} ${name} was restarted, so that it reads ${display}.`));
}

/** Why a destination lacks the current version for longer than a write takes. */
const deliveryFaults: readonly Reason[] = [
  'DestinationUnavailable',
  'DestinationNotFound',
  'DestinationUnconfirmed',
  'DestinationDrift',
  'ForeignValue',
  'LocationTaken',
  'NotPermitted',
];
/** Where Adopted asks for a person; else it only takes time. */
const rolloutFaults: readonly Reason[] = ['RolloutStuck', 'ConsumerNotFound', 'NotPermitted', 'InvalidSpec'];

/**
 * What the status begins to say. What the steps of the same pass have told is left out, and so is what Ready says already.
 */
export function newsOf(before: ApiKeyStatus | undefined, after: ApiKeyStatus, told: Story): Story {
  const then = conditionsOf(before);
  const now = conditionsOf(after);
  const isNewKey = before?.currentKey?.id !== after.currentKey?.id;
  const news = [
    ...keyNews(before, after, told),
    ...readyNews(before, after),
    ...deliveredNews(then('Delivered'), now('Delivered')),
    ...adoptedNews(then('Adopted'), now('Adopted'), isNewKey ? undefined : before?.currentKey?.id, after.currentKey?.display),
    ...whenTrue(then('Expired'), now('Expired'), false),
    ...whenTrue(then('Expiring'), now('Expiring'), true),
    ...requestNews(then('Rotating'), now('Rotating')),
  ];
  const said = new Set<Reason>(told.map(({ reason }) => reason));
  const fresh: EventRecord[] = [];
  for (const event of news) {
    if (said.has(event.reason)) continue;
    said.add(event.reason);
    fresh.push(event);
  }
  return fresh;
}

type Lookup = (type: ConditionType) => Condition | undefined;

function conditionsOf(status: ApiKeyStatus | undefined): Lookup {
  return (type) => status?.conditions.find((condition) => condition.type === type);
}

/** What a pass did that ended before it could tell, or somebody else did in the store. */
function keyNews(before: ApiKeyStatus | undefined, after: ApiKeyStatus, told: Story): Story {
  const { currentKey, previousKey, revokedKeyIds = [] } = after;
  if (before === undefined || currentKey === undefined) return [];
  const wasActive = before.currentKey?.activatedAt === undefined ? undefined : before.currentKey.id;
  const isCurrentNews = currentKey.activatedAt !== undefined && wasActive !== currentKey.id;
  const gone = [wasActive, before.previousKey?.id]
    .filter((keyId) => keyId !== undefined)
    .filter((keyId) => keyId !== currentKey.id && keyId !== previousKey?.id)
    .filter((keyId) => !told.some(({ reason, message }) => endReasons.includes(reason) && message.includes(keyId)));
  return [
    ...gone.map((keyId) =>
      revokedKeyIds.includes(keyId)
        ? warning('Revoked', `Version ${keyId} was revoked.`)
        : normal('Retired', `The old version ${keyId} has ended.`),
    ),
    ...(isCurrentNews ? [normal('Current', `${currentKey.display} is delivered and current.`)] : []),
  ];
}

/** What tells that a version ended. */
const endReasons: readonly Reason[] = ['Retired', 'Expired', 'Revoked', 'Compromised'];

/** Ready has come, is lost, or is missing for another reason. */
export function readyNews(then: ApiKeyStatus | undefined, now: ApiKeyStatus): Story {
  const before = conditionsOf(then)('Ready');
  const after = conditionsOf(now)('Ready');
  if (after === undefined || (before?.status === after.status && before.reason === after.reason)) return [];
  const calm = after.status === 'True' || ['Minting', 'Delivering', 'Suspended'].includes(after.reason);
  return [calm ? normal(after.reason, after.message) : warning(after.reason, after.message)];
}

/** A place that fails while others keep the key Ready. */
function deliveredNews(before: Condition | undefined, after: Condition | undefined): Story {
  if (after === undefined || before?.reason === after.reason) return [];
  if (after.status === 'False') return deliveryFaults.includes(after.reason) ? [warning(after.reason, after.message)] : [];
  const isMended = before?.status === 'False' && deliveryFaults.includes(before.reason);
  return isMended ? [normal('Current', after.message)] : [];
}

function adoptedNews(
  before: Condition | undefined,
  after: Condition | undefined,
  sameKeyId: string | undefined,
  display: string | undefined,
): Story {
  if (after === undefined) return [];
  const isNews = before?.reason !== after.reason || sameKeyId === undefined;
  if (!isNews) return [];
  if (after.status === 'True') return [normal(after.reason, `${display ?? 'The current version'} is in use. ${after.message}`)];
  return rolloutFaults.includes(after.reason) ? [warning(after.reason, after.message)] : [];
}

/** An abnormal condition; with `again` each new sentence is one more notice. */
function whenTrue(before: Condition | undefined, after: Condition | undefined, again: boolean): Story {
  if (after?.status !== 'True') return [];
  const isKnown = before?.status === 'True' && (!again || before.message === after.message);
  return isKnown ? [] : [warning(after.reason, after.message)];
}

/** A request annotation that cannot be understood. */
function requestNews(before: Condition | undefined, after: Condition | undefined): Story {
  if (after?.reason !== 'InvalidSpec' || before?.reason === after.reason) return [];
  return [warning(after.reason, after.message)];
}

function isLiveOrLeaving(o: Observed, location: Location): boolean {
  const wanted = formatLocation(location);
  return o.store.deliveries.some((delivery) => formatLocation(delivery.location) === wanted);
}

function normal(reason: Reason, message: string): EventRecord {
  return { type: 'Normal', reason, message };
}

function warning(reason: Reason, message: string): EventRecord {
  return { type: 'Warning', reason, message };
}
