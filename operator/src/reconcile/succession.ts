import type { ApiKeyStatus } from '../api/kinds.ts';
import { annotations } from '../api/meta.ts';
import { consumersStatement, switchedOffMessage } from '../consumers/adoption.ts';
import { durationMs } from '../domain/duration.ts';
import { ceilToSecond, formatInstant, type Instant } from '../domain/time.ts';
import type { Version } from '../domain/version.ts';
import type { Plan } from './action.ts';
import { consumerStates, namedConsumers } from './consuming.ts';
import { evidenceOf, readableOutlook } from './evidence.ts';
import { activeVersion, liveVersions, pendingVersion, type Observed } from './observed.ts';
import { nextRotationAt } from './rotation/begin.ts';
import { requestsOf, retirementsOf, type Outlook, type Retiring } from './rotation/outlook.ts';
import { parseCompromised, type Request } from './rotation/requests.ts';
import type { Retirement } from './rotation/retire.ts';
import {
  adoptedOf,
  contactOf,
  expiringOf,
  nextExpiringAt,
  rotatingOf,
  type ExpiryOutlook,
  type Rotation,
} from './rotation/statements.ts';
import { isComingBack } from './rules/minting.ts';
import { issuedOf, no, yes, type Statement } from './verdict.ts';

/** What the status says of the versions of a key: how they follow each other, and whether they are used. */
export interface Succession {
  readonly Adopted: Statement;
  readonly Rotating: Statement;
  readonly Expiring: Statement;
  readonly Expired: Statement;
}

/** The conditions of {@link Succession}, and when the next rotation begins as far as is known. */
export function successionOf(o: Observed, plan: Plan): { readonly conditions: Succession; readonly nextRotationAt?: Instant } {
  const outlook = readableOutlook(o);
  const step = outlook?.step ?? { kind: 'none' };
  const expiring = expiryOutlookOf(o, outlook);
  const next = nextRotationAt(step);
  return {
    conditions: {
      Adopted: adoptionOf(o),
      Rotating: withRequestFault(o, rotatingOf({ ...rotationOf(o), step })),
      Expiring: expiring === undefined ? no('Steady', 'No version is active.') : expiringOf(expiring, o.now),
      Expired: expiredOf(o, plan),
    },
    ...(next === undefined ? {} : { nextRotationAt: next }),
  };
}

/** What notices of the expiry are made from; `undefined` = no version is active. */
export function expiryOutlookOf(o: Observed, outlook: Outlook | undefined): ExpiryOutlook | undefined {
  const active = activeVersion(o);
  if (active === undefined) return undefined;
  const { rotation, contactEmail } = o.resource.spec;
  return { active, step: outlook?.step ?? { kind: 'none' }, overlapMs: durationMs(rotation.overlap), contactEmail };
}

/** When the status may say something else of this although nothing changes; `undefined` = at no instant that is known. */
export function nextTelling(o: Observed, outlook: Outlook | undefined): Instant | undefined {
  const active = activeVersion(o);
  const expiring = expiryOutlookOf(o, outlook);
  if (active === undefined || expiring === undefined) return undefined;
  const instants = [nextExpiringAt(expiring, o.now), nextUseLook(o, active)].filter((at) => at !== undefined);
  return instants.length === 0 ? undefined : Math.min(...instants);
}

/** Nothing wakes a key when it is used first: it is looked at ever more rarely, and after this only when it is looked at anyway. */
const longestUseLookMs = 6 * 3_600_000;
const shortestUseLookMs = 5_000;
/** While there is no authorizer that could have seen a use. */
const blindUseLookMs = 600_000;

function nextUseLook({ horizon, now }: Observed, { firstUsedAt, activatedAt }: Version): Instant | undefined {
  if (firstUsedAt !== undefined || activatedAt === undefined || now - activatedAt > longestUseLookMs) return undefined;
  const isBlind = horizon.kind === 'unknown' && horizon.why === 'no replica';
  return ceilToSecond(now + Math.max(isBlind ? blindUseLookMs : shortestUseLookMs, now - activatedAt));
}

function adoptionOf(o: Observed): Statement {
  const active = activeVersion(o);
  if (active === undefined) return no('NotSeenYet', 'No version is active.');
  const adopted = adoptedOf(active, o.horizon, consumersStatement(consumerStates(o), o.now));
  const off = o.workloads === undefined ? switchedOffMessage(namedConsumers(o)) : undefined;
  return off === undefined ? adopted : { ...adopted, message: `${adopted.message} ${off}.` };
}

/** The older version that is still valid, and until when; a lost attempt is none, because no destination holds it. */
export function predecessorOf(o: Observed): Retiring | undefined {
  const version = liveVersions(o).find(({ state, lost }) => state === 'retiring' && !lost);
  if (version === undefined) return undefined;
  const found = retirementsOf(o, evidenceOf(o)).retiring.find((one) => one.version.keyId === version.keyId)?.retirement;
  const stored = version.notAfter ?? Number.POSITIVE_INFINITY;
  // The store's instant counts when it is the nearer one: an edited spec does not put it off.
  const retirement: Retirement =
    found === undefined
      ? { kind: 'ends', notAfter: stored, why: 'OverlapOver' }
      : { ...found, notAfter: Math.min(found.notAfter, stored) };
  return { version, retirement };
}

function rotationOf(o: Observed): Pick<Rotation, 'pending' | 'replaced'> {
  const pending = pendingVersion(o);
  const active = activeVersion(o);
  const old = predecessorOf(o);
  const isFirst = pending?.cause === 'Initial';
  return {
    ...(pending === undefined || isFirst ? {} : { pending }),
    ...(active === undefined || old === undefined
      ? {}
      : { replaced: { cause: active.cause, old: old.version, retirement: old.retirement } }),
  };
}

/** What cannot be understood of the request annotations is told where their rotation would be. */
function withRequestFault(o: Observed, rotating: Statement): Statement {
  const fault = requestFaultOf(o);
  if (fault === undefined) return rotating;
  return rotating.status === 'True' ? { ...rotating, message: `${rotating.message} ${fault}` } : no('InvalidSpec', fault);
}

function requestFaultOf(o: Observed): string | undefined {
  const { rotate, compromised } = requestsOf(o);
  const value = o.resource.metadata.annotations?.[annotations.compromised];
  const malformed = value === undefined ? 0 : parseCompromised(value, []).malformed;
  const faults = [
    ...faultOf(annotations.rotate, rotate),
    ...faultOf(annotations.compromised, compromised),
    ...(malformed === 0 || compromised.kind === 'tooLong'
      ? []
      : [`${annotations.compromised} has entries that are no key id (${String(malformed)}), and nothing ended by them`]),
  ];
  return faults.length === 0 ? undefined : `${faults.join('; ')}.`;
}

const requestFaults: Readonly<Partial<Record<Request['kind'], string>>> = {
  tooLong: 'is too long',
  notStorable: 'contains NUL or an unpaired surrogate',
};

function faultOf(annotation: string, { kind }: Request): readonly string[] {
  const fault = requestFaults[kind];
  return fault === undefined ? [] : [`${annotation} ${fault}, and does not count as a request`];
}

/** Expired: nothing lives because of the expiry. While a key comes back it is not, so that a failed mint is not its end. */
function expiredOf(o: Observed, { blocker }: Plan): Statement {
  const contact = contactOf(o.resource.spec.contactEmail);
  if (blocker?.reason === 'Expired') return yes('Expired', `${sentence(blocker.message)}${contact}`);
  const issued = issuedOf(o);
  if (issued.reason !== 'Expired') return no('Steady', 'The key has not expired.');
  if (isComingBack(o)) return no('Minting', 'The key had expired; a new version is being minted.');
  return yes('Expired', `The key has expired.${contact}`);
}

/** A blocker's message as a sentence of its own. */
function sentence(message: string): string {
  return `${message.slice(0, 1).toUpperCase()}${message.slice(1)}.`;
}

/** `currentKey.lastUsedAt` and its like: exact in the store, here written at most hourly. */
export function lastUseTold(version: Version, told: ApiKeyStatus | undefined): string | undefined {
  const { lastUsedAt, keyId } = version;
  if (lastUsedAt === undefined) return undefined;
  const known = [told?.currentKey, told?.previousKey].find((key) => key?.id === keyId)?.lastUsedAt;
  const behindMs = lastUsedAt - Date.parse(known ?? '');
  return known !== undefined && behindMs >= 0 && behindMs < tellUseEveryMs ? known : formatInstant(lastUsedAt);
}

const tellUseEveryMs = 3_600_000;

/** When the newest version expires, or the key has expired; `never` also when there is none any more. */
export function newestExpiry(o: Observed): Instant | 'never' {
  const newest = pendingVersion(o) ?? activeVersion(o);
  if (newest !== undefined) return newest.expiresAt ?? 'never';
  return o.store.lastEnded?.reason === 'expired' ? o.store.lastEnded.at : 'never';
}
