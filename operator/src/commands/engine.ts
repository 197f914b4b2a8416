import type { Consumers } from '../consumers/port.ts';
import type { Destinations } from '../destinations/port.ts';
import type { Clock, Instant } from '../domain/time.ts';
import type { Peppers } from '../keys/pepper.ts';
import { ClusterController } from '../reconcile/cluster/controller.ts';
import { Controller } from '../reconcile/controller.ts';
import type { Dependencies } from '../reconcile/dependencies.ts';
import { EditTimes } from '../reconcile/edittimes.ts';
import { FeedFollower } from '../reconcile/feed.ts';
import { Gates } from '../reconcile/gates.ts';
import { Heartbeat } from '../reconcile/heartbeat.ts';
import { Outages } from '../reconcile/outages.ts';
import { Retention } from '../reconcile/retention.ts';
import { sharedUsageHorizon } from '../reconcile/usage.ts';
import type { Resources } from '../resources/port.ts';
import type { Store } from '../store/port.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { systemId, systemRandom, type CommandContext } from './command.ts';

/** The parts that a mode of operation brings: where declared state is, and where values go. */
export interface EngineParts {
  readonly resources: Resources;
  readonly store: Store;
  /** The same store, over connections that only safety passes use; absent = they share connections. */
  readonly safetyStore?: Store;
  readonly destinations: Destinations;
  /** Absent = no consumer is restarted. */
  readonly consumers?: Consumers;
  readonly peppers: Peppers;
  readonly metrics: Metrics;
  readonly installationId: string;
  readonly admission: Dependencies['admission'];
  readonly clockIsRight: () => boolean;
  readonly assertLeading: () => void;
  readonly onFenceLost: () => void;
}

/** How long a drain waits for calls to destinations, in milliseconds: a revocation must not wait for them. */
const awayMs = 2_000;
/** How long it then waits for safety passes and the like, which wait for nothing but the database and the API server. */
const lastMs = 5_000;

/** The reconcilers of all kinds as one: see {@link Controller}, whose words these are. */
export interface Engine extends Pick<Controller, 'listen' | 'idle' | 'depth' | 'inFlight' | 'nextAt'> {
  /** Begins to lead. `lastLedAt` is when an operator last led; absent = it is not needed. */
  start(lastLedAt?: Instant): void;
  /**
   * Ends all work; false if something did not end in time. First the full passes, for `timeoutMs` at most, or 2 s if they only wait
   * for destinations: until then, revocations and other changes in the store go on. Call it once.
   */
  drain(timeoutMs: number): Promise<boolean>;
}

/** The reconcilers over these parts: the same in a cluster and standalone. */
export function createController(context: CommandContext, parts: EngineParts): Engine {
  const { config, clock, log } = context;
  const { onFenceLost, safetyStore, ...ports } = parts;
  const { deliverDeadlineMs, withdrawDeadlineMs, driftIntervalMs, namespaces, secretNamespaces, orphanAfterMs } = config;
  const shared = { ...ports, random: systemRandom, clock, log };
  const outages = new Outages(clock);
  const held = new Set<string>();
  const edits = new EditTimes();
  const cluster = new ClusterController({
    dependencies: { ...shared, outages },
    onChanged: (dependencies) => {
      keys.wake(dependencies);
    },
    onFenceLost,
  });
  const keys: Controller = new Controller({
    dependencies: {
      ...shared,
      edits,
      references: cluster.references,
      newId: systemId,
      usageHorizon: sharedUsageHorizon(ports.store, clock),
      limits: { deliverDeadlineMs, withdrawDeadlineMs, driftIntervalMs },
      orphanAfterMs,
      ...(namespaces === undefined ? {} : { namespaces }),
      ...(secretNamespaces === undefined ? {} : { secretNamespaces }),
    },
    concurrency: config.concurrency,
    outages,
    ...(safetyStore === undefined ? {} : { safetyStore }),
    onFenceLost,
    onWaiting: (reason) => {
      gates.noteWaiting(reason);
    },
    onPass: (apiKey, found) => {
      cluster.noteKey(apiKey, found);
      if (found?.held === true) held.add(apiKey);
      else if (found === undefined || found.held === false) held.delete(apiKey);
      parts.metrics.held(held.size);
      const [namespace = '', name = ''] = apiKey.split('/');
      const expiresAt = found === undefined ? 'never' : found.expiresAt;
      if (expiresAt !== undefined) parts.metrics.keyExpires({ namespace, name }, expiresAt);
    },
  });
  parts.metrics.backlogIs(() => keys.backlog());
  const feed = new FeedFollower({
    ...{ store: parts.store, clock, log, pollMs: config.feedPollMs },
    onForeignChange: (uid) => {
      keys.wakeUid(uid);
    },
    onBreak: () => {
      cluster.wakeAll();
      keys.wakeAll();
    },
  });
  const period = (): string | undefined => {
    const state = parts.admission.state();
    return state.kind === 'inForce' ? state.period : undefined;
  };
  const gates: Gates = new Gates({
    ...{ clock, lookEveryMs: config.feedPollMs },
    gates: [
      { reason: 'StoreUnavailable', isOpen: () => feed.answers() },
      { reason: 'AdmissionPolicyMissing', isOpen: () => parts.admission.state().kind !== 'notInForce', period },
      { reason: 'ClockWrong', isOpen: parts.clockIsRight },
    ],
    onOpen: (reason) => {
      keys.wakeWaiting(reason);
    },
    // Their messages name the period, and how to confirm in it.
    onChange: (reason) => {
      if (reason === 'AdmissionPolicyMissing') keys.wakeKeys([...held]);
    },
  });
  const { store, assertLeading } = parts;
  const heartbeat = new Heartbeat({
    ...{ store, clock, log, assertLeading, onFenceLost },
    onBeat: () => {
      edits.alive(clock.now());
    },
  });
  const retention = new Retention({
    ...{ store: parts.store, clock, log, metrics: parts.metrics, clockIsRight: parts.clockIsRight },
    limits: {
      feedMs: config.feedRetentionMs,
      auditMs: config.auditRetentionMs,
      versionMs: config.versionRetentionMs,
      deliveryMs: config.deliveryRetentionMs,
    },
  });
  return together(cluster, keys, { edits, feed, gates, retention, heartbeat, clock });
}

/** What runs next to the reconcilers while this process leads. */
interface Companions {
  readonly edits: EditTimes;
  readonly clock: Clock;
  readonly feed: FeedFollower;
  readonly gates: Gates;
  readonly retention: Retention;
  readonly heartbeat: Heartbeat;
}

/**
 * Keys begin when what they refer to is in force: otherwise a start would call every catalog and owner missing. And when the
 * feed is followed: what somebody changes in the store after a key's first pass must wake it.
 */
function together(cluster: ClusterController, keys: Controller, companions: Companions): Engine {
  const { edits, feed, gates, retention, heartbeat, clock } = companions;
  let draining = false;
  return {
    listen: () => {
      cluster.listen();
      keys.listen();
    },
    start: (lastLedAt = clock.now()) => {
      edits.begin(lastLedAt);
      cluster.start();
      feed.start();
      gates.start();
      retention.start();
      heartbeat.start();
      void Promise.all([cluster.settled(), feed.opened()]).then(() => {
        if (!draining) keys.start();
      });
    },
    drain: async (timeoutMs) => {
      draining = true;
      feed.stop();
      gates.stop();
      retention.stop();
      heartbeat.stop();
      const calling = await Promise.all([cluster.drainProbes(awayMs), keys.drainFull(timeoutMs, awayMs)]);
      const rest = await Promise.all([cluster.drain(lastMs), keys.drain(lastMs)]);
      return [...calling, ...rest].every(Boolean);
    },
    idle: () => cluster.idle() && keys.idle(),
    nextAt: () => keys.nextAt(),
    depth: () => cluster.depth() + keys.depth(),
    inFlight: () => cluster.inFlight() + keys.inFlight(),
  };
}
