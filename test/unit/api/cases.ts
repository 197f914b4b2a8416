import type { ApiKind } from '../../../operator/src/api/kinds.ts';
import { apiVersion } from '../../../operator/src/api/meta.ts';

/** A manifest as plain JSON. */
export type Json = { [member: string]: unknown };

/** Paths → new values; `undefined` takes the field away. */
export type Edits = Readonly<Record<string, unknown>>;

/** What both the parser and the API server must say about a manifest. */
export interface Case {
  readonly title: string;
  readonly kind: ApiKind;
  readonly edits: Edits;
  /** The field that both must name; absent = the manifest is fine. */
  readonly refuses?: string;
}

/** What both must say about a change. */
export interface ChangeCase {
  readonly title: string;
  readonly kind: ApiKind;
  readonly before: Edits;
  readonly after: Edits;
  readonly refuses?: string;
}

const bases: Readonly<Record<ApiKind, Json>> = {
  ApiKey: {
    displayName: 'Billing sync',
    catalog: 'default',
    owner: 'payments-team',
    accessType: 'Integrations',
    deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }],
  },
  ApiCatalog: {
    key: { prefix: 'acme', environment: 'live' },
    accessTypes: [{ name: 'Integrations', endpoints: 'Listed', scopes: ['subscribers:read'] }],
    scopes: [{ name: 'subscribers:read', endpoints: ['list-subscribers'] }],
    endpoints: [{ name: 'list-subscribers', method: 'GET', path: '/v1/subscribers' }],
  },
  KeyOwner: { type: 'Team', displayName: 'Payments team', allowedNamespaces: { all: true }, grants: [{ catalog: 'default' }] },
  KeyOwnerGroup: { displayName: 'Analysts', grants: [{ catalog: 'default' }] },
  KeyDestination: {
    allowedNamespaces: { all: true },
    vault: {
      address: 'https://vault:8200',
      mount: 'secret',
      namespace: 'team',
      auth: { token: { secretRef: { name: 'vault-token' } } },
    },
  },
};

/** A valid manifest of a kind, edited. */
export function manifest(kind: ApiKind, edits: Edits = {}, name = 'sample', namespace = 'default'): Json {
  const document: Json = {
    apiVersion,
    kind,
    metadata: kind === 'ApiKey' ? { name, namespace } : { name },
    spec: structuredClone(bases[kind]),
  };
  for (const [path, value] of Object.entries(edits)) set(document, path.split('.'), value);
  return document;
}

function set(parent: Json, [step = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length > 0) return set(parent[step] as Json, rest, value);
  if (value === undefined) delete parent[step];
  else parent[step] = value;
}

const names = (count: number) => Array.from({ length: count }, (_, at) => `n${at}`);
const targets = (count: number) => names(count).map((name) => ({ name, secret: { name } }));
const vaultTarget = (path: string) => [{ name: 'vault', destination: 'prod', path }];
const aws = { region: 'eu-west-1', auth: { irsa: {} } };
const endpoint = (path: string, more: Json = {}) => [{ name: 'one', method: 'GET', path, ...more }];

const key = (title: string, edits: Edits, refuses?: string): Case => ({
  title,
  kind: 'ApiKey',
  edits,
  ...(refuses === undefined ? {} : { refuses }),
});
const other = (kind: ApiKind, title: string, edits: Edits, refuses?: string): Case => ({
  title,
  kind,
  edits,
  ...(refuses === undefined ? {} : { refuses }),
});

/** Manifests that are fine, and manifests that are not. */
export const cases: readonly Case[] = [
  key('the least that a key needs', {}),
  key('[S3-2] a display name of 100 characters', { 'spec.displayName': 'x'.repeat(100) }),
  key('a display name with a NUL', { 'spec.displayName': 'a\0b' }, 'spec.displayName'),
  key(
    'a customer with a NUL',
    { 'spec.customerChannels': [{ customer: 'a\0b', channels: ['sms'] }] },
    'spec.customerChannels[0].customer',
  ),
  key('[S3-2] a display name of 101 characters', { 'spec.displayName': 'x'.repeat(101) }, 'spec.displayName'),
  key('[S0-6] [S1-7] [S2-8] no display name', { 'spec.displayName': undefined }, 'spec.displayName'),
  key('an empty display name', { 'spec.displayName': '' }, 'spec.displayName'),
  key('100 characters beyond the basic plane', { 'spec.displayName': '🔑'.repeat(100) }),
  key('an owner with two dots in a row', { 'spec.owner': 'a..b' }, 'spec.owner'),
  key('no catalog', { 'spec.catalog': undefined }, 'spec.catalog'),
  key('no owner', { 'spec.owner': undefined }, 'spec.owner'),
  key('no access type', { 'spec.accessType': undefined }, 'spec.accessType'),
  key('an access type in lower case', { 'spec.accessType': 'integrations' }, 'spec.accessType'),
  key('no destination', { 'spec.deliverTo': undefined }, 'spec.deliverTo'),
  key('an empty list of destinations', { 'spec.deliverTo': [] }, 'spec.deliverTo'),
  key('eight destinations', { 'spec.deliverTo': targets(8) }),
  key('nine destinations', { 'spec.deliverTo': targets(9) }, 'spec.deliverTo'),
  key('[S4-2] a purpose of 501 characters', { 'spec.purpose': 'x'.repeat(501) }, 'spec.purpose'),
  key('an empty list of channels', { 'spec.channels': [] }, 'spec.channels'),
  key('[S3-16] a channel that is no slug', { 'spec.channels': ['Marketing'] }, 'spec.channels[0]'),
  key('a channel named twice', { 'spec.channels': ['a', 'a'] }, 'spec.channels'),
  key('201 channels', { 'spec.channels': names(201) }, 'spec.channels'),
  key('an empty list of scopes', { 'spec.scopes': [] }, 'spec.scopes'),
  key('an empty list of endpoints', { 'spec.endpoints': [] }, 'spec.endpoints'),
  key('an empty list of applications', { 'spec.applications': [] }, 'spec.applications'),
  key('an empty list of attributes', { 'spec.attributes': [] }, 'spec.attributes'),
  key('an attribute with a space', { 'spec.attributes': ['first name'] }, 'spec.attributes[0]'),
  key('channels per customer', { 'spec.customerChannels': [{ customer: '42', channels: ['email'] }] }),
  key(
    'a customer named twice',
    { 'spec.customerChannels': [42, 42].map((customer) => ({ customer: `${customer}`, channels: ['email'] })) },
    'spec.customerChannels',
  ),
  key(
    'a customer without channels',
    { 'spec.customerChannels': [{ customer: '42', channels: [] }] },
    'spec.customerChannels[0].channels',
  ),
  key('[S0-7] an e-mail address', { 'spec.contactEmail': 'payments.team+keys@mail.example.com' }),
  key('[S0-7] an e-mail address without a domain', { 'spec.contactEmail': 'payments@' }, 'spec.contactEmail'),
  key('[S0-7] an e-mail address with a space', { 'spec.contactEmail': 'a b@example.com' }, 'spec.contactEmail'),
  key('[S2-9] an expiry date', { 'spec.expiry': { at: '2027-01-31T00:00:00Z' } }),
  key('an expiry with an offset', { 'spec.expiry': { at: '2027-01-31T00:00:00+02:00' } }),
  key('a day that does not exist', { 'spec.expiry': { at: '2027-02-30T00:00:00Z' } }, 'spec.expiry.at'),
  key('a date without a time', { 'spec.expiry': { at: '2027-01-31' } }, 'spec.expiry.at'),
  key('an expiry with two members', { 'spec.expiry': { after: '720h', never: true } }, 'spec.expiry'),
  key('an expiry with no member', { 'spec.expiry': {} }, 'spec.expiry'),
  key('an expiry that is not never', { 'spec.expiry': { never: false } }, 'spec.expiry.never'),
  key('a duration of several units', { 'spec.expiry': { after: '1h30m10s' } }),
  key('a duration of "1 week"', { 'spec.expiry': { after: '1 week' } }, 'spec.expiry.after'),
  key('a duration of weeks and days', { 'spec.expiry': { after: '1w30d' } }),
  key('the longest duration', { 'spec.expiry': { after: '36500d' } }),
  key('a duration that is a second too long', { 'spec.expiry': { after: '36500d1s' } }, 'spec.expiry.after'),
  key('a duration of too many digits', { 'spec.expiry': { after: '12345678901s' } }, 'spec.expiry.after'),
  key('a duration of years', { 'spec.expiry': { after: '1y' } }, 'spec.expiry.after'),
  key('a lifetime of nothing', { 'spec.expiry': { after: '0s' } }, 'spec.expiry.after'),
  key('a lifetime of a thousand years', { 'spec.expiry': { after: '8760000h' } }, 'spec.expiry.after'),
  key('a rotation each second', { 'spec.rotation': { every: '1s' } }),
  key('no overlap', { 'spec.rotation': { overlap: '0s' } }),
  key('an unknown way to retire', { 'spec.rotation': { retireOldKey: 'Never' } }, 'spec.rotation.retireOldKey'),
  key('a window', { 'spec.rotation': { windows: [{ schedule: '0 2 * * 6', duration: '4h' }] } }),
  key(
    'a window with words for a schedule',
    { 'spec.rotation': { windows: [{ schedule: 'at night', duration: '4h' }] } },
    'spec.rotation.windows[0].schedule',
  ),
  key('[S0-25] a rate limit', { 'spec.rateLimit': { requests: 100, per: '60s' } }),
  key('a rate limit of nothing', { 'spec.rateLimit': { requests: 0, per: '60s' } }, 'spec.rateLimit.requests'),
  key('a rate limit per two days', { 'spec.rateLimit': { requests: 1, per: '48h' } }, 'spec.rateLimit.per'),
  key('networks of both families', { 'spec.allowedSources': ['10.20.0.0/16', '2001:db8::/32', '0.0.0.0/0'] }),
  key('an address that is no network', { 'spec.allowedSources': ['10.20.0.1'] }, 'spec.allowedSources[0]'),
  key('a network of 33 bits', { 'spec.allowedSources': ['10.20.0.0/33'] }, 'spec.allowedSources[0]'),
  key('a network of 999', { 'spec.allowedSources': ['10.20.0.999/16'] }, 'spec.allowedSources[0]'),
  key('an IPv4 network in IPv6 clothes', { 'spec.allowedSources': ['::ffff:10.0.0.0/104'] }, 'spec.allowedSources[0]'),
  key('a path of five segments', { 'spec.deliverTo': vaultTarget('a/b/c/d/e') }),
  key('a path of six segments', { 'spec.deliverTo': vaultTarget('a/b/c/d/e/f') }, 'spec.deliverTo[0].path'),
  key('a path with ..', { 'spec.deliverTo': vaultTarget('a/../b') }, 'spec.deliverTo[0].path'),
  key('a path that climbs encoded', { 'spec.deliverTo': vaultTarget('a/%2e%2e/b') }, 'spec.deliverTo[0].path'),
  key('a path from the root', { 'spec.deliverTo': vaultTarget('/a') }, 'spec.deliverTo[0].path'),
  key('a path that ends in a slash', { 'spec.deliverTo': vaultTarget('a/') }, 'spec.deliverTo[0].path'),
  key('a path with a line break', { 'spec.deliverTo': vaultTarget('a\n') }, 'spec.deliverTo[0].path'),
  key('a target that goes nowhere', { 'spec.deliverTo': [{ name: 'a' }] }, 'spec.deliverTo[0]'),
  key(
    'a target that goes to two places',
    { 'spec.deliverTo': [{ name: 'a', destination: 'prod', secret: { name: 'a' } }] },
    'spec.deliverTo[0]',
  ),
  key(
    'a target of an unknown shape',
    { 'spec.deliverTo': [{ name: 'a', destination: 'prod', gcp: { project: 'p' } }] },
    'spec.deliverTo[0].gcp',
  ),
  key('a path for a Secret', { 'spec.deliverTo': [{ name: 'a', path: 'b', secret: { name: 'a' } }] }, 'spec.deliverTo[0].path'),
  key(
    'two targets of one name',
    { 'spec.deliverTo': ['b', 'c'].map((name) => ({ name: 'a', secret: { name } })) },
    'spec.deliverTo',
  ),
  key(
    'two targets at one Secret',
    { 'spec.deliverTo': ['b', 'c'].map((name) => ({ name, secret: { name: 'a' } })) },
    'spec.deliverTo',
  ),
  key(
    'two targets at one path',
    { 'spec.deliverTo': ['b', 'c'].map((name) => ({ name, destination: 'prod', path: 'a' })) },
    'spec.deliverTo',
  ),
  key('two paths of one destination', {
    'spec.deliverTo': ['b', 'c'].map((name) => ({ name, destination: 'prod', path: name })),
  }),
  key('a consumer', { 'spec.consumers': [{ kind: 'Deployment', name: 'billing' }] }),
  key('a consumer of another kind', { 'spec.consumers': [{ kind: 'Job', name: 'billing' }] }, 'spec.consumers[0].kind'),
  key('[S0-19] a holder who is not the owner', { 'spec.holder': { organization: 'Acme Ltd', name: 'J. Doe' } }),
  key('suspend as a word', { 'spec.suspend': 'yes' }, 'spec.suspend'),
  key('revoked for no said reason', { 'spec.revoked': {} }),
  key('revoked for an unknown reason', { 'spec.revoked': { reason: 'Bored' } }, 'spec.revoked.reason'),
  key('an unknown field', { 'spec.displayname': 'x' }, 'spec.displayname'),
  key('an unknown field further in', { 'spec.rotation': { evry: '1h' } }, 'spec.rotation.evry'),
  key('a list where a text belongs', { 'spec.owner': ['a'] }, 'spec.owner'),
  key('no spec', { spec: undefined }, 'spec'),
  key('a name of 64 characters', { 'metadata.name': 'x'.repeat(64) }, 'metadata.name'),

  other('ApiCatalog', 'a catalog', {}),
  other('ApiCatalog', 'a prefix with a capital', { 'spec.key.prefix': 'Acme' }, 'spec.key.prefix'),
  other('ApiCatalog', 'a prefix of one letter', { 'spec.key.prefix': 'a' }, 'spec.key.prefix'),
  other('ApiCatalog', 'no key', { 'spec.key': undefined }, 'spec.key'),
  other('ApiCatalog', 'no access type', { 'spec.accessTypes': [] }, 'spec.accessTypes'),
  other(
    'ApiCatalog',
    'a Listed type without scopes',
    { 'spec.accessTypes': [{ name: 'A', endpoints: 'Listed' }] },
    'spec.accessTypes[0]',
  ),
  other(
    'ApiCatalog',
    'an All type with scopes',
    { 'spec.accessTypes': [{ name: 'A', endpoints: 'All', scopes: ['s'] }] },
    'spec.accessTypes[0]',
  ),
  other(
    'ApiCatalog',
    'an unknown reach',
    { 'spec.accessTypes': [{ name: 'A', endpoints: 'Some' }] },
    'spec.accessTypes[0].endpoints',
  ),
  other(
    'ApiCatalog',
    'namespaces both by name and label',
    { 'spec.accessTypes': [{ name: 'A', endpoints: 'All', namespaces: { names: ['a'], selector: {} } }] },
    'spec.accessTypes[0].namespaces',
  ),
  other('ApiCatalog', '[S2-18] an endpoint by method, path template and whether it works per application', {
    'spec.endpoints': endpoint('/v1/apps/{app}/subscribers/{id}', { perApplication: true }),
  }),
  other('ApiCatalog', 'the root as a template', { 'spec.endpoints': endpoint('/') }),
  other('ApiCatalog', 'a file name as a segment', { 'spec.endpoints': endpoint('/.well-known/a.b/...') }),
  other('ApiCatalog', 'a template with ..', { 'spec.endpoints': endpoint('/v1/../admin') }, 'spec.endpoints[0].path'),
  other('ApiCatalog', 'a template with a dot as a segment', { 'spec.endpoints': endpoint('/v1/./a') }, 'spec.endpoints[0].path'),
  other('ApiCatalog', 'a template with a query', { 'spec.endpoints': endpoint('/v1?a=b') }, 'spec.endpoints[0].path'),
  other('ApiCatalog', 'a template that ends in a slash', { 'spec.endpoints': endpoint('/v1/') }, 'spec.endpoints[0].path'),
  other('ApiCatalog', 'a template with half a parameter', { 'spec.endpoints': endpoint('/v1/a{id}') }, 'spec.endpoints[0].path'),
  other(
    'ApiCatalog',
    'a method in lower case',
    { 'spec.endpoints': endpoint('/v1', { method: 'get' }) },
    'spec.endpoints[0].method',
  ),
  other('ApiCatalog', 'a cost of nothing', { 'spec.endpoints': endpoint('/v1', { cost: 0 }) }, 'spec.endpoints[0].cost'),
  other('ApiCatalog', 'a host with a port', { 'spec.requests': { hosts: ['api.example.com:443'] } }, 'spec.requests.hosts[0]'),
  other(
    'ApiCatalog',
    'an application in two places',
    { 'spec.requests': { application: { pathParam: 'app', header: 'X-App' } } },
    'spec.requests.application',
  ),
  other(
    'ApiCatalog',
    'a JSON path with a wildcard',
    { 'spec.requests': { targetChannels: { jsonPath: '$.target[*]' } } },
    'spec.requests.targetChannels.jsonPath',
  ),
  other(
    'ApiCatalog',
    'a customer pattern without an end',
    { 'spec.requests': { customer: { header: 'X-Customer-Id', pattern: '^[0-9]+' } } },
    'spec.requests.customer.pattern',
  ),
  other('ApiCatalog', 'no credential header', { 'spec.credentials': { headers: [] } }, 'spec.credentials.headers'),
  other('ApiCatalog', 'an expired status of 401', { 'spec.policy': { expiredStatus: 401 } }),
  other('ApiCatalog', 'an expired status of 404', { 'spec.policy': { expiredStatus: 404 } }, 'spec.policy.expiredStatus'),

  other('KeyOwner', 'an owner', {}),
  other('KeyOwner', 'an unknown type of owner', { 'spec.type': 'Robot' }, 'spec.type'),
  other('KeyOwner', 'a bad e-mail address', { 'spec.email': 'ana' }, 'spec.email'),
  other('KeyOwner', 'all that the catalog lists', {
    'spec.grants': [{ catalog: 'default', scopes: ['*'], accessTypes: ['*'], channels: ['*'] }],
  }),
  other(
    'KeyOwner',
    'half a wildcard',
    { 'spec.grants': [{ catalog: 'default', scopes: ['subscribers:*'] }] },
    'spec.grants[0].scopes[0]',
  ),
  other('KeyOwner', 'a grant without a catalog', { 'spec.grants': [{ scopes: ['*'] }] }, 'spec.grants[0].catalog'),
  other('KeyOwner', '21 grants', { 'spec.grants': names(21).map((catalog) => ({ catalog })) }, 'spec.grants'),
  other('KeyOwner', 'namespaces by label', {
    'spec.allowedNamespaces': {
      selector: { matchLabels: { team: 'a' }, matchExpressions: [{ key: 'x/y', operator: 'Exists' }] },
    },
  }),
  other(
    'KeyOwner',
    'all namespaces and some',
    { 'spec.allowedNamespaces': { all: true, names: ['a'] } },
    'spec.allowedNamespaces',
  ),
  other(
    'KeyOwner',
    'no namespaces, said as all: false',
    { 'spec.allowedNamespaces': { all: false } },
    'spec.allowedNamespaces.all',
  ),
  other(
    'KeyOwner',
    'labels whose value is no text',
    { 'spec.allowedNamespaces': { selector: { matchLabels: { a: 1 } } } },
    'spec.allowedNamespaces.selector.matchLabels',
  ),

  other('KeyOwnerGroup', 'a group', {}),
  other('KeyOwnerGroup', 'a group without a name', { 'spec.displayName': undefined }, 'spec.displayName'),

  other('KeyDestination', 'a Vault', {}),
  other('KeyDestination', 'a Vault with capitals, behind a path', {
    'spec.vault': {
      address: 'https://Gateway.example.com/Vault/eu-1/',
      mount: 'KV-Platform',
      path: 'Platform/{namespace}/{name}',
      namespace: 'Team-A/Prod',
      auth: { kubernetes: { role: 'keywright', mount: 'K8s-Prod' } },
      caBundle: '# Our authority, 2026\nsubject=CN=Example\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
    },
  }),
  other('KeyDestination', 'an AWS account', { 'spec.vault': undefined, 'spec.aws': aws }),
  other('KeyDestination', 'neither', { 'spec.vault': undefined }, 'spec'),
  other('KeyDestination', 'both', { 'spec.aws': aws }, 'spec'),
  other('KeyDestination', 'an unknown provider', { 'spec.gcp': { project: 'p' } }, 'spec.gcp'),
  other('KeyDestination', 'an address that climbs', { 'spec.vault.address': 'https://vault:8200/a/../b' }, 'spec.vault.address'),
  other('KeyDestination', 'an address of another scheme', { 'spec.vault.address': 'file:///etc' }, 'spec.vault.address'),
  other('KeyDestination', 'a mount with ..', { 'spec.vault.mount': '../sys' }, 'spec.vault.mount'),
  other('KeyDestination', 'a template without the namespace', { 'spec.vault.path': 'keys/{name}' }, 'spec.vault.path'),
  other('KeyDestination', 'a template with the name first', { 'spec.vault.path': '{name}/{namespace}' }, 'spec.vault.path'),
  other('KeyDestination', 'a template that joins both', { 'spec.vault.path': '{namespace}-{name}' }, 'spec.vault.path'),
  other('KeyDestination', 'no way to log in', { 'spec.vault.auth': {} }, 'spec.vault.auth'),
  other(
    'KeyDestination',
    'two ways to log in',
    { 'spec.vault.auth': { kubernetes: { role: 'keywright' }, token: { secretRef: { name: 'a' } } } },
    'spec.vault.auth',
  ),
  other('KeyDestination', 'a bundle that is no certificate', { 'spec.vault.caBundle': 'abc' }, 'spec.vault.caBundle'),
  other(
    'KeyDestination',
    'no way to log in to AWS',
    { 'spec.vault': undefined, 'spec.aws': { ...aws, auth: {} } },
    'spec.aws.auth',
  ),
  other(
    'KeyDestination',
    'an external id without a role',
    { 'spec.vault': undefined, 'spec.aws': { ...aws, auth: { irsa: {}, externalId: 'x' } } },
    'spec.aws.auth',
  ),
  other(
    'KeyDestination',
    'a recovery window of a day',
    { 'spec.vault': undefined, 'spec.aws': { ...aws, recoveryWindow: '24h' } },
    'spec.aws.recoveryWindow',
  ),
  other(
    'KeyDestination',
    'a recovery window that is no duration',
    { 'spec.vault': undefined, 'spec.aws': { ...aws, recoveryWindow: 'a week' } },
    'spec.aws.recoveryWindow',
  ),
];

const change = (kind: ApiKind, title: string, before: Edits, after: Edits, refuses?: string): ChangeCase => ({
  title,
  kind,
  before,
  after,
  ...(refuses === undefined ? {} : { refuses }),
});
const onAws = { 'spec.vault': undefined, 'spec.aws': { ...aws, endpoint: 'https://a' } };

/** Changes that are fine, and changes that are not. */
export const changeCases: readonly ChangeCase[] = [
  change(
    'ApiKey',
    '[S3-9] another name, channels and expiry',
    {},
    { 'spec.displayName': 'x', 'spec.channels': ['a'], 'spec.expiry': { after: '1h' } },
  ),
  change('ApiKey', 'another access type', {}, { 'spec.accessType': 'Admin' }),
  change('ApiKey', '[S2-7] another catalog', {}, { 'spec.catalog': 'other' }, 'spec.catalog'),
  change('ApiKey', '[S1-6] another owner', {}, { 'spec.owner': 'other' }, 'spec.owner'),
  change('ApiKey', '[S4-10] a revocation', {}, { 'spec.revoked': { reason: 'KeyCompromise' } }),
  change('ApiKey', 'another reason for a revocation', { 'spec.revoked': {} }, { 'spec.revoked': { reason: 'KeyCompromise' } }),
  change('ApiKey', '[S2-16] a revocation taken back', { 'spec.revoked': {} }, {}, 'spec.revoked'),
  change('ApiKey', 'suspend and back', { 'spec.suspend': true }, { 'spec.suspend': false }),
  change('ApiCatalog', 'another endpoint', {}, { 'spec.endpoints': endpoint('/v2') }),
  change('ApiCatalog', 'another prefix', {}, { 'spec.key.prefix': 'other' }, 'spec.key'),
  change('ApiCatalog', '[S0-27] another environment', {}, { 'spec.key.environment': 'test' }, 'spec.key'),
  change('KeyDestination', 'another way to log in', {}, { 'spec.vault.auth': { kubernetes: { role: 'keywright' } } }),
  change('KeyDestination', 'another address', {}, { 'spec.vault.address': 'https://other:8200' }, 'spec.vault.address'),
  change('KeyDestination', 'another mount', {}, { 'spec.vault.mount': 'kv' }, 'spec.vault.mount'),
  change('KeyDestination', 'another template', {}, { 'spec.vault.path': 'other/{namespace}/{name}' }, 'spec.vault.path'),
  change('KeyDestination', 'another namespace', {}, { 'spec.vault.namespace': 'other' }, 'spec.vault.namespace'),
  change('KeyDestination', 'a namespace taken away', {}, { 'spec.vault.namespace': undefined }, 'spec.vault.namespace'),
  change('KeyDestination', 'a namespace added', { 'spec.vault.namespace': undefined }, {}, 'spec.vault.namespace'),
  change('KeyDestination', 'another provider', {}, onAws, 'spec'),
  change(
    'KeyDestination',
    'another region',
    onAws,
    { ...onAws, 'spec.aws': { ...aws, endpoint: 'https://a', region: 'eu-west-2' } },
    'spec.aws.region',
  ),
  change(
    'KeyDestination',
    'another name',
    onAws,
    { ...onAws, 'spec.aws': { ...aws, endpoint: 'https://a', name: 'a/{namespace}/{name}' } },
    'spec.aws.name',
  ),
  change(
    'KeyDestination',
    'another endpoint',
    onAws,
    { ...onAws, 'spec.aws': { ...aws, endpoint: 'https://b' } },
    'spec.aws.endpoint',
  ),
];
