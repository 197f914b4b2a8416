import type { Instant } from '../domain/time.ts';

/** What an authorizer says of its own bookkeeping. */
export interface ReplicaReport {
  /** Random for each process, ≤ 64 characters. */
  readonly id: string;
  /** Every use until then is written. By the database's clock: what it said before the batch was cut. */
  readonly flushedThrough: Instant;
  /** Uses that were not kept, since the start of the process. */
  readonly dropped: number;
}

/**
 * How far the record of use is complete. `quietThrough`: every use until then is known. `unknown` = a version may have been
 * used without a trace: `no replica` reports, one is `lagging` (or fell silent without a farewell), or one is `dropping`.
 */
export type UsageHorizon =
  | { readonly kind: 'known'; readonly quietThrough: Instant }
  | { readonly kind: 'unknown'; readonly why: 'no replica' | 'lagging' | 'dropping' };

/** What the store keeps of a replica. */
export interface ReplicaRow {
  readonly seenAt: Instant;
  readonly flushedThrough: Instant;
  /** When it last said that it had dropped more than before. */
  readonly droppedAt?: Instant;
  /** It ended, and had written all that it kept. */
  readonly leftAt?: Instant;
}

/** A replica that was not seen for this long does not count any more ("Time"). */
export const replicaMemoryMs = 3_600_000;
/** Reports come every few seconds; a replica that is this far behind has trouble, or is gone. */
export const replicaLagMs = 60_000;

/** Judges the replicas seen in the last hour; `now` is the database's. */
export function usageHorizon(replicas: readonly ReplicaRow[], now: Instant): UsageHorizon {
  const recent = replicas.filter((one) => now - one.seenAt < replicaMemoryMs);
  // What was dropped is lost, also when the replica has ended since.
  const dropping = recent.some(({ droppedAt }) => droppedAt !== undefined && now - droppedAt < replicaMemoryMs);
  const present = recent.filter((one) => one.leftAt === undefined);
  if (present.length === 0) return { kind: 'unknown', why: 'no replica' };
  if (dropping) return { kind: 'unknown', why: 'dropping' };
  const quietThrough = Math.min(...present.map((one) => one.flushedThrough));
  return now - quietThrough > replicaLagMs ? { kind: 'unknown', why: 'lagging' } : { kind: 'known', quietThrough };
}
