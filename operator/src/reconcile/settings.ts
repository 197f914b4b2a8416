import type { ApiKeySpec } from '../api/kinds.ts';
import { canonicalJson } from '../domain/canonical.ts';
import { durationMs } from '../domain/duration.ts';
import type { KeySettings, Selections } from '../store/port.ts';

/** What the store is to know of an ApiKey's spec: everything that a verdict may depend on, and nothing else. */
export function settingsOf(spec: ApiKeySpec): KeySettings {
  return {
    displayName: spec.displayName,
    catalog: spec.catalog,
    owner: spec.owner,
    accessType: spec.accessType,
    ...(spec.clientApplication === undefined ? {} : { clientApplication: spec.clientApplication }),
    suspended: spec.suspend,
    selections: selectionsOf(spec),
  };
}

function selectionsOf(spec: ApiKeySpec): Selections {
  const { scopes, endpoints, applications, channels, customerChannels, attributes, rateLimit, allowedSources } = spec;
  return {
    ...(scopes === undefined ? {} : { scopes }),
    ...(endpoints === undefined ? {} : { endpoints }),
    ...(applications === undefined ? {} : { applications }),
    ...(channels === undefined ? {} : { channels }),
    ...(customerChannels === undefined ? {} : { customerChannels }),
    ...(attributes === undefined ? {} : { attributes }),
    ...(rateLimit === undefined ? {} : { rateLimit: { requests: rateLimit.requests, perMs: durationMs(rateLimit.per) } }),
    ...(allowedSources === undefined ? {} : { allowedSources }),
  };
}

/** Whether two plain values are equal. */
export function sameData(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b);
}
