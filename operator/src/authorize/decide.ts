import type { Endpoint } from '../domain/catalog.ts';
import { includesName, intersectNames, sorted } from '../domain/grants.ts';
import type { Coverage, Names, Reach } from '../domain/grants.ts';
import type { Instant } from '../domain/time.ts';
import type { KeyRecord } from '../store/port.ts';
import type { CompiledCatalog } from './catalog.ts';
import type { Lookup } from './lookup.ts';
import { findRoute } from './match.ts';
import type { Route } from './match.ts';
import { targetOf } from './origin.ts';
import type { Layer, ProvenKey } from './provenkey.ts';
import type { AuthRequest } from './request.ts';
import { isAddress, isWithin } from './source.ts';
import { Allow } from './verdict.ts';
import type { PathTarget } from './target.ts';
import type { Denial, DenyCode, Verdict } from './verdict.ts';

/**
 * Decides one request. The order of the questions is the contract (a client with two faults hears of the first): stale →
 * scheme → credential present → known, proven, not revoked, within its catalog → not expired → not suspended → owner active
 * → access type held → source → endpoint → application → customer and channels → attributes.
 */
export function decide(found: Lookup, request: AuthRequest, now: Instant): Verdict {
  if (found.kind === 'stale') return deny('authorizer_stale');
  if (request.scheme !== 'https' && requiresHttps(found.catalog)) return deny('https_required');
  if (found.kind === 'missing') return deny('key_missing');
  if (found.kind === 'unknown' || found.key === undefined || !isServed(found.key, found.catalog, now)) return deny('key_invalid');
  return decideProven(found.key, request, now);
}

/** A host of no catalog meets the default policy. */
function requiresHttps(catalog: CompiledCatalog | undefined): boolean {
  return catalog?.index.model.policy.requireHttps !== false;
}

/** Whether a proven key is one of the catalog that the request addresses; if not, it answers as if it had never been. */
function isServed({ record, catalog, inCatalog }: ProvenKey, addressed: CompiledCatalog | undefined, now: Instant): boolean {
  return addressed?.uid === catalog.uid && inCatalog && !hasEnded(record, now);
}

/** Revoked, retired, abandoned, or past its overlap. */
function hasEnded({ version, key }: KeyRecord, now: Instant): boolean {
  if (key.revokedReason !== undefined) return true;
  if (version.state === 'ended') return version.endedReason !== 'expired';
  return version.notAfter !== undefined && now >= version.notAfter;
}

/** Recently expired versions stay known as long as their ApiKey exists, so that their clients hear what to do. */
function isExpired({ version }: KeyRecord, now: Instant): boolean {
  return version.state === 'ended' || (version.expiresAt !== undefined && now >= version.expiresAt);
}

/** The version is bound to an owner's uid: another owner of the same name is a stranger. */
function isOwnerActive({ owner, version }: KeyRecord): boolean {
  return owner !== undefined && owner.uid === version.ownerUid && !owner.disabled;
}

function decideProven(key: ProvenKey, request: AuthRequest, now: Instant): Verdict {
  const { record, catalog, layers } = key;
  const { keyId } = record.version;
  if (isExpired(record, now)) return { ...deny('key_expired', keyId), expiredStatus: catalog.index.model.policy.expiredStatus };
  if (layers.some(({ settings }) => settings.suspended)) return deny('key_suspended', keyId);
  if (!isOwnerActive(record)) return deny('owner_inactive', keyId);
  if (record.key.notPermitted === true || !layers.every(({ rights }) => rights.holdsType))
    return deny('access_type_not_allowed', keyId);
  if (!layers.every(({ sources }) => sources === undefined || isWithin(sources, request.sourceIp)))
    return { ...deny('source_not_allowed', keyId), ...(isMalformed(request.sourceIp) ? { fault: 'source' } : {}) };
  const target = targetOf(request);
  if (target.kind === 'refused') return { ...deny('endpoint_not_allowed', keyId), fault: target.fault };
  const place = locate(key, request, target);
  if (place === undefined) return deny('endpoint_not_allowed', keyId);
  const application = applicationOf(place, request);
  const coverage = application.kind === 'contradicting' ? undefined : coverageOf(place, application.name);
  if (coverage === undefined || application.kind === 'contradicting') return deny('application_not_allowed', keyId);
  return decideContent(key, request, { place, application: application.name, coverage });
}

function isMalformed(sourceIp: string | undefined): boolean {
  return sourceIp !== undefined && !isAddress(sourceIp);
}

/** The endpoint that a request reaches under every layer, and the segments that led there. */
interface Place {
  readonly endpoint: Endpoint;
  /** One for each layer, in order. */
  readonly reaches: readonly Reach[];
  readonly route: Route;
  readonly segments: readonly string[];
}

function locate({ catalog, layers }: ProvenKey, request: AuthRequest, target: PathTarget): Place | undefined {
  const route = findRoute(catalog.routes, request.method, target);
  if (route === undefined) return undefined;
  const reaches = layers.flatMap(({ rights }) => rights.reach(route.number) ?? []);
  const [first] = reaches;
  if (first === undefined || reaches.length < layers.length) return undefined;
  const { endpoint } = first;
  if (request.upgrade === true && !endpoint.upgrade) return undefined;
  return { endpoint, reaches, route, segments: target.segments };
}

/** What all layers give for one application; `undefined` = one of them gives nothing. */
function coverageOf({ reaches }: Place, application: string | undefined): Coverage | undefined {
  const coverages = reaches.flatMap((reach) => reach.under(application) ?? []);
  if (coverages.length < reaches.length) return undefined;
  return coverages.reduce((a, b) => ({
    channels: intersectNames(a.channels, b.channels),
    attributes: intersectNames(a.attributes, b.attributes),
  }));
}

/** Which application a request is about; `name` absent = it names none, or the endpoint does not ask. */
type RequestApplication = { readonly kind: 'named'; readonly name: string | undefined } | { readonly kind: 'contradicting' };

/** The application comes from the catalog's one place; a path that says one thing and the caller another is refused. */
function applicationOf({ endpoint, route, segments }: Place, request: AuthRequest): RequestApplication {
  if (!endpoint.perApplication) return { kind: 'named', name: undefined };
  let name = request.application;
  for (const at of route.applicationAt) {
    const inPath = segments[at];
    if (name !== undefined && name !== inPath) return { kind: 'contradicting' };
    name = inPath;
  }
  return { kind: 'named', name };
}

/** What is known of a request that may reach its endpoint. */
interface Entered {
  readonly place: Place;
  readonly application: string | undefined;
  readonly coverage: Coverage;
}

function decideContent(key: ProvenKey, request: AuthRequest, entered: Entered): Verdict {
  const { record, catalog } = key;
  const { keyId } = record.version;
  const { index } = catalog;
  const { customer, targetChannels } = request;
  if (customer !== undefined && !catalog.fitsCustomer(customer)) return { ...deny('invalid_request', keyId), fault: 'customer' };
  if (targetChannels?.length === 0) return { ...deny('invalid_request', keyId), fault: 'target channels' };
  const channels = heldToRows(entered.coverage.channels, key.layers, index.channels, customer);
  const violating = targetChannels?.filter((slug) => !includesName(channels, index.channels, slug)) ?? [];
  if (violating.length > 0) return { ...deny('channel_not_assigned', keyId), violatingChannels: [...new Set(violating)] };
  const { attributes } = entered.coverage;
  // A caller that names no attribute asks for what there is.
  const wanted = request.attributes?.length === 0 ? undefined : request.attributes;
  if (wanted?.some((name) => !includesName(attributes, index.attributes, name)) === true)
    return deny('attribute_not_allowed', keyId);
  return new Allow({
    keyId,
    apiKey: key.apiKey,
    // The owner that the version belongs to: a later ApiKey of the same name may have another owner.
    owner: record.owner?.name ?? key.applied.settings.owner,
    clientApplication: key.applied.settings.clientApplication,
    accessType: key.applied.settings.accessType,
    catalog: catalog.name,
    environment: index.model.key.environment,
    endpoint: entered.place.endpoint.name,
    channels: targetChannels === undefined ? channels : sorted(targetChannels),
    attributes: wanted === undefined ? attributes : sorted(wanted),
    applications: entered.place.reaches.map(({ applications }) => applications).reduce(intersectNames),
    requestApplication: entered.application,
    expiresAt: endOf(record),
  });
}

/**
 * A customer with a row is held to it too. A request without a customer is held to all rows, so that leaving the header out
 * gains nothing.
 */
function heldToRows(channels: Names, layers: readonly Layer[], listed: ReadonlySet<string>, customer: string | undefined): Names {
  const rows = layers.flatMap(({ settings }) => settings.selections.customerChannels ?? []);
  const held = customer === undefined ? rows : rows.filter((row) => row.customer === customer);
  const [first] = held;
  if (first === undefined) return channels;
  const kept = (channels === 'All' ? first.channels : channels).filter(
    (slug) => listed.has(slug) && held.every((row) => row.channels.includes(slug)),
  );
  return sorted(kept);
}

/** The earlier of expiry and the end of the overlap. */
function endOf({ version: { expiresAt, notAfter } }: KeyRecord): Instant | undefined {
  if (expiresAt === undefined || notAfter === undefined) return expiresAt ?? notAfter;
  return Math.min(expiresAt, notAfter);
}

function deny(code: DenyCode, keyId?: string): Denial {
  return keyId === undefined ? { allowed: false, code } : { allowed: false, code, keyId };
}
