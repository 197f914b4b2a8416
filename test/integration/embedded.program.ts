/**
 * What the embedded database's tests start, kill and start again: takes the data folder, starts the database, adds one
 * row to a table, prints `ready <rows>`, and stops on SIGTERM. SIGINT gives a start up that is under way.
 *
 * Arguments: data folder, system folder, cache folder, `death-signal` | `watcher` | `best`.
 */
import pg from 'pg';
import { systemClock } from '../../operator/src/domain/time.ts';
import { openDataFolder } from '../../operator/src/standalone/datafolder.ts';
import { startEmbeddedPostgres } from '../../operator/src/standalone/embedded.ts';
import { spawnWithDeathSignal, spawnWithWatcher } from '../../operator/src/standalone/guard.ts';
import type { Log } from '../../operator/src/telemetry/log.ts';

const [dataFolder = '', systemFolder = '', cacheFolder = '', guardName = 'best'] = process.argv.slice(2);
const say = (event: string, fields?: object): void => void process.stdout.write(`log ${event} ${JSON.stringify(fields ?? {})}\n`);
const log: Log = { trace: say, debug: say, info: say, warn: say, error: say };
const guards = { 'death-signal': spawnWithDeathSignal, watcher: spawnWithWatcher } as const;
const guard = guardName === 'best' ? {} : { guard: guards[guardName as keyof typeof guards] };

const abort = new AbortController();
process.once('SIGINT', () => abort.abort(new Error('given up')));

try {
  const data = await openDataFolder(dataFolder);
  const server = await startEmbeddedPostgres({
    data,
    clock: systemClock,
    log,
    signal: abort.signal,
    systemFolder,
    cacheFolder,
    ...guard,
  });
  const client = new pg.Client({ connectionString: server.url });
  client.on('error', () => {});
  await client.connect();
  await client.query('CREATE TABLE IF NOT EXISTS starts (at timestamptz DEFAULT now())');
  await client.query('INSERT INTO starts DEFAULT VALUES');
  const { rows } = await client.query<{ count: string }>('SELECT count(*) FROM starts');
  process.once('SIGTERM', () => {
    void client
      .end()
      .then(() => server.stop())
      .then(() => data.release())
      .then(() => process.stdout.write('stopped\n'));
  });
  process.stdout.write(`ready ${rows[0]?.count ?? '?'}\n`);
} catch (error) {
  process.stdout.write(`fault ${error instanceof Error ? `${error.name}: ${error.message}` : 'unknown'}\n`);
  process.exitCode = 1;
}
