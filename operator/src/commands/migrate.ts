import { createMetrics } from '../telemetry/metrics.ts';
import { exitCodes, required, type CommandContext, type ExitCode } from './command.ts';
import { migrateWhenReachable } from './database.ts';

/** `keywright migrate`: brings the database to this program's schema, and ends. */
export async function runMigrate(context: CommandContext): Promise<ExitCode> {
  const { config } = context;
  const url = required(config.databaseUrl, 'KEYWRIGHT_DATABASE_URL', 'migrate');
  await migrateWhenReachable(context, { url, passwordFile: config.databasePasswordFile, metrics: createMetrics().recorder });
  return exitCodes.stopped;
}
