import { sql } from 'kysely';
import type { ColumnType, Generated, RawBuilder } from 'kysely';

import type { Instant } from '../../domain/time.ts';
import type { DeliveryState, EndedReason, MintCause, VersionState } from '../../domain/version.ts';
import type { FeedRow, KeySettings, Selections } from '../port.ts';

/** An instant in a column: written through {@link at}, never read as such (rows leave as JSON, instants as milliseconds). */
type At = ColumnType<never, RawBuilder<never>, RawBuilder<never>>;
/** The same, where the column may be empty. */
type OptionalAt = ColumnType<never, RawBuilder<never> | null | undefined, RawBuilder<never> | null>;

/** The columns of our tables, as far as the program writes them; the truth is in `migrations/`. */
export interface Tables {
  readonly installation: { id: Generated<string>; cluster_uid: string | null };
  readonly feed_head: { rev: ColumnType<string, number, number>; fence: ColumnType<string, number, number> };
  readonly feed: {
    rev: ColumnType<string, number, number>;
    id: Generated<string>;
    kind: FeedRow['kind'];
    subject_uid: string;
    at: At;
    fence: ColumnType<string | null, number, number>;
  };
  readonly pepper: { id: string; check_value: Buffer };
  readonly apikey: {
    uid: string;
    namespace: string;
    name: string;
    display_name: string;
    catalog: string;
    owner: string;
    access_type: string;
    client_application: string | null;
    suspended: boolean;
    selections: ColumnType<Selections, string, string>;
    revoked_reason: string | null;
    created_at: At;
    released_at: OptionalAt;
    handled_rotate: string | null;
    handled_compromised: string | null;
    compromised_key_id: string | null;
    proposed: ColumnType<KeySettings | null, string | null, string | null>;
    not_permitted: Generated<boolean>;
    accepted_generation: ColumnType<string | null, number | null, number | null>;
    accepted_requests: string | null;
    accepted_period: string | null;
    accepted_terms: string | null;
    expired_generation: ColumnType<string | null, number | null, number | null>;
    accepted_places: string | null;
  };
  readonly version: {
    id: string;
    seq: Generated<string>;
    apikey_uid: string;
    key_id: string;
    display: string;
    epoch: number;
    state: VersionState;
    ended_reason: EndedReason | null;
    lost: Generated<boolean>;
    cause: MintCause;
    hash: Buffer;
    revocation_digest: Buffer | null;
    pepper_id: string;
    owner_uid: string;
    issued_at: At;
    activated_at: OptionalAt;
    expires_at: OptionalAt;
    not_after: OptionalAt;
    retiring_since: OptionalAt;
    ended_at: OptionalAt;
  };
  readonly delivery: {
    id: Generated<string>;
    seq: Generated<string>;
    apikey_uid: string;
    target_name: string;
    destination_uid: string;
    path: string;
    held_key_id: string | null;
    held_version: string | null;
    held_envelope: string | null;
    intended_key_id: string | null;
    state: Generated<DeliveryState>;
    delivered_at: OptionalAt;
    withdrawing_since: OptionalAt;
  };
  readonly audit: {
    seq: Generated<string>;
    at: At;
    actor: string;
    requested_by: string | null;
    requested_at: OptionalAt;
    action: string;
    apikey_uid: string | null;
    key_id: string | null;
    subject_uid: string | null;
    detail: ColumnType<Record<string, unknown>, string, string>;
  };
}

/** An instant as a `timestamptz`; milliseconds survive exactly. */
export function at(instant: Instant): RawBuilder<never> {
  return sql<never>`to_timestamp(${instant}::float8 / 1000)`;
}

/** The same for an instant that may be absent. */
export function optionalAt(instant: Instant | undefined): RawBuilder<never> | null {
  return instant === undefined ? null : at(instant);
}
