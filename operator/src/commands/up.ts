import { existsSync, realpathSync, statSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAuthorize } from '../authorize/authorize.ts';
import { openDestinations } from '../destinations/registry.ts';
import { Failure } from '../domain/failure.ts';
import { systemCode } from '../domain/systemcode.ts';
import type { Instant } from '../domain/time.ts';
import { openFilesResources, type FilesResources } from '../resources/files/files.ts';
import { openWorkerParser } from '../resources/files/workerparser.ts';
import type { Listener } from '../server/listener.ts';
import { openProtection, type FileProtection } from '../server/protection.ts';
import { startVerifyServer, type VerifyServerInput } from '../server/start.ts';
import { openDataFolder, type DataFolder } from '../standalone/datafolder.ts';
import { showTable, type Screen } from '../standalone/display.ts';
import { startEmbeddedPostgres } from '../standalone/embedded.ts';
import { ensureFolderId } from '../standalone/folderid.ts';
import { notReady } from '../standalone/notready.ts';
import { ensurePepperFile } from '../standalone/pepper.ts';
import { decideOnce, onceLimitMs } from '../standalone/quiescence.ts';
import { isReady, type TableModel } from '../standalone/table.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { createFileLog } from '../telemetry/pino.ts';
import { CommandFault, exitCodes, type CommandContext, type ExitCode } from './command.ts';
import {
  claimCluster,
  migrateWhenReachable,
  openPeppers,
  openSharedClock,
  openStores,
  openUsage,
  whenReachable,
} from './database.ts';
import { noAdmission } from './admission.ts';
import { permittedDestinations, watchDestinations } from './destinations.ts';
import { createController, type Engine } from './engine.ts';
import { reloadOnChange } from './reload.ts';

/** The arguments of `keywright up`. */
export interface UpOptions {
  readonly manifests?: string;
  readonly data?: string;
  readonly port: number;
  readonly once: boolean;
  readonly prune: boolean;
}

const checkout = fileURLToPath(new URL('../../../', import.meta.url));
const example = join(checkout, 'examples/quickstart');
const drainMs = 10_000;
const lookMs = 50;
const farewell = 'stopped; the next start goes on from here\n';
/** What stands for the cluster in the database of a data folder, so that no cluster's operator takes it for its own. */
const ownCluster = 'standalone';

/**
 * `keywright up`: the operator's reconciler and the verify API over a folder of manifests, with a database of its own.
 * Everything that it makes lies under the data folder, the log included. The next start goes on from there.
 */
export async function runUp(context: CommandContext, options: UpOptions): Promise<ExitCode> {
  const { callerFolder } = context.environment;
  // The bundle stands alone: without the checkout around it there is no example, and no other place than the caller's.
  const isCheckout = existsSync(example);
  if (options.manifests === undefined && !isCheckout) throw new CommandFault('--manifests must be given: a folder of manifests');
  const manifestsFolder = options.manifests === undefined ? example : resolve(callerFolder, options.manifests);
  // One that is not there may still come, and is said in the table.
  if (existsSync(manifestsFolder) && !statSync(manifestsFolder).isDirectory())
    throw new CommandFault(`${manifestsFolder} is not a folder; --manifests takes the folder that the manifests lie in`);
  const dataPath = resolve(isCheckout ? checkout : callerFolder, '.keywright');
  const dataFolder = options.data === undefined ? dataPath : resolve(callerFolder, options.data);
  if (isSame(dataFolder, manifestsFolder))
    throw new CommandFault(`${manifestsFolder} cannot be the data folder, too; choose another one with --data`);
  const data = await openDataFolder(dataFolder);
  try {
    const log = createFileLog({ level: context.config.logLevel, path: join(data.path, 'keywright.log') });
    const { tlsCertFile, tlsKeyFile, clientCaFile, callerTokensFile } = context.config;
    const protection = await openProtection({ tlsCertFile, tlsKeyFile, clientCaFile, callerTokensFile });
    return await withDatabase({ ...context, log }, data, { ...options, manifestsFolder, protection });
  } catch (error) {
    if (context.signal.aborted) {
      context.print(farewell);
      return exitCodes.stopped;
    }
    if (!(error instanceof Failure)) throw error;
    context.print(`${error.message}\n`);
    return exitCodes.failed;
  } finally {
    await data.release();
  }
}

function isSame(one: string, other: string): boolean {
  return existsSync(one) && existsSync(other) && realpathSync(one) === realpathSync(other);
}

interface Places extends UpOptions {
  readonly manifestsFolder: string;
  /** Of the verify API. */
  readonly protection: FileProtection;
}

async function withDatabase(context: CommandContext, data: DataFolder, places: Places): Promise<ExitCode> {
  const { config, clock, log, signal } = context;
  const peppersFile = config.peppersFile ?? (await ensurePepperFile(data));
  if (config.databaseUrl !== undefined) {
    context.print('connecting to the database of KEYWRIGHT_DATABASE_URL …\n');
    const cluster = `${ownCluster}/${await ensureFolderId(data)}`;
    const { databaseUrl: url, databasePasswordFile: passwordFile } = config;
    return serve(context, data, places, { url, passwordFile, peppersFile, cluster });
  }
  context.print('starting the database …\n');
  const database = await startEmbeddedPostgres({ data, clock, log, signal });
  if (!database.folder.startsWith(data.path + sep)) context.print(`the database lies in ${database.folder}\n`);
  try {
    return await serve(context, data, places, { url: database.url, passwordFile: undefined, peppersFile, cluster: ownCluster });
  } finally {
    await database.stop();
  }
}

interface Backing {
  readonly url: string;
  readonly passwordFile: string | undefined;
  readonly peppersFile: string;
  /** Whom the database belongs to. */
  readonly cluster: string;
}

async function serve(context: CommandContext, data: DataFolder, places: Places, backing: Backing): Promise<ExitCode> {
  const { clock, log, signal } = context;
  const metrics = createMetrics();
  const database = { url: backing.url, passwordFile: backing.passwordFile, metrics: metrics.recorder };
  // With --once somebody waits for the end: a database that does not answer is one.
  const told = new Set<string>();
  await migrateWhenReachable(context, database, {
    ...(places.once ? { giveUpAfterMs: onceLimitMs } : {}),
    onWaiting: ({ message }) => {
      if (!told.has(message)) context.print(`waiting: ${message}\n`);
      told.add(message);
    },
  });
  const { store, apart: safetyStore } = openStores(context, database);
  const { manifestsFolder, prune, protection } = places;
  const parser = openWorkerParser({ clock });
  const { deletionGraceMs } = context.config;
  const folders = { manifestsFolder, dataFolder: data.path };
  const resources = await openFilesResources({ ...folders, clock, log, prune, deletionGraceMs, parser });
  const destinations = openDestinations({
    resources,
    mode: { kind: 'file', folder: join(data.path, 'secrets') },
    clock,
    operatorNamespace: 'keywright-system',
    permitted: permittedDestinations(context.config, context.environment.inPod),
    aws: context.environment.aws,
    measure: watchDestinations(context, metrics.recorder),
  });
  const ended = new AbortController();
  let fenceLost = false;
  const running: CommandContext = { ...context, signal: AbortSignal.any([signal, ended.signal]) };
  try {
    await claimCluster(running, store, backing.cluster);
    const peppers = await openPeppers(running, store, backing.peppersFile, metrics.recorder);
    const time = await openSharedClock(running, store, metrics.recorder);
    const installationId = await whenReachable(running, () => store.installationId());
    await whenReachable(running, () => store.takeFence());
    const controller = createController(
      { ...running, clock: time },
      {
        resources,
        store,
        safetyStore,
        destinations,
        peppers,
        installationId,
        metrics: metrics.recorder,
        admission: noAdmission,
        clockIsRight: () => time.isRight(),
        assertLeading: () => {},
        onFenceLost: () => {
          fenceLost = true;
          ended.abort();
        },
      },
    );
    const usage = await openUsage(running, store, metrics.recorder);
    let listener: Listener | undefined;
    try {
      const verifyNow = (): Instant | undefined => time.verifyNow();
      const { maxConnections, refusalsPerSecond } = context.config;
      const authorize = createAuthorize({
        ...{ store, peppers, clock, log, usage, verifyNow },
        metrics: metrics.recorder,
        limits: { refusalsPerSecond },
      });
      reloadOnChange(running, metrics.recorder, protection.files);
      // With --once nobody is answered: a port would only be in the way of another start.
      if (!places.once)
        listener = await listen(places.port, { authorize, protection, clock, log, maxConnections, metrics: metrics.recorder });
      const shown = { manifestsFolder, ...(listener === undefined ? {} : { authorizerUrl: listener.url }) };
      const model = (): TableModel => modelOf(context, resources, data, shown);
      const parts = { controller, resources, model };
      const code = places.once ? await runOnce(running, parts) : await runUntilStopped(running, parts);
      if (!fenceLost) return code;
      context.print('another process has taken over the database\n');
      return exitCodes.leadershipLost;
    } finally {
      await listener?.close(drainMs);
      await usage.close();
      await resources.idle();
    }
  } finally {
    // Ends what still watches, or the process would stay.
    ended.abort();
    await parser.close();
    await destinations.close();
    await store.close();
    await safetyStore.close();
  }
}

/** The verify API on loopback, open to local callers unless something is configured to prove them. */
async function listen(port: number, parts: Omit<VerifyServerInput, 'address'>): Promise<Listener> {
  try {
    return await startVerifyServer({ ...parts, address: { kind: 'tcp', host: '127.0.0.1', port } });
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'EADDRINUSE' && code !== 'EACCES') throw error;
    const why = code === 'EADDRINUSE' ? 'is in use' : 'is not open to this user';
    throw new CommandFault(`port ${port} of 127.0.0.1 ${why}; choose another one with --port`);
  }
}

interface Parts {
  readonly controller: Engine;
  readonly resources: FilesResources;
  readonly model: () => TableModel;
}

async function runUntilStopped(context: CommandContext, parts: Parts): Promise<ExitCode> {
  const { controller, resources, model } = parts;
  const { clock, signal } = context;
  controller.listen();
  await resources.start(signal);
  controller.start();
  const screen: Screen = { ...context.environment.screen, write: context.print };
  await showTable({ screen, clock, signal, model });
  await controller.drain(drainMs);
  context.print(farewell);
  return exitCodes.stopped;
}

async function runOnce(context: CommandContext, parts: Parts): Promise<ExitCode> {
  const { controller, resources, model } = parts;
  const { clock, signal } = context;
  const startedMs = clock.monotonicMs();
  const stop = new AbortController();
  controller.listen();
  await resources.start(AbortSignal.any([signal, stop.signal]));
  controller.start();
  for (;;) {
    const elapsedMs = clock.monotonicMs() - startedMs;
    const activity = {
      scansCompleted: resources.scansCompleted(),
      deletionsWaiting: resources.deletionsWaiting(),
      queued: controller.depth(),
      inFlight: controller.inFlight(),
      elapsedMs,
    };
    if (decideOnce(activity) !== 'busy') break;
    await clock.sleep(lookMs, signal);
  }
  await controller.drain(drainMs);
  stop.abort();
  await resources.idle();
  const ended = new AbortController();
  ended.abort();
  const last = model();
  await showTable({
    screen: { ...context.environment.screen, isTerminal: false, write: context.print },
    clock,
    signal: ended.signal,
    model: () => last,
  });
  // Where no manifest could be read at all, nothing is Ready.
  const isBlind = last.keys.length === 0 && last.faults.some(({ level }) => level === 'error');
  return last.keys.every(isReady) && !isBlind ? exitCodes.stopped : exitCodes.failed;
}

function modelOf(
  context: CommandContext,
  resources: FilesResources,
  data: DataFolder,
  shown: { readonly manifestsFolder: string; readonly authorizerUrl?: string },
): TableModel {
  const near = (path: string): string => {
    const short = relative(context.environment.callerFolder, path);
    return short.startsWith('..') ? path : short;
  };
  return {
    keys: resources.objects('ApiKey'),
    catalogs: resources.objects('ApiCatalog'),
    faults: [...resources.faults(), ...notReady(resources.everything())],
    now: context.clock.now(),
    ...shown,
    manifestsFolder: near(shown.manifestsFolder),
    dataFolder: near(data.path),
  };
}
