import { revocationReasons } from '../api/apikey.ts';
import { Failure } from '../domain/failure.ts';
import { parseKeyId } from '../keys/token.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { actorOfCommand } from './actor.ts';
import { CommandFault, exitCodes, required, type CommandContext, type ExitCode } from './command.ts';
import { openStore } from './database.ts';

/** The arguments of `keywright revoke`. */
export interface RevokeOptions {
  /** A key id, or a display form. */
  readonly direct: string;
  readonly reason: string;
  /** Ends only this version; without it the ApiKey is closed for good. */
  readonly replace: boolean;
}

/**
 * `keywright revoke --direct`: revokes in the store, with nothing but the database. Every verify after it is refused; the
 * operator follows as soon as it runs. Throws {@link CommandFault} for arguments that cannot be right; the value of a key is
 * refused, and not repeated.
 */
export async function runRevoke(context: CommandContext, options: RevokeOptions): Promise<ExitCode> {
  const { config, print } = context;
  const url = required(config.databaseUrl, 'KEYWRIGHT_DATABASE_URL', 'revoke');
  const { reason, replace } = options;
  const keyId = parseKeyId(options.direct);
  if (keyId === undefined)
    throw new CommandFault('--direct must be a key id: 12 letters and digits, alone or as <prefix>_<environment>_<key id>');
  if (!revocationReasons.some((one) => one === reason))
    throw new CommandFault(`--reason must be one of ${revocationReasons.join(', ')}`);
  const store = openStore(context, { url, passwordFile: config.databasePasswordFile, metrics: createMetrics().recorder });
  try {
    const outcome = await store.revokeDirect(keyId, { actor: actorOfCommand(), reason, close: !replace });
    print(`${sentences[outcome](keyId, replace)}\n`);
    return outcome === 'unknown' ? exitCodes.failed : exitCodes.stopped;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (error.kind === 'stalled') print(`${keyId} was not revoked: ${error.message}\n`);
    else print(`could not tell whether ${keyId} was revoked: ${error.message}; run this again\n`);
    return exitCodes.failed;
  } finally {
    await store.close();
  }
}

const sentences = {
  revoked: (keyId: string, replace: boolean) =>
    replace ? `${keyId} is revoked; the operator mints the next version` : `${keyId} is revoked, and its ApiKey closed for good`,
  already: (keyId: string) => `${keyId} was revoked or had ended before; nothing was changed`,
  unknown: (keyId: string) => `there is no key with the id ${keyId}; nothing was changed`,
} as const;
