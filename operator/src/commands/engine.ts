import type { Destinations } from '../destinations/port.ts';
import type { Peppers } from '../keys/pepper.ts';
import { Controller } from '../reconcile/controller.ts';
import type { Resources } from '../resources/port.ts';
import type { Store } from '../store/port.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { systemId, systemRandom, type CommandContext } from './command.ts';

/** The parts that a mode of operation brings: where declared state is, and where values go. */
export interface EngineParts {
  readonly resources: Resources;
  readonly store: Store;
  readonly destinations: Destinations;
  readonly peppers: Peppers;
  readonly metrics: Metrics;
  readonly installationId: string;
  readonly mintAllowed: () => boolean;
  readonly assertLeading: () => void;
  readonly onFenceLost: () => void;
}

/** The reconciler over these parts: the same in a cluster and standalone. */
export function createController(context: CommandContext, parts: EngineParts): Controller {
  const { config, clock, log } = context;
  const { onFenceLost, ...ports } = parts;
  const { deliverDeadlineMs, withdrawDeadlineMs, driftIntervalMs } = config;
  return new Controller({
    dependencies: {
      ...ports,
      random: systemRandom,
      newId: systemId,
      clock,
      log,
      limits: { deliverDeadlineMs, withdrawDeadlineMs, driftIntervalMs },
    },
    concurrency: config.concurrency,
    onFenceLost,
  });
}
