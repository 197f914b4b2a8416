import { Failure } from '../domain/failure.ts';
import { formatRef } from '../domain/key.ts';
import { printable } from '../domain/text.ts';
import { formatInstant } from '../domain/time.ts';
import { digestOf, heldBack } from '../reconcile/orphans.ts';
import { unservedRemedy } from '../reconcile/unserved.ts';
import type { MissingKey, Store, UnservedKeys } from '../store/port.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { CommandFault, exitCodes, required, type CommandContext, type ExitCode } from './command.ts';
import { actorOfCommand } from './actor.ts';
import { openStore } from './database.ts';

/** The arguments of `keywright orphans`. */
export interface OrphansOptions {
  /** Only the keys of this namespace. */
  readonly namespace?: string;
  /** The digest that the list ended with. */
  readonly confirm?: string;
}

/**
 * `keywright orphans`: lists the keys whose ApiKey is gone without a deletion, and says which of them are held because too many
 * vanished at once. `--confirm` states that exactly the listed keys are gone on purpose: the operator revokes and withdraws them
 * at its next sweep, unless their ApiKey exists again and is accepted by then. Needs only the database, and KEYWRIGHT_NAMESPACES of
 * the operator to list the keys that it does not serve. Throws {@link CommandFault} for a malformed digest; exit code 1 if the list
 * is not the confirmed one.
 */
export async function runOrphans(context: CommandContext, options: OrphansOptions): Promise<ExitCode> {
  const { config, print } = context;
  const url = required(config.databaseUrl, 'KEYWRIGHT_DATABASE_URL', 'orphans');
  const { confirm } = options;
  if (confirm !== undefined && !/^[0-9a-f]{8}$/.test(confirm))
    throw new CommandFault('--confirm must be the eight hex digits that the list ends with');
  const store = openStore(context, { url, passwordFile: config.databasePasswordFile, metrics: createMetrics().recorder });
  try {
    const [all, total] = [await store.listMissing(), (await store.listKeys()).length];
    const held = new Set(heldBack(all, total));
    const listed = all.filter(({ ref }) => options.namespace === undefined || ref.namespace === options.namespace);
    if (confirm !== undefined) return await confirmAll(context, store, listed, confirm);
    print(tell(listed, { held, total, afterMs: config.orphanAfterMs, namespace: options.namespace }));
    const { namespaces } = config;
    if (namespaces !== undefined && options.namespace === undefined)
      print(tellUnserved(await store.listUnserved(namespaces, mostListed)));
    return exitCodes.stopped;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    print(`${error.message}; run this again\n`);
    return exitCodes.failed;
  } finally {
    await store.close();
  }
}

/** The most keys that are not served in one list. */
const mostListed = 1_000;

interface Telling {
  readonly held: ReadonlySet<MissingKey>;
  readonly total: number;
  readonly afterMs: number;
  readonly namespace: string | undefined;
}

function tell(listed: readonly MissingKey[], { held, total, afterMs, namespace }: Telling): string {
  if (listed.length === 0) return 'every key in a namespace that the operator serves has its ApiKey\n';
  const lines = listed.map((one) => {
    const { ref, since, confirmedBy } = one;
    const what =
      confirmedBy !== undefined
        ? `confirmed by ${confirmedBy}, will be revoked within a minute`
        : held.has(one)
          ? 'held until it is confirmed, or its ApiKey exists again and is accepted'
          : `revoked after ${formatInstant(since + afterMs)}, unless its ApiKey is there and accepted by then`;
    return `${formatRef(ref)}  gone since ${formatInstant(since)}  ${what}`;
  });
  const open = listed.filter(({ confirmedBy }) => confirmedBy === undefined);
  if (held.size > 0)
    lines.push(
      '',
      `${held.size} of ${total} keys lost their ApiKey: so many at once may be an accident, and are not revoked automatically.`,
    );
  if (open.length > 0) {
    const scope = namespace === undefined ? '' : ` --namespace ${namespace}`;
    lines.push('', 'To have exactly these revoked and withdrawn now:', `  keywright orphans${scope} --confirm ${digestOf(open)}`);
  }
  return `${lines.map(printable).join('\n')}\n`;
}

function tellUnserved({ keys, total }: UnservedKeys): string {
  if (total === 0) return '';
  const lines = keys.map(({ ref, keyIds }) => `${formatRef(ref)}  not served  ${keyIds.join(' ')}`);
  const more = total > keys.length ? [`and ${total - keys.length} more`] : [];
  const what = `The operator does not serve the namespaces of ${total} keys: revocations and deletions there have no effect.`;
  const shown = [...lines, ...more, '', `${what} To end that, ${unservedRemedy} and the key ids above.`];
  return `\n${shown.map(printable).join('\n')}\n`;
}

async function confirmAll(
  { print }: CommandContext,
  store: Store,
  listed: readonly MissingKey[],
  confirm: string,
): Promise<ExitCode> {
  const open = listed.filter(({ confirmedBy }) => confirmedBy === undefined);
  if (open.length === 0 || digestOf(open) !== confirm) {
    print('the list has changed since you saw it; nothing was changed. Run keywright orphans again\n');
    return exitCodes.failed;
  }
  const uids = open.map(({ ref }) => ref.uid);
  const count = await store.confirmMissing(uids, actorOfCommand());
  print(
    `${count} confirmed: the operator revokes and withdraws them within a minute, unless their ApiKey is there and accepted by then\n`,
  );
  return exitCodes.stopped;
}
