import { sql } from 'kysely';
import type { RawBuilder } from 'kysely';

import type { Instant } from '../../domain/time.ts';
import type { Delivery, DeliveryState, EndedReason, MintCause, Version, VersionState, VersionUse } from '../../domain/version.ts';
import type { AppliedSettings, CatalogRow, GroupRow, KeyRow, OwnerRow, Proposal, Selections, Terms } from '../port.ts';

/** A row of `version` as JSON leaves the database; absent values are null, instants milliseconds. */
export interface VersionJson {
  readonly id: string;
  readonly apiKeyUid: string;
  readonly keyId: string;
  readonly display: string;
  readonly epoch: number;
  readonly state: VersionState;
  readonly endedReason: EndedReason | null;
  readonly lost: boolean;
  readonly cause: MintCause;
  /** Base64, in lines of 76 characters. */
  readonly hash: string;
  readonly pepperId: string;
  readonly ownerUid: string;
  readonly issuedAt: Instant;
  readonly activatedAt: Instant | null;
  readonly expiresAt: Instant | null;
  readonly notAfter: Instant | null;
  readonly retiringSince: Instant | null;
  readonly endedAt: Instant | null;
  readonly inherited: boolean;
  /** Only where they are requested: a verify does not need them. */
  readonly firstUsedAt?: Instant | null;
  readonly lastUsedAt?: Instant | null;
  readonly usedBy?: readonly VersionUse[] | null;
}

/** A row of `delivery` as JSON. */
export interface DeliveryJson {
  readonly id: string;
  readonly apiKeyUid: string;
  readonly targetName: string;
  readonly destinationUid: string;
  readonly path: string;
  readonly heldKeyId: string | null;
  readonly heldVersion: string | null;
  readonly heldEnvelope: string | null;
  readonly intendedKeyId: string | null;
  readonly state: DeliveryState;
  readonly deliveredAt: Instant | null;
  readonly withdrawingSince: Instant | null;
}

/** A row of `apikey` as JSON. */
export interface KeyJson {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly displayName: string;
  readonly catalog: string;
  readonly owner: string;
  readonly accessType: string;
  readonly clientApplication: string | null;
  readonly suspended: boolean;
  readonly selections: Selections;
  readonly revokedReason: string | null;
  readonly proposed: Proposal | null;
  readonly notPermitted: boolean;
  // Only where the whole key is requested: a verify does not need them.
  readonly handledRotate?: string | null;
  readonly handledCompromised?: string | null;
  readonly acceptedGeneration?: number | null;
  readonly acceptedRequests?: string | null;
  readonly acceptedPeriod?: string | null;
  readonly terms?: Terms | null;
  readonly expiredGeneration?: number | null;
  readonly places?: KeyRow['places'] | null;
}

/** `version v` as {@link VersionJson}. */
export const versionJson: RawBuilder<VersionJson> = sql`json_build_object('id', v.id, 'apiKeyUid', v.apikey_uid, 'keyId', v.key_id,
  'display', v.display, 'epoch', v.epoch, 'state', v.state, 'endedReason', v.ended_reason, 'lost', v.lost, 'cause', v.cause,
  'hash', encode(v.hash, 'base64'), 'pepperId', v.pepper_id, 'ownerUid', v.owner_uid, 'issuedAt', keywright.ms(v.issued_at),
  'activatedAt', keywright.ms(v.activated_at), 'expiresAt', keywright.ms(v.expires_at), 'notAfter', keywright.ms(v.not_after),
  'retiringSince', keywright.ms(v.retiring_since), 'endedAt', keywright.ms(v.ended_at), 'inherited', v.ceilings <> '[]')`;

/** The same with its use: `version v left join version_use u`. */
export const usedVersionJson: RawBuilder<VersionJson> = sql`(${versionJson}::jsonb || jsonb_build_object(
  'firstUsedAt', keywright.ms(u.first_used_at), 'lastUsedAt', keywright.ms(u.last_used_at), 'usedBy', u.used_by))`;

/** `apikey k` as {@link KeyJson}, as far as a verdict depends on it. */
export const keyJson: RawBuilder<KeyJson> = sql`json_build_object('uid', k.uid, 'namespace', k.namespace, 'name', k.name,
  'displayName', k.display_name, 'catalog', k.catalog, 'owner', k.owner, 'accessType', k.access_type,
  'clientApplication', k.client_application, 'suspended', k.suspended, 'selections', k.selections, 'revokedReason', k.revoked_reason,
  'proposed', k.proposed, 'notPermitted', k.not_permitted)`;

/** The same with all that only the operator needs. */
export const wholeKeyJson: RawBuilder<KeyJson> = sql`(${keyJson}::jsonb || jsonb_build_object(
  'handledRotate', k.handled_rotate, 'handledCompromised', k.handled_compromised,
  'acceptedGeneration', k.accepted_generation, 'acceptedRequests', k.accepted_requests, 'acceptedPeriod', k.accepted_period,
  'terms', k.accepted_terms, 'expiredGeneration', k.expired_generation, 'places', k.accepted_places))`;

/** `delivery d` as {@link DeliveryJson}. */
export const deliveryJson: RawBuilder<DeliveryJson> = sql`json_build_object('id', d.id, 'apiKeyUid', d.apikey_uid, 'targetName', d.target_name,
  'destinationUid', d.destination_uid, 'path', d.path, 'heldKeyId', d.held_key_id, 'heldVersion', d.held_version,
  'heldEnvelope', d.held_envelope, 'intendedKeyId', d.intended_key_id, 'state', d.state,
  'deliveredAt', keywright.ms(d.delivered_at), 'withdrawingSince', keywright.ms(d.withdrawing_since))`;

/** A row of `catalog` under this alias, as it is used outside. */
export function catalogJson(alias: string): RawBuilder<CatalogRow> {
  return rowJson(alias, ['uid', 'name', 'digest', 'model']);
}

/** A row of `owner` under this alias, as it is used outside. */
export function ownerJson(alias: string): RawBuilder<OwnerRow> {
  return rowJson(alias, ['uid', 'name', 'disabled', 'groups', 'rules']);
}

/** A row of `owner_group` under this alias, as it is used outside. */
export function groupJson(alias: string): RawBuilder<GroupRow> {
  return rowJson(alias, ['uid', 'name', 'rules']);
}

function rowJson<T>(alias: string, columns: readonly (keyof T & string)[]): RawBuilder<T> {
  return sql<T>`json_build_object(${sql.join(columns.flatMap((column) => [sql.lit(column), sql.ref(`${alias}.${column}`)]))})`;
}

type Present<T> = { readonly [K in keyof T]?: Exclude<T[K], null> };

/** Leaves out what is null: the domain says "absent". */
export function present<T extends object>(values: T): Present<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null)) as Present<T>;
}

/** JSON → {@link Version}. */
export function toVersion(row: VersionJson): Version {
  const { endedReason, activatedAt, expiresAt, notAfter, retiringSince, endedAt, inherited, ...kept } = row;
  const { hash, firstUsedAt = null, lastUsedAt = null, usedBy, ...rest } = kept;
  return {
    ...rest,
    hash: Uint8Array.from(Buffer.from(hash, 'base64')),
    ...present({ endedReason, activatedAt, expiresAt, notAfter, retiringSince, endedAt, firstUsedAt, lastUsedAt }),
    ...(inherited ? { inherited: true as const } : {}),
    ...((usedBy ?? []).length === 0 ? {} : present({ usedBy })),
  };
}

/** JSON → {@link Delivery}. */
export function toDelivery(row: DeliveryJson): Delivery {
  const { destinationUid, path, heldKeyId, heldVersion, heldEnvelope, intendedKeyId, deliveredAt, withdrawingSince, ...rest } =
    row;
  return {
    ...rest,
    location: { destinationUid, path },
    ...present({ heldKeyId, heldVersion, heldEnvelope, intendedKeyId, deliveredAt, withdrawingSince }),
  };
}

/** JSON → {@link KeyRow}. */
export function toKeyRow(row: KeyJson): KeyRow {
  const { uid, namespace, name, revokedReason, clientApplication, ...kept } = row;
  const {
    proposed,
    notPermitted,
    handledRotate = null,
    handledCompromised = null,
    acceptedGeneration: generation = null,
    acceptedRequests = null,
    acceptedPeriod = null,
    terms = null,
    expiredGeneration = null,
    places = null,
    ...settings
  } = kept;
  const handled = present({ rotate: handledRotate, compromised: handledCompromised });
  const accepted =
    generation === null ? undefined : { generation, requests: acceptedRequests ?? '', period: acceptedPeriod ?? '' };
  return {
    ref: { namespace, name, uid },
    settings: { ...settings, ...present({ clientApplication }) },
    ...present({ revokedReason, proposed, terms, expiredGeneration, places }),
    ...(notPermitted ? { notPermitted } : {}),
    ...(accepted === undefined ? {} : { accepted }),
    ...(Object.keys(handled).length === 0 ? {} : { handled }),
  };
}

/** The columns of `apikey` that {@link AppliedSettings} fill. */
export function appliedColumns({ settings, proposed, notPermitted, accepted, terms, places }: AppliedSettings) {
  return {
    display_name: settings.displayName,
    catalog: settings.catalog,
    owner: settings.owner,
    access_type: settings.accessType,
    client_application: settings.clientApplication ?? null,
    suspended: settings.suspended,
    selections: JSON.stringify(settings.selections),
    proposed: proposed === undefined ? null : JSON.stringify(proposed),
    not_permitted: notPermitted === true,
    accepted_generation: accepted?.generation ?? null,
    accepted_requests: accepted?.requests ?? null,
    accepted_period: accepted?.period ?? null,
    accepted_terms: terms === undefined ? null : JSON.stringify(terms),
    accepted_places: places === undefined ? null : JSON.stringify(places),
  };
}
