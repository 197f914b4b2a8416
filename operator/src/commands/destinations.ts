import type { Config } from '../config.ts';
import type { Destination } from '../destinations/port.ts';
import type { DestinationKind, PermittedDestinations } from '../destinations/registry.ts';
import { measured } from '../telemetry/measured.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { CommandContext } from './command.ts';

/** What the configuration permits authors of KeyDestinations. `inPod`: whether loopback is the operator's own Pod. */
export function permittedDestinations(config: Config, inPod: boolean): PermittedDestinations {
  const { vaultAddresses, awsEndpoints, insecureDestinations, loginServiceAccounts } = config;
  return { vaultAddresses, awsEndpoints, insecure: insecureDestinations, serviceAccounts: loginServiceAccounts, inPod };
}

/**
 * Counts every call to a destination, and logs the failure details that stay out of statuses and events: once for each new cause,
 * and again if the destination has worked in between.
 */
export function watchDestinations({ clock, log }: Pick<CommandContext, 'clock' | 'log'>, metrics: Metrics) {
  const told = new Map<string, string>();
  return (kind: DestinationKind, destination: Destination, name: string): Destination =>
    measured(destination, clock, ({ failure, ...sample }) => {
      metrics.destinationCalled({ ...sample, destination: kind });
      if (sample.outcome === 'ok') told.delete(name);
      const detail = failure?.detail;
      if (detail === undefined || told.get(name) === detail.text) return;
      told.set(name, detail.text);
      log.warn('destination not usable', { destination: name, failure: detail.class, message: detail.text });
    });
}
