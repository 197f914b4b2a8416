import type { Location } from './key.ts';
import type { Instant } from './time.ts';

/** `pending → active → retiring → ended`; pending may also go to retiring or ended. All but `ended` authenticate. */
export type VersionState = 'pending' | 'active' | 'retiring' | 'ended';

/** Why a version ended. */
export type EndedReason = 'retired' | 'expired' | 'revoked' | 'abandoned';

/** Why a version was minted. */
export type MintCause =
  | 'Initial'
  | 'Scheduled'
  | 'BeforeExpiry'
  | 'Requested'
  | 'Compromise'
  | 'ValueLost'
  | 'OwnerRebound'
  | 'Expired'
  | 'StoreBehind';

/** One secret value of an ApiKey. The value itself is nowhere: `hash` is HMAC-SHA-256(pepper, whole token), 32 bytes. */
export interface Version {
  /** The attempt's uuid; also an idempotency token for providers that take one. */
  readonly id: string;
  readonly apiKeyUid: string;
  /** 12 base62 characters, unique over the store. */
  readonly keyId: string;
  /** Prefix, environment and key id: what may be shown. */
  readonly display: string;
  /** The version's number within its ApiKey, from 1. Several attempts may share it; at most one of them wins. */
  readonly epoch: number;
  readonly state: VersionState;
  readonly endedReason?: EndedReason;
  /** No location holds this attempt's value any more: another attempt of the same epoch took its place. */
  readonly lost: boolean;
  readonly cause: MintCause;
  readonly hash: Uint8Array;
  readonly pepperId: string;
  readonly ownerUid: string;
  readonly issuedAt: Instant;
  readonly activatedAt?: Instant;
  /** Absolute; absent = never. */
  readonly expiresAt?: Instant;
  /** Set on entering `retiring`: after it the authorizer refuses, also when the operator is gone. */
  readonly notAfter?: Instant;
  /** When it entered `retiring`. */
  readonly retiringSince?: Instant;
  readonly endedAt?: Instant;
  /** It was minted under an earlier ApiKey of the same name, which limits it: it never gets a later end. */
  readonly inherited?: true;
  readonly firstUsedAt?: Instant;
  /** Within {@link useGrainMs} of the last use that was reported, and never after it. */
  readonly lastUsedAt?: Instant;
  /** Who used it, newest first, at most 8; absent = nobody said who. Not read for a verify. */
  readonly usedBy?: readonly VersionUse[];
}

/** How much later than `lastUsedAt` a version may have been used last: the store does not write every use. */
export const useGrainMs = 60_000;

/** The last use of a version by one client, to the hour. */
export interface VersionUse {
  /** Client application, User-Agent product and network, as far as they are known; ≤ 200 characters. */
  readonly by: string;
  readonly at: Instant;
}

/** A delivery is `live` until its location is to be emptied, then `withdrawing`, then `gone`. */
export type DeliveryState = 'live' | 'withdrawing' | 'gone';

/** The durable record of one ApiKey at one location; written before the effect, so that withdrawal finds everything. */
export interface Delivery {
  readonly id: string;
  readonly apiKeyUid: string;
  /** The `deliverTo` entry's name, for people; the location is what counts. */
  readonly targetName: string;
  readonly location: Location;
  /** The key id of the last confirmed write. */
  readonly heldKeyId?: string;
  /** The provider's version of the last confirmed write. */
  readonly heldVersion?: string;
  /** Digest of the envelope (what a record holds besides the value) of the last confirmed write. */
  readonly heldEnvelope?: string;
  /** The key id that a write was begun for; equal to `heldKeyId` after the confirmation. */
  readonly intendedKeyId?: string;
  readonly state: DeliveryState;
  readonly deliveredAt?: Instant;
  readonly withdrawingSince?: Instant;
}

/** The largest epoch that fits the store's column (a PostgreSQL `integer`) and every mark. */
export const maxEpoch = 2_147_483_647;

/** The part of a {@link Mark} that says which value it is; the rest says whose. */
export type VersionMark = Pick<Mark, 'keyId' | 'epoch' | 'envelope'>;

/** For a mark that is ours but says nothing readable about its value: the value itself must be read. */
export const unknownVersion: VersionMark = { keyId: 'unknown', epoch: 1, envelope: '' };

/** What says that a delivered value is ours, and which one it is. It stands beside the value, in the provider's metadata. */
export interface Mark {
  readonly installationId: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly keyId: string;
  readonly epoch: number;
  /** Digest of the envelope (what a record holds besides the value), so that a stale one shows without reading values. */
  readonly envelope: string;
}

/** Whether a version still authenticates at `now`. The only place that says so; the authorizer and the plan both ask it. */
export function isLive(version: Pick<Version, 'state' | 'notAfter' | 'expiresAt'>, now: Instant): boolean {
  if (version.state === 'ended') return false;
  if (version.notAfter !== undefined && now >= version.notAfter) return false;
  return version.expiresAt === undefined || now < version.expiresAt;
}
