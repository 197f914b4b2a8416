import type { ApiKeySpec } from '../api/kinds.ts';
import type { AccessType } from '../domain/catalog.ts';
import type { CatalogIndex } from '../domain/catalogindex.ts';
import { typeReaches } from '../domain/grants.ts';
import { didYouMean } from '../api/suggestion.ts';

/**
 * The first thing that is wrong with what a key selects, with its field and value; `undefined` = nothing. The catalog is
 * the one in force. An unknown name grants nothing; here it is also told, because somebody expects something of it.
 */
export function selectionFault(index: CatalogIndex, spec: ApiKeySpec): string | undefined {
  const type = index.types.get(spec.accessType);
  return (
    unknownName(spec, index) ??
    (type === undefined ? undefined : (unreachable(spec, type, index) ?? notPerApplication(spec, index)))
  );
}

function unknownName(spec: ApiKeySpec, index: CatalogIndex): string | undefined {
  const lists = [
    ['scopes', 'scope', spec.scopes, index.scopes],
    ['endpoints', 'endpoint', spec.endpoints, index.numbers],
    ['applications', 'application', spec.applications, index.applications],
    ['channels', 'channel', spec.channels, index.channels],
    ...(spec.customerChannels ?? []).map(
      ({ channels }, at) => [`customerChannels[${at}].channels`, 'channel', channels, index.channels] as const,
    ),
    ['attributes', 'attribute', spec.attributes, index.attributes],
  ] as const;
  for (const [field, what, names, known] of lists) {
    const at = names?.findIndex((name) => !known.has(name)) ?? -1;
    const name = names?.[at];
    if (name !== undefined)
      return `spec.${field}[${at}]: catalog ${spec.catalog} has no ${what} ${name}${didYouMean(name, known.keys())}`;
  }
  return undefined;
}

/** What the access type does not reach would be selected in vain. */
function unreachable(spec: ApiKeySpec, type: AccessType, index: CatalogIndex): string | undefined {
  const isReached = (number: number | undefined): boolean => number !== undefined && typeReaches(type, index, number);
  return firstWithout(spec, index, isReached, {
    scope: (name) => `access type ${type.name} reaches no endpoint of scope ${name}`,
    endpoint: (name) => `access type ${type.name} does not reach endpoint ${name}`,
  });
}

/** With applications selected, only endpoints that work with one application remain. */
function notPerApplication(spec: ApiKeySpec, index: CatalogIndex): string | undefined {
  if (spec.applications === undefined) return undefined;
  const works = (number: number | undefined): boolean =>
    number !== undefined && index.model.endpoints[number]?.perApplication === true;
  return firstWithout(spec, index, works, {
    scope: (name) => `spec.applications is set, and no endpoint of scope ${name} works per application`,
    endpoint: (name) => `spec.applications is set, and endpoint ${name} does not work per application`,
  });
}

/** The first endpoint that does not fit, or the first scope of which nothing fits. */
function firstWithout(
  spec: ApiKeySpec,
  index: CatalogIndex,
  fits: (number: number | undefined) => boolean,
  message: Readonly<Record<'scope' | 'endpoint', (name: string) => string>>,
): string | undefined {
  const membersOf = new Map(index.model.scopes.map(({ name, endpoints }) => [name, endpoints]));
  const scopeAt = spec.scopes?.findIndex((scope) => !membersOf.get(scope)?.some((name) => fits(index.numbers.get(name)))) ?? -1;
  if (scopeAt >= 0) return `spec.scopes[${scopeAt}]: ${message.scope(spec.scopes?.[scopeAt] ?? '')}`;
  const at = spec.endpoints?.findIndex((name) => !fits(index.numbers.get(name))) ?? -1;
  return at < 0 ? undefined : `spec.endpoints[${at}]: ${message.endpoint(spec.endpoints?.[at] ?? '')}`;
}
