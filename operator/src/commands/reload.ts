import type { Metrics } from '../telemetry/metrics.ts';
import { watchFile, type Refreshable } from '../watchedfile.ts';
import type { CommandContext } from './command.ts';

/** How often to compare a file with the value in use, in milliseconds: a mounted Secret is up to a minute late anyway. */
const everyMs = 2_000;

/**
 * Reloads changed files until the context ends. With invalid content, the last valid content stays in use; a log line names the
 * file and the fault, and a metric shows it until the content is valid.
 */
export function reloadOnChange(context: CommandContext, metrics: Metrics, files: readonly Refreshable[]): void {
  for (const file of files) watch(context, metrics, file);
}

function watch(context: CommandContext, metrics: Metrics, file: Refreshable): void {
  const { clock, log, signal } = context;
  const fields = { name: file.name, file: file.paths.join(', ') };
  metrics.fileReloaded({ file: file.name, successful: true });
  void watchFile(file, {
    clock,
    everyMs,
    signal,
    report: (outcome, error) => {
      metrics.fileReloaded({ file: file.name, successful: outcome !== 'failed' });
      if (outcome === 'changed') log.info('file reloaded', fields);
      else if (outcome === 'recovered') log.info('file is valid again', fields);
      else {
        const message = error instanceof Error ? error.message : 'unknown';
        log.warn('file not reloaded, the last valid content stays in force', { ...fields, message });
      }
    },
  });
}
