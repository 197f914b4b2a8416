import type { ApiCatalog, ApiCatalogSpec } from '../../api/kinds.ts';
import type { CatalogModel, GrantRule } from '../../domain/catalog.ts';
import { didYouMean } from '../../api/suggestion.ts';
import { patternFault } from './pattern.ts';

/** One thing that is wrong with a catalog: `spec.scopes[2].endpoints[0]`, and a sentence that reads on after a colon. */
export interface CatalogFault {
  readonly path: string;
  readonly message: string;
}

/**
 * What no schema of one field can say about a catalog: names that lead nowhere or to two things, templates that mean the
 * same requests, flags that contradict the template. In the order of the fields; empty = the catalog is valid as a whole.
 */
export function catalogFaults(spec: ApiCatalogSpec): readonly CatalogFault[] {
  return [
    ...typeFaults(spec),
    ...duplicates('scopes', spec.scopes),
    ...scopeFaults(spec),
    ...duplicates('endpoints', spec.endpoints),
    ...endpointFaults(spec),
    ...requestFaults(spec),
  ];
}

/** `spec.scopes[2].name: is taken by spec.scopes[0]: subscribers:read`. */
export function formatFault(fault: CatalogFault): string {
  return `${fault.path}: ${fault.message}`;
}

/** Lists with a key of their own (types, applications, channels) are looked at by the schema. */
function duplicates(list: 'scopes' | 'endpoints', entries: readonly { readonly name: string }[]): readonly CatalogFault[] {
  const first = new Map<string, number>();
  return entries.flatMap(({ name }, at) => {
    const before = first.get(name);
    if (before === undefined) first.set(name, at);
    return before === undefined
      ? []
      : [{ path: `spec.${list}[${at}].name`, message: `${name} is taken by spec.${list}[${before}]` }];
  });
}

function typeFaults({ accessTypes, scopes }: ApiCatalogSpec): readonly CatalogFault[] {
  const known = new Set(scopes.map(({ name }) => name));
  return accessTypes.flatMap((type, at) =>
    (type.scopes ?? []).flatMap((scope, index) =>
      known.has(scope)
        ? []
        : [
            {
              path: `spec.accessTypes[${at}].scopes[${index}]`,
              message: `the catalog has no scope ${scope}${didYouMean(scope, known)}`,
            },
          ],
    ),
  );
}

function scopeFaults({ scopes, endpoints }: ApiCatalogSpec): readonly CatalogFault[] {
  const known = new Set(endpoints.map(({ name }) => name));
  return scopes.flatMap((scope, at) =>
    scope.endpoints.flatMap((endpoint, index) =>
      known.has(endpoint)
        ? []
        : [
            {
              path: `spec.scopes[${at}].endpoints[${index}]`,
              message: `the catalog has no endpoint ${endpoint}${didYouMean(endpoint, known)}`,
            },
          ],
    ),
  );
}

function endpointFaults({ endpoints, requests }: ApiCatalogSpec): readonly CatalogFault[] {
  const parameter = requests.application?.pathParam;
  const byShape = new Map<string, number>();
  return endpoints.flatMap((endpoint, at) => {
    const faults: CatalogFault[] = [];
    const parameters = parametersOf(endpoint.path);
    const twice = parameters.find((name, index) => parameters.indexOf(name) !== index);
    if (twice !== undefined)
      faults.push({ path: `spec.endpoints[${at}].path`, message: `${endpoint.path} has {${twice}} twice` });
    const shape = `${endpoint.method} ${endpoint.path.replaceAll(/\{[^}]*\}/g, '{}')}`;
    const before = byShape.get(shape);
    if (before === undefined) byShape.set(shape, at);
    else {
      const other = `${endpoints[before]?.method ?? ''} ${endpoints[before]?.path ?? ''} of spec.endpoints[${before}]`;
      faults.push({
        path: `spec.endpoints[${at}].path`,
        message: `${endpoint.method} ${endpoint.path} means the same requests as ${other}`,
      });
    }
    if (parameter !== undefined && endpoint.perApplication !== parameters.includes(parameter)) {
      const what = endpoint.perApplication ? 'is true, but the path has no' : 'is false, but the path has the';
      faults.push({
        path: `spec.endpoints[${at}].perApplication`,
        message: `${what} parameter {${parameter}} of spec.requests.application: ${endpoint.path}`,
      });
    }
    return faults;
  });
}

function requestFaults({ requests }: ApiCatalogSpec): readonly CatalogFault[] {
  const pattern = requests.customer?.pattern;
  const fault = pattern === undefined ? undefined : patternFault(pattern);
  return fault === undefined ? [] : [{ path: 'spec.requests.customer.pattern', message: `${pattern ?? ''} ${fault}` }];
}

function parametersOf(path: string): readonly string[] {
  return [...path.matchAll(/\{([^}]*)\}/g)].map(([, name = '']) => name);
}

/** A catalog and the hosts that it claims. */
export interface Claim {
  readonly metadata: ApiCatalog['metadata'];
  readonly hosts: readonly string[];
}

/** Who has a host in force; without an entry nobody. */
export type HostHolders = ReadonlyMap<string, { readonly uid: string; readonly name: string }>;

/** A host that a catalog cannot have, where it claims it, and whose it is. */
export interface HostConflict {
  readonly host: string;
  readonly at: number;
  readonly by: string;
  /** `inForce`: the other one has it. `elder`: nobody has it yet, and the other one claims it and is older. */
  readonly why: 'inForce' | 'elder';
}

/** The elder of two catalogs gets a free host: by its creation, and of two that came in one second, by the uid. */
export function isElder(a: ApiCatalog['metadata'], b: ApiCatalog['metadata']): boolean {
  const [one, other] = [a.creationTimestamp ?? '', b.creationTimestamp ?? ''];
  return one === other ? a.uid < b.uid : one < other;
}

/**
 * The first host of `own` that it cannot have. A host stays with the catalog that has it in force, whoever is older: otherwise the
 * writer of an old catalog could take the host of any other product. A free one goes to the elder of those that can have all
 * that they claim.
 */
export function hostConflict(own: Claim, others: readonly Claim[], holders: HostHolders): HostConflict | undefined {
  const rivals = others.filter((other) => isElder(other.metadata, own.metadata) && heldElsewhere(other, holders) === undefined);
  const elsewhere = heldElsewhere(own, holders);
  for (const [at, host] of own.hosts.entries()) {
    if (elsewhere?.at === at) return elsewhere;
    const elder = holders.has(host) ? undefined : rivals.find((other) => other.hosts.includes(host));
    if (elder !== undefined) return { host, at, by: elder.metadata.name, why: 'elder' };
  }
  return undefined;
}

/** The first of these hosts that another catalog has in force. */
export function heldElsewhere({ metadata, hosts }: Claim, holders: HostHolders): HostConflict | undefined {
  for (const [at, host] of hosts.entries()) {
    const holder = holders.get(host);
    if (holder !== undefined && holder.uid !== metadata.uid) return { host, at, by: holder.name, why: 'inForce' };
  }
  return undefined;
}

/**
 * Names in rules that stand for nothing now, as `spec.grants[1].scopes: no scope x in catalog y`. They grant nothing and
 * are not invalid: the catalog may come, or get the name, later.
 */
export function unknownNames(
  rules: readonly GrantRule[],
  catalogOf: (name: string) => CatalogModel | undefined,
): readonly string[] {
  return rules.flatMap((rule, at) => {
    const field = `spec.grants[${at}]`;
    const model = catalogOf(rule.catalog);
    if (model === undefined) return [`${field}.catalog: no ApiCatalog ${rule.catalog} is in force`];
    const names = (entries: readonly { readonly name: string }[]) => entries.map(({ name }) => name);
    const lists = [
      ['accessTypes', 'access type', rule.accessTypes, names(model.accessTypes)],
      ['scopes', 'scope', rule.scopes, names(model.scopes)],
      ['endpoints', 'endpoint', rule.endpoints, names(model.endpoints)],
      ['applications', 'application', rule.applications, model.applications],
      ['channels', 'channel', rule.channels, model.channels],
      ['attributes', 'attribute', rule.attributes, model.attributes],
    ] as const;
    return lists.flatMap(([list, what, given, known]) => {
      const there = new Set<string>(known);
      return given
        .filter((name) => name !== '*' && !there.has(name))
        .map((name) => `${field}.${list}: no ${what} ${name} in catalog ${rule.catalog}`);
    });
  });
}
