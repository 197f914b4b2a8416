import { readFile } from 'node:fs/promises';

import { LoginFault, type Logins } from '../store/postgres/logins.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { CommandFault, exitCodes, required, type CommandContext, type ExitCode } from './command.ts';
import { migrateWhenReachable } from './database.ts';

/** The arguments of `keywright migrate`. */
export interface MigrateCommandOptions {
  /** Forget which cluster the database belongs to. */
  readonly adoptCluster: boolean;
  /** A file with the password for the account `keywright_operator_login`; makes the account. */
  readonly operatorPasswordFile?: string;
  /** The same for `keywright_authorizer_login`. */
  readonly authorizerPasswordFile?: string;
  /** How many connections each of these accounts may have. */
  readonly operatorConnections: number;
  readonly authorizerConnections: number;
}

/**
 * `keywright migrate`: upgrades the database to this program's schema, makes the accounts for which it gets passwords, and ends.
 * Throws {@link CommandFault} for a password that cannot be read or set.
 */
export async function runMigrate(context: CommandContext, options: MigrateCommandOptions): Promise<ExitCode> {
  const { config } = context;
  const url = required(config.databaseUrl, 'KEYWRIGHT_DATABASE_URL', 'migrate');
  const { adoptCluster, operatorPasswordFile, authorizerPasswordFile, operatorConnections, authorizerConnections } = options;
  const logins: Logins = {
    ...(operatorPasswordFile === undefined
      ? {}
      : { operator: { password: await readPassword(operatorPasswordFile), connections: operatorConnections } }),
    ...(authorizerPasswordFile === undefined
      ? {}
      : { authorizer: { password: await readPassword(authorizerPasswordFile), connections: authorizerConnections } }),
  };
  const metrics = createMetrics().recorder;
  try {
    await migrateWhenReachable(context, { url, passwordFile: config.databasePasswordFile, metrics }, { adoptCluster, logins });
  } catch (error) {
    if (error instanceof LoginFault) throw new CommandFault(error.message);
    throw error;
  }
  return exitCodes.stopped;
}

async function readPassword(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trimEnd();
  } catch {
    throw new CommandFault(`the password file ${path} cannot be read`);
  }
}
