import { Freshness } from '../authorize/freshness.ts';
import { Usage } from '../authorize/usage.ts';
import { Failure, waiting } from '../domain/failure.ts';
import { PepperFile } from '../keys/pepperfile.ts';
import { programSchemaVersion } from '../store/migrations/index.ts';
import type { Store } from '../store/port.ts';
import type { Logins } from '../store/postgres/logins.ts';
import { migrate } from '../store/postgres/migrate.ts';
import {
  openPostgresStore,
  openPostgresStores,
  type PostgresStoreOptions,
  type PostgresStores,
} from '../store/postgres/store.ts';
import { measured } from '../telemetry/measured.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { CommandFault, systemId, type CommandContext } from './command.ts';
import { reloadOnChange } from './reload.ts';
import { SharedClock } from './sharedclock.ts';

const retryMs = 1_000;

/** The database of one process. */
export interface DatabaseInput {
  readonly url: string;
  readonly passwordFile?: string | undefined;
  readonly metrics: Metrics;
}

/**
 * Migrates, waiting for a database that does not answer yet. Rejects when the signal is aborted, when the time is up (with
 * the last failure), or with a defect.
 */
export async function migrateWhenReachable(
  context: CommandContext,
  input: DatabaseInput,
  options: { readonly adoptCluster?: boolean; readonly logins?: Logins } & WaitOptions = {},
): Promise<void> {
  const { log } = context;
  const { url, passwordFile } = input;
  const { adoptCluster = false, logins = {} } = options;
  const more = passwordFile === undefined ? {} : { passwordFile };
  const outcome = await whenReachable(context, () => migrate(url, { log, adoptCluster, logins, ...more }), options);
  for (const statement of outcome.statements) {
    log.warn('an administrator of the database must run this', { message: statement });
  }
}

/** Opens the store with its calls measured. Nothing is connected yet. */
export function openStore(context: CommandContext, input: DatabaseInput): Store {
  return countedStore(context, input, openPostgresStore(optionsOf(context, input)));
}

/** Waits for the schema that this program needs: another process migrates. */
export async function schemaThere(context: CommandContext, store: Store): Promise<void> {
  await whenReachable(context, async () => {
    const found = await store.schemaVersion();
    if (found >= programSchemaVersion) return;
    const versions = `version ${String(found)}, and this program needs version ${String(programSchemaVersion)}`;
    throw waiting('StoreUnavailable', `the database schema has ${versions}: the operator upgrades it at its start`);
  });
}

function optionsOf({ clock, log }: CommandContext, { url, passwordFile }: DatabaseInput): PostgresStoreOptions {
  return {
    ...{ url, clock, log },
    ...(passwordFile === undefined ? {} : { passwordFile }),
  };
}

function countedStore({ clock }: CommandContext, { metrics }: DatabaseInput, store: Store): Store {
  return measured(store, clock, (sample) => {
    metrics.storeCalled(sample);
  });
}

/**
 * Like {@link openStore}, but opens the store twice: the second one has its own connections, for work that must not wait for
 * others.
 */
export function openStores(context: CommandContext, input: DatabaseInput): PostgresStores {
  const { store, apart, memory } = openPostgresStores(optionsOf(context, input));
  return { store: countedStore(context, input, store), apart: countedStore(context, input, apart), memory };
}

/** The time that the processes of this database share, compared for the first time; see {@link SharedClock}. */
export async function openSharedClock(context: CommandContext, store: Store, metrics: Metrics): Promise<SharedClock> {
  const { clock: own, log, signal } = context;
  const shared = new SharedClock({ own, databaseNow: () => store.now(), log, metrics });
  await whenReachable(context, () => shared.start(signal));
  return shared;
}

/**
 * An authorizer's record of use, once the store knows of it. Nothing may be allowed before: the operator would not hear of it,
 * and could retire a version that is in use here.
 */
export async function openUsage(context: CommandContext, store: Store, metrics: Metrics): Promise<Usage> {
  const { clock, log, config } = context;
  const usage = new Usage({ store, clock, log, metrics, replicaId: systemId(), flushMs: config.usageFlushMs });
  await whenReachable(context, () => usage.start());
  return usage;
}

/** Whether the store reads the primary of the database, checked from now on; see {@link Freshness}. */
export async function openFreshness(context: CommandContext, store: Store): Promise<Freshness> {
  const { clock, log, config, signal } = context;
  const { requireHeartbeat: rule, maxStalenessMs } = config;
  const freshness = new Freshness({ store, clock, log, rule, maxStalenessMs });
  await freshness.start(signal);
  return freshness;
}

/** The peppers of a file, compared with the store, and read again when the file changes. A wrong one is exit code 2. */
export async function openPeppers(context: CommandContext, store: Store, path: string, metrics: Metrics): Promise<PepperFile> {
  const peppers = await whenReachable(context, () =>
    PepperFile.open({ path, check: (id, check) => store.checkPepper(id, check) }),
  );
  reloadOnChange(context, metrics, [peppers.file]);
  return peppers;
}

/** How {@link whenReachable} waits. */
export interface WaitOptions {
  /** After this time, in milliseconds, the last failure is thrown. Absent = never. */
  readonly giveUpAfterMs?: number;
  /** Told of each failure, besides the log. */
  readonly onWaiting?: (failure: Failure) => void;
}

/** Repeats a call until the database, or the API server, answers: each second, or as rarely as the failure asks. */
export async function whenReachable<T>(
  context: CommandContext,
  call: () => Promise<T>,
  { giveUpAfterMs, onWaiting = () => {} }: WaitOptions = {},
): Promise<T> {
  const { clock, log, signal } = context;
  const startedMs = clock.monotonicMs();
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof Failure) || error.kind === 'stalled') throw error;
      if (giveUpAfterMs !== undefined && clock.monotonicMs() - startedMs >= giveUpAfterMs) throw error;
      const retryInMs = Math.max(retryMs, error.retryAfterMs ?? 0);
      onWaiting(error);
      log.warn('waiting', { reason: error.reason, message: error.message, retryInMs });
      await clock.sleep(retryInMs, signal);
    }
  }
}

/** A database belongs to one cluster, or to one data folder: two operators would revoke each other's keys. */
export async function claimCluster(context: CommandContext, store: Store, clusterUid: string): Promise<void> {
  const claim = await whenReachable(context, () => store.claimCluster(clusterUid));
  if (claim === 'ours') return;
  throw new CommandFault(
    'this database belongs to another cluster or data folder; `keywright migrate --adopt-cluster` hands it over',
  );
}
