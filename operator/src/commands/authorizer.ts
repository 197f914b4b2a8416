import { createAuthorize } from '../authorize/authorize.ts';
import type { Freshness } from '../authorize/freshness.ts';
import { openProtection } from '../server/protection.ts';
import { listening, startHealthServer, startVerifyServer } from '../server/start.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { aborted, exitCodes, required, type CommandContext, type ExitCode } from './command.ts';
import { openFreshness, openPeppers, openSharedClock, openStore, openUsage, schemaThere } from './database.ts';
import { reloadOnChange } from './reload.ts';

const drainMs = 10_000;
/** Longer than a busy gateway leaves a connection alone, so that it hears of the end by an answer. */
const lingerMs = 1_000;

/**
 * What the health endpoint reports. Once this process decides, nothing that all authorizers share takes it out of service: the
 * gateways would find no authorizer at all, instead of a 503 with Retry-After, or of the verdicts that a slow database still gives.
 */
interface Readiness {
  /** The database has our schema. */
  schema: boolean;
  reporting: boolean;
  /** Absent = not checked yet. */
  freshness?: Freshness;
}

/** `keywright authorizer`: answers `/v1/verify` from the store. It never migrates; several may run side by side. */
export async function runAuthorizer(outer: CommandContext): Promise<ExitCode> {
  const ended = new AbortController();
  const context: CommandContext = { ...outer, signal: AbortSignal.any([outer.signal, ended.signal]) };
  const { config, clock, log, signal } = context;
  const url = required(config.databaseUrl, 'KEYWRIGHT_DATABASE_URL', 'authorizer');
  const peppersFile = required(config.peppersFile, 'KEYWRIGHT_PEPPERS_FILE', 'authorizer');
  const { tlsCertFile, tlsKeyFile, clientCaFile, callerTokensFile } = config;
  const protection = await openProtection({ tlsCertFile, tlsKeyFile, clientCaFile, callerTokensFile });
  const metrics = createMetrics({ processMetrics: true });
  reloadOnChange(context, metrics.recorder, protection.files);
  const database = { url, passwordFile: config.databasePasswordFile, metrics: metrics.recorder };
  const store = openStore(context, database);
  const readiness: Readiness = { schema: false, reporting: false };
  const health = await startHealthServer({
    address: config.metricsAddress,
    clock,
    log,
    metrics,
    live: [],
    ready: [
      { name: 'store', isWell: () => readiness.schema },
      { name: 'usage', isWell: () => readiness.reporting },
      { name: 'primary', isWell: () => readiness.freshness?.isReady() === true },
    ],
  });
  try {
    await schemaThere(context, store);
    readiness.schema = true;
    const peppers = await openPeppers(context, store, peppersFile, metrics.recorder);
    const time = await openSharedClock(context, store, metrics.recorder);
    const freshness = await openFreshness(context, store);
    readiness.freshness = freshness;
    const usage = await openUsage(context, store, metrics.recorder);
    readiness.reporting = true;
    try {
      const authorize = createAuthorize({
        ...{ store, peppers, clock, log, usage },
        metrics: metrics.recorder,
        verifyNow: () => time.verifyNow(),
        limits: { refusalsPerSecond: config.refusalsPerSecond },
        blocked: () => freshness.blocked(),
      });
      const { listenAddress: address, maxConnections } = config;
      const served = { address, protection, authorize, clock, log, metrics: metrics.recorder, maxConnections };
      const listener = await listening(address, startVerifyServer(served));
      await aborted(signal);
      await listener.close(drainMs, lingerMs);
    } finally {
      await usage.close();
    }
    return exitCodes.stopped;
  } catch (error) {
    if (signal.aborted) return exitCodes.stopped;
    throw error;
  } finally {
    ended.abort();
    await health.close(0);
    await store.close();
  }
}
