import type { AuthRequest } from '../../operator/src/authorize/request.ts';
import type { AccessType, CatalogModel, Endpoint, GrantRule } from '../../operator/src/domain/catalog.ts';
import type { CatalogRow, KeyRecord } from '../../operator/src/store/port.ts';

/** What the reference says of one request; the members of an allow as the verify API names them. */
export type ReferenceVerdict =
  | {
      readonly allowed: true;
      readonly endpoint: string;
      readonly channels: 'All' | readonly string[];
      readonly attributes: 'All' | readonly string[];
      readonly applications: 'All' | readonly string[];
      readonly requestApplication: string | undefined;
      readonly expiresAt: number | undefined;
    }
  | { readonly allowed: false; readonly code: string; readonly violatingChannels?: readonly string[] };

/** One case: a proven key, the catalog that the request addresses, the request, and when. */
export interface ReferenceCase {
  readonly record: KeyRecord;
  readonly addressed: CatalogRow | undefined;
  readonly request: AuthRequest;
  readonly now: number;
}

const no = (code: string): ReferenceVerdict => ({ allowed: false, code });

/** The order of the questions: of two denials a client hears the earlier one. */
const order = [
  ...['https_required', 'key_invalid', 'key_expired', 'key_suspended', 'owner_inactive', 'access_type_not_allowed'],
  ...['source_not_allowed', 'endpoint_not_allowed', 'application_not_allowed', 'invalid_request', 'channel_not_assigned'],
  'attribute_not_allowed',
];

/**
 * The decision once more, slow and obvious: read from the rules word by word, with nothing indexed, cached or shared with
 * the program. It shares no code with it, so that both are wrong only where both were written wrong.
 */
export function referenceDecide(given: ReferenceCase): ReferenceVerdict {
  const { record } = given;
  const sets = [
    record.key.settings,
    ...(record.key.proposed === undefined ? [] : [record.key.proposed, ...(record.key.proposed.earlier ?? [])]),
    ...(record.ceilings ?? []),
  ];
  const verdicts = sets.map((settings) => decideUnder({ ...given, record: { ...record, key: { ...record.key, settings } } }));
  const denials = verdicts.filter((verdict) => !verdict.allowed).sort((a, b) => order.indexOf(a.code) - order.indexOf(b.code));
  const [first] = denials;
  if (first?.code === 'channel_not_assigned') {
    const outside = new Set(denials.flatMap(({ violatingChannels = [] }) => violatingChannels));
    return { ...first, violatingChannels: [...new Set(given.request.targetChannels)].filter((slug) => outside.has(slug)) };
  }
  if (first !== undefined) return first;
  const [applied, ...narrowing] = verdicts.filter((verdict) => verdict.allowed);
  if (applied === undefined) throw new Error('neither allowed nor denied');
  const both = (a: 'All' | readonly string[], b: 'All' | readonly string[]) =>
    a === 'All' ? b : b === 'All' ? a : a.filter((name) => b.includes(name));
  return narrowing.reduce(
    (sum, one) => ({
      ...sum,
      channels: both(sum.channels, one.channels),
      attributes: both(sum.attributes, one.attributes),
      applications: both(sum.applications, one.applications),
    }),
    applied,
  );
}

/** Under one set of settings. */
function decideUnder({ record, addressed, request, now }: ReferenceCase): ReferenceVerdict {
  const { version, key, owner, groups, catalog } = record;
  const { settings } = key;
  const httpsNeeded = addressed === undefined ? true : addressed.model.policy.requireHttps;
  if (httpsNeeded && request.scheme !== 'https') return no('https_required');

  if (catalog === undefined || addressed === undefined) return no('key_invalid');
  if (catalog.uid !== addressed.uid || addressed.name !== settings.catalog) return no('key_invalid');
  const { model } = catalog;
  if (version.display !== [model.key.prefix, model.key.environment, version.keyId].join('_')) return no('key_invalid');
  if (key.revokedReason !== undefined) return no('key_invalid');
  if (version.state === 'ended' && version.endedReason !== 'expired') return no('key_invalid');
  if (version.state !== 'ended' && version.notAfter !== undefined && version.notAfter <= now) return no('key_invalid');
  if (version.state === 'ended') return no('key_expired');
  if (version.expiresAt !== undefined && version.expiresAt <= now) return no('key_expired');
  if (settings.suspended) return no('key_suspended');
  if (owner === undefined || owner.disabled || owner.uid !== version.ownerUid) return no('owner_inactive');

  const rules = [...owner.rules];
  for (const group of groups) rules.push(...group.rules);
  const own = rules.filter((rule) => rule.catalog === catalog.name);
  if (key.notPermitted === true) return no('access_type_not_allowed');
  const type = model.accessTypes.find((one) => one.name === settings.accessType);
  if (type === undefined || !own.some((rule) => has(rule.accessTypes, type.name))) return no('access_type_not_allowed');

  const { allowedSources } = settings.selections;
  if (allowedSources !== undefined && !allowedSources.some((cidr) => inIpv4Network(request.sourceIp, cidr)))
    return no('source_not_allowed');

  const found = findEndpoint(model, request.method, readOrigin(request));
  if (found === undefined) return no('endpoint_not_allowed');
  const { endpoint, values } = found;
  if (!typeHas(type, model, endpoint) || !keySelects(record, type, model, endpoint)) return no('endpoint_not_allowed');
  const covering = own.filter((rule) => ruleHas(rule, model, endpoint));
  if (covering.length === 0) return no('endpoint_not_allowed');

  let application: string | undefined;
  let coveringRequest = covering;
  if (endpoint.perApplication) {
    const place = model.requests.application;
    const named = new Set<string>(request.application === undefined ? [] : [request.application]);
    if (place !== undefined && 'pathParam' in place) for (const one of values.get(place.pathParam) ?? []) named.add(one);
    if (named.size > 1) return no('application_not_allowed');
    [application] = named;
    const selected = settings.selections.applications;
    if (application === undefined) {
      if (selected !== undefined) return no('application_not_allowed');
      coveringRequest = covering.filter((rule) => rule.applications.includes('*'));
    } else {
      const one = application;
      if (!model.applications.includes(one)) return no('application_not_allowed');
      if (selected !== undefined && !selected.includes(one)) return no('application_not_allowed');
      coveringRequest = covering.filter((rule) => has(rule.applications, one));
    }
    if (coveringRequest.length === 0) return no('application_not_allowed');
  }

  const { customer, targetChannels } = request;
  if (customer !== undefined && !isCustomer(model, customer)) return no('invalid_request');
  if (targetChannels !== undefined && targetChannels.length === 0) return no('invalid_request');
  const mayChannel = (slug: string): boolean =>
    model.channels.includes(slug) &&
    coveringRequest.some((rule) => has(rule.channels, slug)) &&
    (settings.selections.channels?.includes(slug) ?? true) &&
    rowsFor(record, customer).every((row) => row.channels.includes(slug));
  const outside = (targetChannels ?? []).filter((slug) => !mayChannel(slug));
  if (outside.length > 0) return { allowed: false, code: 'channel_not_assigned', violatingChannels: [...new Set(outside)] };

  const mayAttribute = (name: string): boolean =>
    model.attributes.includes(name) &&
    coveringRequest.some((rule) => has(rule.attributes, name)) &&
    (settings.selections.attributes?.includes(name) ?? true);
  const requested = request.attributes ?? [];
  if (!requested.every(mayAttribute)) return no('attribute_not_allowed');

  const unlimitedChannels =
    coveringRequest.some((rule) => rule.channels.includes('*')) &&
    settings.selections.channels === undefined &&
    rowsFor(record, customer).length === 0;
  const unlimitedAttributes =
    coveringRequest.some((rule) => rule.attributes.includes('*')) && settings.selections.attributes === undefined;
  const unlimitedApplications =
    covering.some((rule) => rule.applications.includes('*')) && settings.selections.applications === undefined;
  const mayApplication = (slug: string): boolean =>
    covering.some((rule) => has(rule.applications, slug)) && (settings.selections.applications?.includes(slug) ?? true);
  const ends = [version.expiresAt, version.notAfter].filter((at) => at !== undefined);
  return {
    allowed: true,
    endpoint: endpoint.name,
    channels:
      targetChannels !== undefined
        ? [...new Set(targetChannels)].sort()
        : unlimitedChannels
          ? 'All'
          : model.channels.filter(mayChannel).sort(),
    attributes:
      requested.length > 0
        ? [...new Set(requested)].sort()
        : unlimitedAttributes
          ? 'All'
          : model.attributes.filter(mayAttribute).sort(),
    applications: unlimitedApplications ? 'All' : model.applications.filter(mayApplication).sort(),
    requestApplication: application,
    expiresAt: ends.length === 0 ? undefined : Math.min(...ends),
  };
}

/** Whether a rule's list names it, or everything. */
function has(list: readonly string[], name: string): boolean {
  return list.includes(name) || list.includes('*');
}

function scopesWith(model: CatalogModel, endpoint: Endpoint): readonly string[] {
  return model.scopes.filter((scope) => scope.endpoints.includes(endpoint.name)).map((scope) => scope.name);
}

function typeHas(type: AccessType, model: CatalogModel, endpoint: Endpoint): boolean {
  if (endpoint.admin && !type.admin) return false;
  if (endpoint.transactional && !type.transactional) return false;
  if (type.endpoints === 'Listed') return scopesWith(model, endpoint).some((scope) => type.scopes.includes(scope));
  return true;
}

function keySelects(record: KeyRecord, type: AccessType, model: CatalogModel, endpoint: Endpoint): boolean {
  const { scopes, endpoints, applications } = record.key.settings.selections;
  if (applications !== undefined && !endpoint.perApplication) return false;
  if (scopes === undefined && endpoints === undefined) return type.endpoints !== 'Selected';
  if (endpoints !== undefined && endpoints.includes(endpoint.name)) return true;
  return scopes !== undefined && scopesWith(model, endpoint).some((scope) => scopes.includes(scope));
}

function ruleHas(rule: GrantRule, model: CatalogModel, endpoint: Endpoint): boolean {
  if (endpoint.admin && !rule.admin) return false;
  return has(rule.endpoints, endpoint.name) || scopesWith(model, endpoint).some((scope) => has(rule.scopes, scope));
}

function rowsFor(record: KeyRecord, customer: string | undefined): readonly { readonly channels: readonly string[] }[] {
  const rows = record.key.settings.selections.customerChannels ?? [];
  return customer === undefined ? rows : rows.filter((row) => row.customer === customer);
}

/** Good for the patterns of generated worlds, which are anchored as a whole. */
function isCustomer(model: CatalogModel, customer: string): boolean {
  const pattern = model.requests.customer?.pattern ?? '^(0|[1-9][0-9]*|[a-z][a-z0-9_-]*)$';
  return customer.length <= 64 && new RegExp(pattern).test(customer);
}

/** What follows the host that the request names: generated worlds write it in two ways. Another target stays what it is. */
function readOrigin({ scheme, path }: AuthRequest): string {
  for (const origin of ['api.example.com', 'API.example.com'].map((host) => `${scheme}://${host}`)) {
    // RFC 9112 section 3.2.1: an empty path means `/`.
    if (path === origin || path.startsWith(`${origin}?`)) return '/';
    if (path.startsWith(`${origin}/`)) return path.slice(origin.length);
  }
  return path;
}

/** IPv4 only, mapped or with a port or neither: what generated worlds use. */
function inIpv4Network(address: string | undefined, cidr: string): boolean {
  if (address === undefined) return false;
  const bits = (text: string): string =>
    text
      .replace(/^::ffff:/i, '')
      .replace(/:[0-9]+$/, '')
      .split('.')
      .map((part) => Number(part).toString(2).padStart(8, '0'))
      .join('');
  const [network = '', length = '0'] = cidr.split('/');
  return bits(address).slice(0, Number(length)) === bits(network).slice(0, Number(length));
}

/** Tries every template; of those that fit, the one that is literal earliest. */
function findEndpoint(
  model: CatalogModel,
  method: string,
  raw: string,
): { readonly endpoint: Endpoint; readonly values: ReadonlyMap<string, readonly string[]> } | undefined {
  const segments = readPath(raw);
  if (segments === undefined || method === 'CONNECT' || method === 'TRACE') return undefined;
  const best = bestFit(model, method, segments);
  // What a server that decodes everything would take it for, and one that ignores case.
  const decoded = segments.map((segment) => decodeURIComponent(segment));
  const others = [bestFit(model, method, decoded), bestFit(model, method, decoded, (text) => text.toLowerCase())];
  if (best === undefined || others.some((other) => other?.endpoint !== best.endpoint)) return undefined;
  return best;
}

function bestFit(
  model: CatalogModel,
  method: string,
  segments: readonly string[],
  spell: (text: string) => string = (text) => text,
): ReturnType<typeof findEndpoint> {
  const fits: { rank: string; endpoint: Endpoint; values: Map<string, string[]> }[] = [];
  for (const endpoint of model.endpoints) {
    const exact = endpoint.method === method;
    if (!exact && !(method === 'HEAD' && endpoint.method === 'GET')) continue;
    const template = endpoint.path === '/' ? [] : endpoint.path.slice(1).split('/');
    if (template.length !== segments.length) continue;
    const values = new Map<string, string[]>();
    let fitting = true;
    // 0 = literal, 1 = literal in another case, 2 = parameter, compared from the left; of one place, the entry of the very method.
    let rank = '';
    template.forEach((part, at) => {
      const segment = segments[at] ?? '';
      if (part.startsWith('{')) values.set(part.slice(1, -1), [...(values.get(part.slice(1, -1)) ?? []), segment]);
      else if (spell(part) !== spell(segment)) fitting = false;
      rank += part.startsWith('{') ? '2' : part === segment ? '0' : '1';
    });
    if (fitting) fits.push({ rank: rank + (exact ? '0' : '1'), endpoint, values });
  }
  return fits.sort((a, b) => (a.rank < b.rank ? -1 : 1))[0];
}

/** The segments of a path, with unreserved characters decoded; `undefined` = refused. */
function readPath(raw: string): readonly string[] | undefined {
  const path = raw.replace(/\?.*$/s, '');
  if (raw.includes('#') || !/^\/([A-Za-z0-9._~!$&'()*+,=:@/-]|%[0-9A-Fa-f]{2})*$/.test(path)) return undefined;
  if (path === '/') return [];
  const segments = path.slice(1).split('/');
  for (const segment of segments) {
    if (segment === '' || /%(2f|5c|3b|3f|23|25|[01][0-9a-f]|7f)/i.test(segment)) return undefined;
    let text: string;
    try {
      text = decodeURIComponent(segment);
    } catch {
      return undefined;
    }
    if (text === '.' || text === '..' || /[\u0080-\u009f]/.test(text)) return undefined;
  }
  return segments.map((segment) =>
    segment.replace(/%[0-9a-f]{2}/gi, (escape) => {
      const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
      return /[A-Za-z0-9._~-]/.test(character) ? character : escape.toUpperCase();
    }),
  );
}
