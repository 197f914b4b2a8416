import type { FailureDetail } from '../domain/failure.ts';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

import type { Lane } from '../authorize/reads.ts';
import type { DenyCode } from '../authorize/verdict.ts';
import type { Reason } from '../domain/reason.ts';
import type { Instant } from '../domain/time.ts';
import type { MintCause } from '../domain/version.ts';

/** How a call to another system ended, in words that make few time series. */
export type CallOutcome = 'ok' | 'lost' | 'stalled' | 'waiting' | 'transient' | 'timeout' | 'error' | FailureDetail['class'];

/** What one reconcile came to. */
export type ReconcileOutcome = 'steady' | 'progress' | 'stalled' | 'waiting' | 'transient';

/** Which backing system a destination is. */
export type DestinationKind = 'vault' | 'aws' | 'kubernetes' | 'file';

/** What a consumer is. */
export type ConsumerKind = 'Deployment' | 'StatefulSet' | 'DaemonSet';

/** What came of a restart: a word of the consumers port, or that it threw. */
export type RestartSampleOutcome = 'patched' | 'already' | 'missing' | 'lost' | 'failed';

/** The name of an ApiKey. */
export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

/**
 * Where the program tells what it does. Labels come from closed lists, so that the number of series does not grow with the
 * number of keys; but for one gauge with one series for each ApiKey, and one for each KeyDestination. No label is a key id.
 * Durations come in as milliseconds and are shown as seconds.
 */
export interface Metrics {
  reconciled(sample: { readonly outcome: ReconcileOutcome; readonly reason: Reason; readonly durationMs: number }): void;
  /** How to count the ApiKeys that wait: called at each scrape. */
  backlogIs(count: () => Backlog): void;
  /** A change of an ApiKey had its safety pass, so long after it was heard: what it took away is committed. */
  safetyPassed(durationMs: number): void;
  /** `operation` is a method name of the store's port. */
  storeCalled(sample: { readonly operation: string; readonly outcome: CallOutcome; readonly durationMs: number }): void;
  /** `operation` is a method name of the destination's port. */
  destinationCalled(sample: {
    readonly destination: DestinationKind;
    readonly operation: string;
    readonly outcome: CallOutcome;
    readonly durationMs: number;
  }): void;
  /** `operation` is a verb of the API: get, list, watch, apply, patch, create, delete. */
  apiCalled(sample: { readonly operation: string; readonly outcome: CallOutcome; readonly durationMs: number }): void;
  minted(cause: MintCause): void;
  /** When the newest version of an ApiKey expires or has expired; `never` also when it has none any more. */
  keyExpires(apiKey: ObjectName, at: Instant | 'never'): void;
  /** Locations that are still to be emptied, by the KeyDestination's name, as one picture; `Secret` for Secrets. */
  withdrawing(counts: ReadonlyMap<string, number>): void;
  /** How many live keys are in namespaces that this operator does not serve. */
  unserved(count: number): void;
  /** Keys whose ApiKey is gone without a deletion: `waiting` = soon to be revoked, `held` = waiting for a confirmation. */
  missing(counts: { readonly waiting: number; readonly held: number; readonly heldSince: Instant | undefined }): void;
  /** What the leader found of the admission policy: `awaySince` = since when it is not in force; absent = it is. */
  admission(awaySince: Instant | undefined): void;
  /** Whether the policy that limits the operator's own account is as it should be, as far as the leader can see. */
  ownPolicy(isInForce: boolean): void;
  /** How many ApiKeys have a change that was not accepted. */
  held(count: number): void;
  /** A consumer was to be restarted: with what outcome. */
  restarted(sample: { readonly kind: ConsumerKind; readonly outcome: RestartSampleOutcome }): void;
  /** `code` is `allowed`, or why not. */
  verified(sample: { readonly code: DenyCode | 'allowed'; readonly durationMs: number }): void;
  /** A verify found its lane full: too many requests waited for the store. */
  verifyShed(lane: Lane): void;
  /** A client network got `rate_limited` because of its own refusals. */
  verifyLimited(): void;
  /** A use of a key was not kept: too many different keys waited for a write. */
  usageDropped(): void;
  /** How far this machine's clock is ahead of the database's, in milliseconds. */
  clockCompared(skewMs: number): void;
  leading(leads: boolean): void;
  /** Whether the content of a watched file on disk is the one in use; `file` is its name: `peppers`, `tls`. */
  fileReloaded(sample: { readonly file: string; readonly successful: boolean }): void;
  /** A listener closed a connection to keep within its bounds; `listener` is `verify` or `health`. */
  connectionDropped(sample: { readonly listener: ListenerName; readonly cause: ConnectionDropCause }): void;
  /** Old rows were removed from the store, by table: a name of `prunedTables`. */
  pruned(rows: Readonly<Record<string, number>>): void;
}

/** ApiKeys that wait. */
export interface Backlog {
  /** For a full pass. */
  readonly full: number;
  /** For a safety pass. */
  readonly safety: number;
  /** For room at a destination that has too many calls. */
  readonly setAside: number;
}

/** The listener of a sample. */
export type ListenerName = 'verify' | 'health';

/**
 * Why a connection was closed: `refused` = there was no room for a new one; `displaced` = it sent no whole request and made room
 * for a newer one; `pipelined` = it had too many unanswered requests;
 * `memory` = its body or answer waited longest when there was no room for another one.
 */
export type ConnectionDropCause = 'refused' | 'displaced' | 'pipelined' | 'memory';

/** The text of all metrics, for a scrape. */
export interface MetricsPage {
  readonly contentType: string;
  readonly body: string;
}

/** The recorder, and the page that it fills. */
export interface MetricsRegistry {
  readonly recorder: Metrics;
  readonly render: () => Promise<MetricsPage>;
}

const callBuckets = [0.001, 0.005, 0.02, 0.1, 0.5, 1, 2, 5, 10];
/** The promise is 1 s for 99 of 100, and 3 s for all. */
const safetyBuckets = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 10, 60];
const verifyBuckets = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.25, 1, 2.5];

/** A registry of its own for each call: two programs in one test do not count into each other. */
export function createMetrics(options: { readonly processMetrics?: boolean } = {}): MetricsRegistry {
  const registry = new Registry();
  if (options.processMetrics === true) collectDefaultMetrics({ register: registry });
  const recorder: Metrics = {
    ...workMetrics(registry),
    ...keyMetrics(registry),
    ...admissionMetrics(registry),
    ...callMetrics(registry),
    ...serverMetrics(registry),
  };
  return { recorder, render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }) };
}

type WorkMetrics = Omit<Metrics, keyof CallMetrics | keyof KeyMetrics | keyof AdmissionMetrics | keyof ServerMetrics>;
type CallMetrics = Pick<Metrics, 'storeCalled' | 'destinationCalled' | 'apiCalled'>;
type KeyMetrics = Pick<Metrics, 'keyExpires' | 'withdrawing' | 'missing' | 'unserved'>;
type AdmissionMetrics = Pick<Metrics, 'admission' | 'held' | 'ownPolicy'>;
type ServerMetrics = Pick<Metrics, 'fileReloaded' | 'connectionDropped'>;

/**
 * The only series with names. An expiry is a fixed instant, so that a rule over it gives notice at the scrape and not when the
 * key happens to be looked at.
 */
function keyMetrics(registry: Registry): KeyMetrics {
  const expires = new Gauge({
    name: 'keywright_apikey_expires_timestamp_seconds',
    help: 'When the newest version of an ApiKey expires, in seconds since 1970; absent = never.',
    labelNames: ['namespace', 'name'],
    registers: [registry],
  });
  const left = new Gauge({
    name: 'keywright_deliveries_withdrawing',
    help: 'Locations that are still to be emptied, by destination; their values are refused already.',
    labelNames: ['destination'],
    registers: [registry],
  });
  const missing = new Gauge({
    name: 'keywright_orphans',
    help: 'Keys whose ApiKey is missing without a deletion: waiting = revoked within minutes; held = too many at once, see keywright orphans.',
    labelNames: ['state'],
    registers: [registry],
  });
  const heldSince = new Gauge({
    name: 'keywright_orphans_held_since_timestamp_seconds',
    help: 'Since when keys are held whose ApiKey is missing, in seconds since 1970; 0 = none is.',
    registers: [registry],
  });
  const unserved = new Gauge({
    name: 'keywright_keys_unserved',
    help: 'Keys with live versions in namespaces that this operator does not serve: revocations and deletions there have no effect.',
    registers: [registry],
  });
  return {
    unserved: (count) => {
      unserved.set(count);
    },
    missing: (counts) => {
      missing.set({ state: 'waiting' }, counts.waiting);
      missing.set({ state: 'held' }, counts.held);
      heldSince.set((counts.heldSince ?? 0) / 1000);
    },
    keyExpires: ({ namespace, name }, at) => {
      if (at === 'never') expires.remove({ namespace, name });
      else expires.set({ namespace, name }, at / 1000);
    },
    withdrawing: (counts) => {
      left.reset();
      for (const [destination, count] of counts) left.set({ destination }, count);
    },
  };
}

/** In force until the leader finds otherwise: other processes do not look, and must raise no alarm. */
function admissionMetrics(registry: Registry): AdmissionMetrics {
  const inForce = gauge(
    registry,
    'keywright_admission_in_force',
    '0 while the leader finds that the admission policy is required and not in force, else 1.',
  );
  const awaySince = gauge(
    registry,
    'keywright_admission_away_since_timestamp_seconds',
    'Since when the admission policy is not in force, in seconds since 1970; 0 = it is.',
  );
  const heldBack = gauge(registry, 'keywright_apikeys_held', 'ApiKeys with a change that the admission policy did not check.');
  const ownPolicy = gauge(
    registry,
    'keywright_operator_policy_in_force',
    "0 while the leader finds that the policy for the operator's own account is missing or changed, else 1.",
  );
  inForce.set(1);
  ownPolicy.set(1);
  return {
    ownPolicy: (isInForce) => {
      ownPolicy.set(isInForce ? 1 : 0);
    },
    held: (count) => {
      heldBack.set(count);
    },
    admission: (since) => {
      inForce.set(since === undefined ? 1 : 0);
      awaySince.set((since ?? 0) / 1000);
    },
  };
}

function workMetrics(registry: Registry): WorkMetrics {
  const reconcile = histogram(
    registry,
    'keywright_reconcile_duration_seconds',
    'Time of one reconcile of an ApiKey.',
    ['outcome'],
    callBuckets,
  );
  const reasons = counter(registry, 'keywright_reconciles_total', 'Reconciles by outcome and reason.', ['outcome', 'reason']);
  let countBacklog = (): Backlog => ({ full: 0, safety: 0, setAside: 0 });
  new Gauge({
    name: 'keywright_queue_depth',
    help: 'ApiKeys that wait: full, safety = for such a pass; set_aside = for room at a destination.',
    labelNames: ['queue'],
    registers: [registry],
    collect() {
      const { full, safety, setAside } = countBacklog();
      this.set({ queue: 'full' }, full);
      this.set({ queue: 'safety' }, safety);
      this.set({ queue: 'set_aside' }, setAside);
    },
  });
  const safetyPasses = histogram(
    registry,
    'keywright_safety_pass_duration_seconds',
    'Time from the news of a change of an ApiKey to the commit of what it takes away, retries included.',
    [],
    safetyBuckets,
  );
  const minted = counter(registry, 'keywright_versions_minted_total', 'Versions minted, by cause.', ['cause']);
  const restarted = counter(registry, 'keywright_consumer_restarts_total', 'Restarts of consumers, by kind and outcome.', [
    'kind',
    'outcome',
  ]);
  const verify = histogram(registry, 'keywright_verify_duration_seconds', 'Time of one decision.', [], verifyBuckets);
  const verdicts = counter(registry, 'keywright_verify_verdicts_total', 'Decisions by code; allowed = let in.', ['code']);
  const shed = counter(registry, 'keywright_verify_shed_total', 'Requests shed because too many waited for the store, by lane.', [
    'lane',
  ]);
  const limited = counter(
    registry,
    'keywright_verify_limited_total',
    'Refusals answered as rate_limited because their network had too many.',
    [],
  );
  const dropped = counter(registry, 'keywright_usage_dropped_total', 'Uses of keys that were not kept.', []);
  const skew = gauge(registry, 'keywright_clock_skew_seconds', "How far this machine's clock is ahead of the database's.");
  const pruned = counter(registry, 'keywright_store_rows_pruned_total', 'Old rows removed from the database, by table.', [
    'table',
  ]);
  const leader = gauge(registry, 'keywright_leader', '1 while this process leads, else 0.');
  return {
    reconciled: ({ outcome, reason, durationMs }) => {
      reconcile.observe({ outcome }, durationMs / 1000);
      reasons.inc({ outcome, reason });
    },
    backlogIs: (count) => {
      countBacklog = count;
    },
    safetyPassed: (durationMs) => {
      safetyPasses.observe(durationMs / 1000);
    },
    minted: (cause) => {
      minted.inc({ cause });
    },
    restarted: (sample) => {
      restarted.inc(sample);
    },
    verified: ({ code, durationMs }) => {
      verify.observe(durationMs / 1000);
      verdicts.inc({ code });
    },
    verifyShed: (lane) => {
      shed.inc({ lane });
    },
    verifyLimited: () => {
      limited.inc();
    },
    usageDropped: () => {
      dropped.inc();
    },
    clockCompared: (skewMs) => {
      skew.set(skewMs / 1000);
    },
    leading: (leads) => {
      leader.set(leads ? 1 : 0);
    },
    pruned: (rows) => {
      // Zeros, too: the series shows that retention runs.
      for (const [table, count] of Object.entries(rows)) pruned.inc({ table }, count);
    },
  };
}

function callMetrics(registry: Registry): CallMetrics {
  const store = histogram(
    registry,
    'keywright_store_call_duration_seconds',
    'Time of one call to the database.',
    ['operation', 'outcome'],
    callBuckets,
  );
  const destination = histogram(
    registry,
    'keywright_destination_call_duration_seconds',
    'Time of one call to a destination.',
    ['destination', 'operation', 'outcome'],
    callBuckets,
  );
  const api = histogram(
    registry,
    'keywright_api_call_duration_seconds',
    'Time of one call to the API server.',
    ['operation', 'outcome'],
    callBuckets,
  );
  return {
    // Passes labels by name: a sample may have other members, and prom-client throws on an unknown label.
    storeCalled: ({ durationMs, operation, outcome }) => {
      store.observe({ operation, outcome }, durationMs / 1000);
    },
    destinationCalled: ({ durationMs, destination: kind, operation, outcome }) => {
      destination.observe({ destination: kind, operation, outcome }, durationMs / 1000);
    },
    apiCalled: ({ durationMs, operation, outcome }) => {
      api.observe({ operation, outcome }, durationMs / 1000);
    },
  };
}

function serverMetrics(registry: Registry): ServerMetrics {
  const reload = new Gauge({
    name: 'keywright_file_last_reload_successful',
    help: '1 while the content of a watched file is the one in force, 0 while an older one is.',
    labelNames: ['file'],
    registers: [registry],
  });
  const dropped = counter(registry, 'keywright_connections_dropped_total', 'Connections closed to keep within bounds.', [
    'listener',
    'cause',
  ]);
  return {
    fileReloaded: ({ file, successful }) => {
      reload.set({ file }, successful ? 1 : 0);
    },
    connectionDropped: (sample) => {
      dropped.inc(sample);
    },
  };
}

function counter<L extends string>(registry: Registry, name: string, help: string, labelNames: readonly L[]): Counter<L> {
  return new Counter({ name, help, labelNames: [...labelNames], registers: [registry] });
}

function gauge(registry: Registry, name: string, help: string): Gauge {
  return new Gauge({ name, help, registers: [registry] });
}

function histogram<L extends string>(
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly L[],
  buckets: readonly number[],
): Histogram<L> {
  return new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers: [registry] });
}

/** Counts nothing: for tests and one-shot commands. */
export const silentMetrics: Metrics = {
  reconciled: () => {},
  backlogIs: () => {},
  safetyPassed: () => {},
  storeCalled: () => {},
  destinationCalled: () => {},
  apiCalled: () => {},
  minted: () => {},
  keyExpires: () => {},
  withdrawing: () => {},
  missing: () => {},
  unserved: () => {},
  admission: () => {},
  ownPolicy: () => {},
  held: () => {},
  restarted: () => {},
  verified: () => {},
  verifyShed: () => {},
  verifyLimited: () => {},
  usageDropped: () => {},
  clockCompared: () => {},
  leading: () => {},
  fileReloaded: () => {},
  connectionDropped: () => {},
  pruned: () => {},
};
