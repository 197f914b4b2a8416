import { createMetrics } from '../telemetry/metrics.ts';
import { exitCodes, required, type CommandContext, type ExitCode } from './command.ts';
import { migrateWhenReachable } from './database.ts';

/** The arguments of `keywright migrate`. */
export interface MigrateCommandOptions {
  /** Forget which cluster the database belongs to. */
  readonly adoptCluster: boolean;
}

/** `keywright migrate`: brings the database to this program's schema, and ends. */
export async function runMigrate(context: CommandContext, options: MigrateCommandOptions): Promise<ExitCode> {
  const { config } = context;
  const url = required(config.databaseUrl, 'KEYWRIGHT_DATABASE_URL', 'migrate');
  const { adoptCluster } = options;
  const metrics = createMetrics().recorder;
  await migrateWhenReachable(context, { url, passwordFile: config.databasePasswordFile, metrics }, { adoptCluster });
  return exitCodes.stopped;
}
