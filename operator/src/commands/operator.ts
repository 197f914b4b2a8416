import { leaseName } from '../api/admission/roles.ts';
import { openDestinations } from '../destinations/registry.ts';
import { transient } from '../domain/failure.ts';
import type { Clock } from '../domain/time.ts';
import type { KubeResources } from '../resources/kube/resources.ts';
import { startHealthServer } from '../server/start.ts';
import type { Listener } from '../server/listener.ts';
import type { Store } from '../store/port.ts';
import type { PrimaryMemory } from '../store/primarymemory.ts';
import { createMetrics, type MetricsRegistry } from '../telemetry/metrics.ts';
import { openCluster } from './cluster.ts';
import { aborted, exitCodes, required, systemId, type CommandContext, type ExitCode } from './command.ts';
import { claimCluster, migrateWhenReachable, openPeppers, openSharedClock, openStores, whenReachable } from './database.ts';
import { permittedDestinations, watchDestinations } from './destinations.ts';
import { createController } from './engine.ts';
import { heartbeatNote } from './heartbeatnote.ts';
import { carryOver } from './acceptances.ts';
import { AdmissionGate } from './admission.ts';
import { whenCrdsFit } from './crdgate.ts';
import { watchOwnPolicy } from './ownpolicy.ts';
import { openCountedConsumers } from './consumers.ts';
import type { SharedClock } from './sharedclock.ts';

const drainMs = 20_000;
const closeMs = 2_000;
const settleWithinMs = 20_000;

/** What the health endpoint reports: all that changes here. */
interface Readiness {
  crdsFit: boolean;
  synced: boolean;
  /** Whether a key that is created now would be held although the admission policy exists. */
  isSettling: () => boolean;
  /** When everything was listed, by the monotonic clock. */
  syncedAtMs: number;
  /** Absent = not compared yet. */
  time?: SharedClock;
}

/**
 * `keywright operator`: watches the cluster, and, while it leads, mints, delivers, repairs and revokes. Starts with
 * whatever answers, and waits for the rest. Ends with 3 as soon as leadership is lost: another process works then.
 */
export async function runOperator(context: CommandContext): Promise<ExitCode> {
  const { config, clock, log } = context;
  const url = required(config.databaseUrl, 'KEYWRIGHT_DATABASE_URL', 'operator');
  const peppersFile = required(config.peppersFile, 'KEYWRIGHT_PEPPERS_FILE', 'operator');
  const lost = new AbortController();
  const signal = AbortSignal.any([context.signal, lost.signal]);
  const inner: CommandContext = { ...context, signal };
  const metrics = createMetrics({ processMetrics: true });
  const readiness: Readiness = {
    crdsFit: false,
    synced: false,
    syncedAtMs: 0,
    isSettling: () => config.admission === 'required',
  };
  const database = { url, passwordFile: config.databasePasswordFile, metrics: metrics.recorder };
  const { store, apart: safetyStore, memory } = openStores(inner, database);
  const resources = await openResources(inner, metrics);
  const health = await serveHealth(inner, { store, resources, metrics, readiness }).catch(async (error: unknown) => {
    await resources.close();
    throw error;
  });
  try {
    // First of all: an operator that cannot work here leaves the database to the one before it.
    await whenCrdsFit({ readCrd: (kind) => resources.readCrd(kind), clock, log, signal });
    readiness.crdsFit = true;
    await migrateWhenReachable(inner, database);
    const time = await openSharedClock(inner, store, metrics.recorder);
    readiness.time = time;
    const peppers = await openPeppers(inner, store, peppersFile, metrics.recorder);
    await claimCluster(inner, store, await whenReachable(inner, () => resources.clusterUid()));
    await work(
      { ...inner, clock: time },
      {
        clockIsRight: () => time.isRight(),
        store,
        safetyStore,
        memory,
        resources,
        peppers,
        metrics,
        readiness,
        onLost: () => {
          lost.abort();
        },
      },
    );
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    // Ends what still watches, or the process would stay.
    lost.abort();
    await health.close(closeMs);
    await resources.close();
    await store.close();
    await safetyStore.close();
    log.info('stopped', { durationMs: Math.round(clock.monotonicMs()) });
  }
  return context.signal.aborted ? exitCodes.stopped : exitCodes.leadershipLost;
}

interface WorkInput {
  readonly store: Store;
  readonly safetyStore: Store;
  readonly memory: PrimaryMemory;
  readonly resources: KubeResources;
  readonly peppers: Awaited<ReturnType<typeof openPeppers>>;
  readonly metrics: MetricsRegistry;
  readonly readiness: Readiness;
  readonly clockIsRight: () => boolean;
  readonly onLost: () => void;
}

async function work(context: CommandContext, input: WorkInput): Promise<void> {
  const { config, clock, log, signal } = context;
  const { store, safetyStore, memory, resources, peppers, metrics, readiness, clockIsRight, onLost } = input;
  const election =
    config.leaderElection === 'off'
      ? undefined
      : resources.elect({
          namespace: context.environment.namespace,
          name: leaseName,
          identity: `${context.environment.hostname}_${systemId()}`,
          leaseDurationMs: config.leaseDurationMs,
          note: heartbeatNote(memory, log),
          onLost,
        });
  const assertLeading = (): void => {
    if (election?.holds() === false) throw transient('ConflictRetry', 'the lease may have run out; nothing is changed');
  };
  const destinations = openDestinations({
    resources,
    mode: { kind: 'kubernetes' },
    clock,
    operatorNamespace: context.environment.namespace,
    permitted: permittedDestinations(context.config, context.environment.inPod),
    aws: context.environment.aws,
    measure: watchDestinations(context, metrics.recorder),
  });
  const admission = new AdmissionGate({
    mode: config.admission,
    lookUp: () => resources.readAdmission(),
    probe: () => resources.probeAdmission(context.environment.namespace),
    carryOver: (period) => carryOver({ resources, store, clock }, period),
    ...{ store, newId: systemId, onFenceLost: onLost, metrics: metrics.recorder, clock, log },
  });
  const installationId = await whenReachable(context, () => store.installationId());
  const controller = createController(context, {
    resources,
    store,
    safetyStore,
    destinations,
    ...(config.consumers === 'on' ? { consumers: openCountedConsumers(resources.workloads, metrics.recorder) } : {}),
    peppers,
    installationId,
    assertLeading,
    metrics: metrics.recorder,
    admission: { state: () => admission.state(), check: () => admission.check() },
    clockIsRight,
    onFenceLost: onLost,
  });
  controller.listen();
  await startWatches(resources, signal);
  readiness.synced = true;
  readiness.syncedAtMs = clock.monotonicMs();
  log.info('synced', { count: resources.list('ApiKey').length });
  try {
    await election?.acquire(signal);
    await whenReachable(context, () => store.takeFence());
    const lastLedAt = await whenReachable(context, () => store.lastBeatAt());
    readiness.isSettling = () => admission.isSettling();
    await admission.start(signal);
    if (config.admission === 'required') {
      const operatorNamespace = context.environment.namespace;
      const lookUp = () => resources.readOperatorPolicy();
      void watchOwnPolicy({ lookUp, operatorNamespace, metrics: metrics.recorder, clock, log, signal });
    }
    metrics.recorder.leading(true);
    controller.start(lastLedAt ?? 0);
    await aborted(signal);
    const drainingMs = clock.monotonicMs();
    const drained = await controller.drain(drainMs);
    log.info(drained ? 'drained' : 'not drained in time', { durationMs: Math.round(clock.monotonicMs() - drainingMs) });
  } finally {
    metrics.recorder.leading(false);
    await election?.release();
    await destinations.close();
  }
}

/** Resolves when everything was listed once. The watches end with the resources: an operator that is stopping still listens. */
async function startWatches(resources: KubeResources, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const giveUp = new AbortController();
  const onAbort = (): void => {
    giveUp.abort(signal.reason);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await resources.start(giveUp.signal);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function openResources(context: CommandContext, metrics: MetricsRegistry): Promise<KubeResources> {
  const { namespaces, secretNamespaces } = context.config;
  return await openCluster(context, {
    ...(namespaces === undefined ? {} : { namespaces }),
    ...(secretNamespaces === undefined ? {} : { secretNamespaces }),
    onCall: (verb, _kind, code, durationMs) => {
      metrics.recorder.apiCalled({
        operation: verb,
        outcome: code.startsWith('2') ? 'ok' : code === '409' ? 'lost' : 'error',
        durationMs,
      });
    },
  });
}

/**
 * The first period of an installation begins a few seconds after the start, and keys that are created before it are held: so no
 * operator is ready before. Later operators find a period in the store, and one that does not lead waits for that of the leader.
 * The wait has an end: where the policy is missing, there is no period.
 */
async function hasSettled({ isSettling, syncedAtMs }: Readiness, store: Store, clock: Clock): Promise<boolean> {
  if (!isSettling() || clock.monotonicMs() - syncedAtMs > settleWithinMs) return true;
  return (await store.readAdmission()) !== undefined;
}

async function serveHealth(
  context: CommandContext,
  { store, resources, metrics, readiness }: Pick<WorkInput, 'store' | 'resources' | 'metrics' | 'readiness'>,
): Promise<Listener> {
  const { config, clock, log } = context;
  return startHealthServer({
    address: config.metricsAddress,
    clock,
    log,
    metrics,
    live: [],
    ready: [
      { name: 'store', isWell: async () => (await store.now()) > 0 },
      { name: 'crds', isWell: () => readiness.crdsFit && resources.missingKinds().length === 0 },
      { name: 'sync', isWell: () => readiness.synced },
      { name: 'admission', isWell: () => hasSettled(readiness, store, clock) },
      { name: 'clock', isWell: () => readiness.time?.isRight() === true },
    ],
  });
}
