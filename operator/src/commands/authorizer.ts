import { createAuthorize } from '../authorize/authorize.ts';
import { Usage } from '../authorize/usage.ts';
import { listening, readProtection, startHealthServer, startVerifyServer } from '../server/start.ts';
import { programSchemaVersion } from '../store/migrations/index.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { aborted, exitCodes, required, type CommandContext, type ExitCode } from './command.ts';
import { openPeppers, openStore } from './database.ts';

const drainMs = 10_000;

/** `keywright authorizer`: answers `/v1/verify` from the store. It never migrates; several may run side by side. */
export async function runAuthorizer(outer: CommandContext): Promise<ExitCode> {
  const ended = new AbortController();
  const context: CommandContext = { ...outer, signal: AbortSignal.any([outer.signal, ended.signal]) };
  const { config, clock, log, signal } = context;
  const url = required(config.databaseUrl, 'KEYWRIGHT_DATABASE_URL', 'authorizer');
  const peppersFile = required(config.peppersFile, 'KEYWRIGHT_PEPPERS_FILE', 'authorizer');
  const { tlsCertFile, tlsKeyFile, clientCaFile, callerTokensFile } = config;
  const protection = await readProtection({ tlsCertFile, tlsKeyFile, clientCaFile, callerTokensFile });
  const metrics = createMetrics({ processMetrics: true });
  const store = openStore(context, { url, passwordFile: config.databasePasswordFile, metrics: metrics.recorder });
  const isWell = async (): Promise<boolean> => (await store.schemaVersion()) >= programSchemaVersion;
  const health = await startHealthServer({
    address: config.metricsAddress,
    clock,
    log,
    metrics,
    live: [],
    ready: [{ name: 'store', isWell }],
  });
  try {
    const peppers = await openPeppers(context, store, peppersFile);
    const usage = new Usage({ store, clock, log });
    const authorize = createAuthorize({ store, peppers, clock, log, metrics: metrics.recorder, usage });
    const address = config.listenAddress;
    const listener = await listening(address, startVerifyServer({ address, protection, authorize, clock, log }));
    try {
      await aborted(signal);
    } finally {
      await listener.close(drainMs);
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
