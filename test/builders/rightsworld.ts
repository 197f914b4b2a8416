import type { AuthRequest } from '../../operator/src/authorize/request.ts';
import type { AccessType, CatalogModel, Endpoint, GrantRule, Selections } from '../../operator/src/domain/catalog.ts';
import type { Version } from '../../operator/src/domain/version.ts';
import type { CatalogRow, GroupRow, KeyRecord, KeySettings, OwnerRow } from '../../operator/src/store/port.ts';
import { authRequest } from './authrequest.ts';
import { catalogModel, grantRule } from './clusterrows.ts';
import { endpointAt } from './endpoints.ts';
import { keyRecord } from './keyrecord.ts';
import type { ReferenceCase } from './reference.ts';

/** Chance that is the same for the same seed (mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  is(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly [T, ...T[]]): T {
    return from[Math.floor(this.next() * from.length)] ?? from[0];
  }

  /** Each with the given probability, in their order. */
  some<T>(from: readonly T[], probability: number): T[] {
    return from.filter(() => this.is(probability));
  }
}

/** The instant of every generated case. */
export const worldNow = Date.parse('2026-03-01T00:00:00Z');

const applications = ['shop-eu', 'shop-us', 'shop-jp'] as const;
const channels = ['email', 'marketing', 'push', 'sms'] as const;
const attributes = ['city', 'email', 'phone'] as const;
const customers = ['1', '2', 'acme'] as const;
const scopes = ['read', 'write', 'bulk'] as const;
const typeNames = ['Admin', 'Integrations', 'Personal', 'Management', 'Transactional'] as const;
const templates = [
  '/',
  '/items',
  '/items/@me',
  '/items/{id}',
  '/items/{id}/parts',
  '/{kind}/{id}',
  '/{kind}/new/parts',
  '/apps/{app}',
  '/apps/{app}/items',
  '/apps/{app}/{kind}',
  '/apps/shop-eu/items',
  // In another case than those above: some programs take one for the other.
  '/Items/@me',
  '/ITEMS/{id}/parts',
] as const;

/** A key, its owner, groups and catalog, all drawn from small pools so that things meet. */
export type RightsWorld = Pick<ReferenceCase, 'record' | 'addressed'>;

/** Draws a world: mostly one where something is allowed, now and then one where nothing can be. */
export function drawWorld(chance: Chance): RightsWorld {
  const model = drawModel(chance);
  const catalog: CatalogRow = { uid: 'catalog-1', name: 'default', digest: 'unused', model };
  const groups: GroupRow[] = chance.some(['g1', 'g2'], 0.4).map((name) => ({ uid: name, name, rules: drawRules(chance, model) }));
  const owner: OwnerRow = {
    uid: chance.is(0.98) ? 'owner-1' : 'owner-2',
    name: 'ana',
    disabled: chance.is(0.02),
    groups: groups.map((group) => group.name),
    rules: drawRules(chance, model),
  };
  const drawSettings = (): KeySettings => ({
    ...{ displayName: 'Billing', owner: 'ana' },
    accessType: chance.is(0.98) ? chance.pick(typeNames) : 'Unknown',
    catalog: chance.is(0.99) ? 'default' : 'other',
    suspended: chance.is(0.02),
    selections: drawSelections(chance, model),
  });
  const { record: bare } = keyRecord({
    version: drawVersion(chance),
    key: {
      ...(chance.is(0.01) ? { revokedReason: 'Unspecified' } : {}),
      ...(chance.is(0.01) ? { notPermitted: true as const } : {}),
      ...(chance.is(0.15)
        ? { proposed: chance.is(0.3) ? { ...drawSettings(), earlier: [drawSettings()] } : drawSettings() }
        : {}),
    },
    settings: drawSettings(),
    owner: chance.is(0.99) ? owner : undefined,
    groups,
    catalog: chance.is(0.99) ? catalog : undefined,
  });
  const record: KeyRecord = chance.is(0.1)
    ? { ...bare, ceilings: chance.is(0.3) ? [drawSettings(), drawSettings()] : [drawSettings()] }
    : bare;
  const stranger: CatalogRow = { ...catalog, uid: 'catalog-2' };
  return { record, addressed: chance.is(0.97) ? catalog : chance.pick([undefined, stranger]) };
}

/** Draws a request to a world: mostly one that leads to an endpoint, with what the rules ask for. */
export function drawRequest(chance: Chance, { record: { catalog } }: RightsWorld): AuthRequest {
  const endpoint = catalog?.model.endpoints[Math.floor(chance.next() * catalog.model.endpoints.length)];
  const path = endpoint === undefined ? '/nowhere' : disturb(chance, fill(chance, endpoint.path));
  const scheme = chance.is(0.95) ? 'https' : 'http';
  return authRequest({
    scheme,
    method: chance.is(0.9) ? (endpoint?.method ?? 'GET') : chance.pick(['GET', 'HEAD', 'POST', 'TRACE', 'get']),
    path: chance.is(0.9) ? path : chance.pick([`https://api.example.com${path}`, `${scheme}://API.example.com${path}`]),
    application: chance.is(0.35) ? chance.pick([...applications, 'other']) : undefined,
    customer: chance.is(0.4) ? chance.pick([...customers, '01', 'Acme', '']) : undefined,
    targetChannels: chance.is(0.4) ? drawNames(chance, [...channels, ...channels, 'fax']) : undefined,
    attributes: chance.is(0.3) ? drawNames(chance, [...attributes, ...attributes, 'Email']) : undefined,
    sourceIp: chance.is(0.9) ? chance.pick(['10.0.0.1', '10.0.1.1:443', '::ffff:10.0.0.1', '192.0.2.1']) : undefined,
  });
}

/** Draws a rule; see {@link drawWorld}. */
export function drawRule(chance: Chance, model: CatalogModel): GrantRule {
  const list = (names: readonly string[], all: number): readonly string[] =>
    chance.is(all) ? ['*'] : chance.some([...names, 'unknown'], 0.4);
  return grantRule({
    catalog: chance.is(0.95) ? 'default' : 'other',
    admin: chance.is(0.5),
    accessTypes: list(typeNames, 0.75),
    scopes: list(scopes, 0.2),
    endpoints: list(
      model.endpoints.map((endpoint) => endpoint.name),
      0.45,
    ),
    applications: list(applications, 0.4),
    channels: list(channels, 0.4),
    attributes: list(attributes, 0.4),
  });
}

function drawRules(chance: Chance, model: CatalogModel): GrantRule[] {
  return Array.from({ length: chance.pick([0, 1, 1, 2, 2, 3]) }, () => drawRule(chance, model));
}

function drawModel(chance: Chance): CatalogModel {
  const place = chance.pick(['pathParam', 'header', 'nowhere']);
  const endpoints = templates.flatMap((path, at) =>
    chance.some(['GET', 'POST', 'HEAD'] as const, 0.45).map((method): Endpoint => {
      const named = path.includes('{app}');
      return endpointAt(method, path, `e${String(at)}-${method.toLowerCase()}`, {
        perApplication: place === 'pathParam' ? named : chance.is(0.4),
        admin: chance.is(0.15),
        transactional: chance.is(0.15),
      });
    }),
  );
  const names = endpoints.map((endpoint) => endpoint.name);
  const { requests } = catalogModel();
  const { application: _, ...elsewhere } = requests;
  return catalogModel({
    accessTypes: drawTypes(chance),
    scopes: chance.some(scopes, 0.9).map((name) => ({ name, endpoints: chance.some([...names, 'gone'], 0.4) })),
    endpoints,
    applications: chance.some(applications, 0.85),
    channels: chance.some(channels, 0.85),
    attributes: chance.some(attributes, 0.85),
    requests: {
      ...elsewhere,
      ...(place === 'pathParam' ? { application: { pathParam: 'app' } } : {}),
      ...(place === 'header' ? { application: { header: 'X-App' } } : {}),
    },
    policy: { expiredStatus: 403, requireHttps: chance.is(0.8) },
  });
}

function drawTypes(chance: Chance): readonly AccessType[] {
  return typeNames.map((name) => ({
    name,
    endpoints: chance.is(0.75) ? 'All' : chance.pick(['Listed', 'Owner', 'Selected']),
    scopes: chance.some(scopes, 0.7),
    admin: chance.is(0.6),
    transactional: chance.is(0.6),
  }));
}

function drawSelections(chance: Chance, model: CatalogModel): Selections {
  const endpoints = model.endpoints.map((endpoint) => endpoint.name);
  return {
    ...(chance.is(0.25) ? { scopes: drawNames(chance, [...scopes, 'unknown']) } : {}),
    ...(chance.is(0.2) ? { endpoints: drawNames(chance, [...endpoints, 'unknown']) } : {}),
    ...(chance.is(0.2) ? { applications: drawNames(chance, [...applications, 'unknown']) } : {}),
    ...(chance.is(0.35) ? { channels: drawNames(chance, [...channels, 'unknown']) } : {}),
    ...(chance.is(0.3) ? { attributes: drawNames(chance, [...attributes, 'unknown']) } : {}),
    ...(chance.is(0.25)
      ? { customerChannels: chance.some(customers, 0.5).map((customer) => ({ customer, channels: drawNames(chance, channels) })) }
      : {}),
    ...(chance.is(0.2) ? { allowedSources: chance.some(['10.0.0.0/24', '10.0.0.0/8', '192.0.2.1/32'], 0.6) } : {}),
  };
}

function drawVersion(chance: Chance): Partial<Version> {
  const around = (): number => worldNow + chance.pick([-1, 0, 1, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000]);
  const ended = chance.is(0.04);
  return {
    state: ended ? 'ended' : chance.pick(['pending', 'active', 'active', 'active']),
    ...(ended ? { endedReason: chance.pick(['retired', 'expired', 'revoked', 'abandoned']) } : {}),
    ...(chance.is(0.3) ? { expiresAt: around() } : {}),
    ...(chance.is(0.1) && !ended ? { state: 'retiring' as const, notAfter: around() } : {}),
  };
}

/** About half of them, now and then none. */
function drawNames<T>(chance: Chance, from: readonly T[]): T[] {
  return chance.some(from, chance.pick([0.2, 0.3, 0.6]));
}

function fill(chance: Chance, template: string): string {
  return template
    .replaceAll('{app}', () => chance.pick(['shop-eu', 'shop-us', 'shop-jp', 'other', 'shop%2Deu']))
    .replaceAll(/\{[a-z]+\}/g, () => chance.pick(['5', 'items', 'new', 'New', '@me', '@ME', '%40me', 'caf%c3%a9', 'apps']));
}

function disturb(chance: Chance, path: string): string {
  if (chance.is(0.85)) return chance.is(0.2) ? `${path}?x=1/../y` : path;
  return chance.pick([
    `${path}/`,
    `/${path}`,
    `${path}/..`,
    `${path}/%2e`,
    path.replace('items', '%69tems'),
    path.replace('items', chance.pick(['Items', 'ITEMS'])),
    path.replace('/', '/%2F'),
    `${path}#`,
    `${path};x`,
    `${path}%`,
    `${path}%c0%ae`,
    path.slice(1),
  ]);
}
