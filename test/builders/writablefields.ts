import type { ApiKind } from '../../operator/src/api/kinds.ts';

/** What a field decides on, whoever may change it. A closed list: a field that is none of these needs a word of its own. */
export type Decides =
  /** What the gateway answers for the key: scopes, limits, on or off. */
  | 'verdict'
  /** Where the plaintext of the key lies, who may read it there, and whether there is one. */
  | 'value'
  /** When a version or the whole key ends, and when another one takes its place. */
  | 'life'
  /** Which workloads are restarted. */
  | 'workloads'
  /** What people, audits and gateways are shown. */
  | 'shown'
  /** What a tool may do with the object later: remove a field, or take it for its own. */
  | 'tools'
  | 'nothing';

/**
 * What the API server answers a writer of ApiKeys without verbs (get, list, create, update, patch, delete on `apikeys`):
 * `refused` 403, `immutable` 400, 409 or 422 for an administrator too, `ignored` 200 and the object is as it was, `allowed`
 * 200 and the field is changed.
 */
export type Answer = 'refused' | 'immutable' | 'ignored' | 'allowed';

/** A merge patch. */
export type Patch = Readonly<Record<string, unknown>>;

/** One field of a spec. */
export interface FieldRow {
  readonly kind: ApiKind;
  /** As `spec.grants[].scopes[]`; `{}` for any entry of a map. */
  readonly field: string;
  readonly decides: readonly Decides[];
  /** The new value. A value that only another shape allows is a patch of the spec. */
  readonly to: { readonly value: unknown } | { readonly patch: Patch };
  /** What the object has before, over the sample. */
  readonly before: Patch;
  readonly answer: Answer;
}

/** One member of the metadata of an ApiKey, or a part of one that has a meaning of its own. */
export interface MetadataRow {
  /** As Kubernetes' ObjectMeta calls it. */
  readonly member: string;
  readonly what: string;
  readonly patch: Patch;
  readonly decides: readonly Decides[];
  readonly answer: Answer;
}

const certificate = [
  '-----BEGIN CERTIFICATE-----',
  'MIIBdzCCAR2gAwIBAgIUTn0Ff0rRMHhlGPrpoQKkYzJHsVowCgYIKoZIzj0EAwIw',
  '-----END CERTIFICATE-----',
].join('\n');

const selector = { matchLabels: { team: 'a' }, matchExpressions: [{ key: 'team', operator: 'In', values: ['a'] }] };
const selected = { allowedNamespaces: { all: null, selector } };
const grant = {
  catalog: 'default',
  admin: false,
  accessTypes: ['Integrations'],
  scopes: ['a'],
  endpoints: ['a'],
  applications: ['a'],
  channels: ['a'],
  attributes: ['a'],
};

/** A valid spec of each kind that has as many fields as one object can have. */
export const samples: Readonly<Record<ApiKind, Patch>> = {
  ApiKey: {
    displayName: 'Billing sync',
    purpose: 'billing',
    catalog: 'default',
    owner: 'payments-team',
    holder: { organization: 'Acme Ltd', name: 'J. Doe' },
    contactEmail: 'payments@example.com',
    clientApplication: 'billing',
    accessType: 'Integrations',
    scopes: ['a'],
    endpoints: ['a'],
    applications: ['a'],
    channels: ['a'],
    customerChannels: [{ customer: '42', channels: ['a'] }],
    attributes: ['a'],
    expiry: { after: '720h' },
    rotation: {
      every: '240h',
      beforeExpiry: '24h',
      onExpiry: 'Rotate',
      overlap: '24h',
      retireOldKey: 'WhenUnused',
      quietPeriod: '1h',
      maxOverlap: '48h',
      windows: [{ schedule: '0 2 * * 6', duration: '4h', timezone: 'UTC' }],
    },
    rateLimit: { requests: 100, per: '60s' },
    allowedSources: ['10.0.0.0/8'],
    deliverTo: [
      { name: 'vault', destination: 'prod-vault', path: 'a' },
      { name: 'local', secret: { name: 'billing' } },
    ],
    consumers: [{ kind: 'Deployment', name: 'billing', restart: true, restartAfter: '1m' }],
    suspend: false,
  },
  ApiCatalog: {
    key: { prefix: 'acme', environment: 'live' },
    accessTypes: [
      { name: 'Partner', description: 'x', endpoints: 'All', admin: false, transactional: false, namespaces: { names: ['a'] } },
      { name: 'Integrations', endpoints: 'Listed', scopes: ['a'], namespaces: { selector } },
    ],
    scopes: [
      { name: 'a', description: 'x', endpoints: ['a'] },
      { name: 'b', endpoints: ['a'] },
    ],
    endpoints: [
      {
        name: 'a',
        method: 'GET',
        path: '/v1/apps/{app}/a',
        perApplication: false,
        transactional: false,
        admin: false,
        upgrade: false,
        cost: 1,
      },
      { name: 'b', method: 'GET', path: '/v1/apps/{app}/b' },
    ],
    applications: [{ slug: 'a' }],
    channels: [{ slug: 'a' }],
    attributes: ['a'],
    requests: {
      hosts: ['api.example.com'],
      application: { pathParam: 'app' },
      customer: { header: 'X-Customer', pattern: '^[0-9]+$' },
      targetChannels: { jsonPath: '$.target' },
    },
    credentials: { headers: [{ name: 'Authorization', scheme: 'Bearer' }], foreignBearer: 'Reject' },
    policy: {
      defaultExpiry: '720h',
      maxExpiry: '8760h',
      neverExpires: 'Forbidden',
      expiredStatus: 401,
      requireContactEmail: true,
      minOverlap: '1h',
      requireHttps: true,
    },
  },
  KeyOwner: {
    type: 'Team',
    displayName: 'Payments team',
    email: 'payments@example.com',
    disabled: false,
    groups: ['analysts'],
    allowedNamespaces: { all: true },
    grants: [grant],
  },
  KeyOwnerGroup: { displayName: 'Analysts', grants: [grant] },
  KeyDestination: {
    allowedNamespaces: { all: true },
    vault: {
      address: 'https://vault:8200',
      mount: 'secret',
      path: '{namespace}/{name}',
      namespace: 'team',
      caBundle: certificate,
      auth: {
        kubernetes: {
          ...{ role: 'keywright', audience: 'vault', mount: 'kubernetes' },
          serviceAccountRef: { name: 'keywright-vault' },
        },
      },
    },
  },
};

type Written = readonly [field: string, decides: Decides | readonly Decides[], value: unknown, before?: Patch];

const rowsOf = (kind: ApiKind, answer: Answer, rows: readonly Written[]): readonly FieldRow[] =>
  rows.map(([field, decides, value, before = {}]) => ({
    kind,
    field: `spec.${field}`,
    decides: typeof decides === 'string' ? [decides] : decides,
    to: value instanceof Shape ? { patch: value.patch } : { value },
    before,
    answer,
  }));

/** A change of more than the one field: another member of a choice. */
class Shape {
  readonly patch: Patch;
  constructor(patch: Patch) {
    this.patch = patch;
  }
}
const shape = (patch: Patch) => new Shape(patch);

const namespaceRows = (prefix: string, decides: Decides, before: Patch): readonly Written[] => [
  [`${prefix}.selector.matchLabels{}`, decides, 'b', before],
  [`${prefix}.selector.matchExpressions[].key`, decides, 'other', before],
  [`${prefix}.selector.matchExpressions[].operator`, decides, 'NotIn', before],
  [`${prefix}.selector.matchExpressions[].values[]`, decides, 'b', before],
];
const allowedRows = (decides: Decides): readonly Written[] => [
  ['allowedNamespaces.names[]', decides, 'b', { allowedNamespaces: { all: null, names: ['a'] } }],
  ['allowedNamespaces.all', decides, shape({ allowedNamespaces: { all: null, names: ['a'] } })],
  ...namespaceRows('allowedNamespaces', decides, selected),
];
const grantRows: readonly Written[] = [
  ['grants[].catalog', 'verdict', 'other'],
  ['grants[].admin', 'verdict', true],
  ...['accessTypes', 'scopes', 'endpoints', 'applications', 'channels', 'attributes'].map((list): Written => [
    `grants[].${list}[]`,
    'verdict',
    '*',
  ]),
];
const vaultAuth = (auth: Patch): Patch => ({ vault: { auth: { kubernetes: null, ...auth } } });
const appRole = vaultAuth({ appRole: { roleId: 'a', secretRef: { name: 'a', key: 'a' }, mount: 'approle' } });
const vaultToken = vaultAuth({ token: { secretRef: { name: 'a', key: 'a' } } });
const aws: Patch = {
  vault: null,
  aws: {
    region: 'eu-west-1',
    name: '{namespace}/{name}',
    auth: { roleArn: 'arn:aws:iam::123456789012:role/a', externalId: 'aa' },
    kmsKeyId: 'alias/a',
    endpoint: 'https://a',
    stsEndpoint: 'https://a',
    tags: { a: 'a' },
    recoveryWindow: '168h',
  },
};

/** Every field of every spec. */
export const fieldRows: readonly FieldRow[] = [
  ...rowsOf('ApiKey', 'immutable', [
    ['catalog', ['verdict', 'value'], 'other'],
    ['owner', 'verdict', 'other'],
  ]),
  ...rowsOf('ApiKey', 'refused', [
    ['displayName', 'shown', 'Other'],
    ['purpose', 'shown', 'other'],
    ['holder.organization', 'shown', 'Other'],
    ['holder.name', 'shown', 'Other'],
    ['contactEmail', 'shown', 'other@example.com'],
    ['clientApplication', 'shown', 'other'],
    ['accessType', 'verdict', 'Admin'],
    ['scopes[]', 'verdict', 'b'],
    ['endpoints[]', 'verdict', 'b'],
    ['applications[]', 'verdict', 'b'],
    ['channels[]', 'verdict', 'b'],
    ['customerChannels[].customer', 'verdict', '43'],
    ['customerChannels[].channels[]', 'verdict', 'b'],
    ['attributes[]', 'verdict', 'b'],
    ['expiry.after', 'life', '1440h'],
    ['expiry.at', 'life', '2030-01-01T00:00:00Z', { expiry: { after: null, at: '2029-01-01T00:00:00Z' } }],
    ['expiry.never', 'life', shape({ expiry: { after: null, never: true } })],
    ['rotation.every', 'life', '480h'],
    ['rotation.beforeExpiry', 'life', '48h'],
    ['rotation.onExpiry', 'life', 'Expire'],
    ['rotation.overlap', 'life', '25h'],
    ['rotation.retireOldKey', 'life', 'AfterOverlap'],
    ['rotation.quietPeriod', 'life', '2h'],
    ['rotation.maxOverlap', 'life', '72h'],
    ['rotation.windows[].schedule', 'life', '0 3 * * 6'],
    ['rotation.windows[].duration', 'life', '5h'],
    ['rotation.windows[].timezone', 'life', 'Europe/Berlin'],
    ['rateLimit.requests', 'verdict', 1000],
    ['rateLimit.per', 'verdict', '30s'],
    ['allowedSources[]', 'verdict', '0.0.0.0/0'],
    ['deliverTo[].name', 'shown', 'renamed'],
    ['deliverTo[].destination', 'value', 'their-vault'],
    ['deliverTo[].path', 'value', 'b'],
    ['deliverTo[].secret.name', 'value', 'theirs'],
    ['consumers[].kind', 'workloads', 'StatefulSet'],
    ['consumers[].name', 'workloads', 'theirs'],
    ['consumers[].restart', 'workloads', false],
    ['consumers[].restartAfter', 'workloads', '2m'],
    ['suspend', 'verdict', true],
    ['revoked.reason', 'life', 'KeyCompromise', { revoked: { reason: 'Superseded' } }],
  ]),
  ...rowsOf('ApiCatalog', 'immutable', [
    ['key.prefix', 'value', 'other'],
    ['key.environment', 'value', 'test'],
  ]),
  ...rowsOf('ApiCatalog', 'refused', [
    ['accessTypes[].name', 'verdict', 'Other'],
    ['accessTypes[].description', 'shown', 'y'],
    ['accessTypes[].endpoints', 'verdict', 'Owner'],
    ['accessTypes[].scopes[]', 'verdict', 'b'],
    ['accessTypes[].admin', 'verdict', true],
    ['accessTypes[].transactional', 'verdict', true],
    ['accessTypes[].namespaces.names[]', 'verdict', 'b'],
    ...namespaceRows('accessTypes[].namespaces', 'verdict', {}),
    ['scopes[].name', 'verdict', 'c'],
    ['scopes[].description', 'shown', 'y'],
    ['scopes[].endpoints[]', 'verdict', 'b'],
    ['endpoints[].name', 'verdict', 'c'],
    ['endpoints[].method', 'verdict', 'POST'],
    ['endpoints[].path', 'verdict', '/v1/apps/{app}/c'],
    ['endpoints[].perApplication', 'verdict', true],
    ['endpoints[].transactional', 'verdict', true],
    ['endpoints[].admin', 'verdict', true],
    ['endpoints[].upgrade', 'verdict', true],
    ['endpoints[].cost', 'verdict', 2],
    ['applications[].slug', 'verdict', 'b'],
    ['channels[].slug', 'verdict', 'b'],
    ['attributes[]', 'verdict', 'b'],
    ['requests.hosts[]', 'verdict', 'other.example.com'],
    ['requests.application.pathParam', 'verdict', 'other'],
    ['requests.application.header', 'verdict', 'X-Other', { requests: { application: { pathParam: null, header: 'X-App' } } }],
    ['requests.customer.header', 'verdict', 'X-Other'],
    ['requests.customer.pattern', 'verdict', '^[a-z]+$'],
    ['requests.targetChannels.jsonPath', 'verdict', '$.other'],
    ['credentials.headers[].name', 'verdict', 'X-Api-Key'],
    ['credentials.headers[].scheme', 'verdict', 'Token'],
    ['credentials.foreignBearer', 'verdict', 'Ignore'],
    ['policy.defaultExpiry', 'life', '1440h'],
    ['policy.maxExpiry', 'life', '9000h'],
    ['policy.neverExpires', 'life', 'Allowed'],
    ['policy.expiredStatus', 'verdict', 403],
    ['policy.requireContactEmail', 'value', false],
    ['policy.minOverlap', 'life', '2h'],
    ['policy.requireHttps', 'verdict', false],
  ]),
  ...rowsOf('KeyOwner', 'refused', [
    ['type', 'shown', 'User'],
    ['displayName', 'shown', 'Other'],
    ['email', 'shown', 'other@example.com'],
    ['disabled', 'verdict', true],
    ['groups[]', 'verdict', 'other'],
    ...allowedRows('verdict'),
    ...grantRows,
  ]),
  ...rowsOf('KeyOwnerGroup', 'refused', [['displayName', 'shown', 'Other'], ...grantRows]),
  ...rowsOf('KeyDestination', 'immutable', [
    ['vault.address', 'value', 'https://theirs:8200'],
    ['vault.mount', 'value', 'other'],
    ['vault.path', 'value', 'other/{namespace}/{name}'],
    ['vault.namespace', 'value', 'other'],
    ['aws.region', 'value', 'eu-west-2', aws],
    ['aws.name', 'value', 'other/{namespace}/{name}', aws],
    ['aws.endpoint', 'value', 'https://b', aws],
  ]),
  ...rowsOf('KeyDestination', 'refused', [
    ...allowedRows('value'),
    ['vault.auth.kubernetes.role', 'value', 'other'],
    ['vault.auth.kubernetes.audience', 'value', 'other'],
    ['vault.auth.kubernetes.mount', 'value', 'other'],
    ['vault.auth.kubernetes.serviceAccountRef.name', 'value', 'other'],
    ['vault.auth.appRole.roleId', 'value', 'b', appRole],
    ['vault.auth.appRole.secretRef.name', 'value', 'b', appRole],
    ['vault.auth.appRole.secretRef.key', 'value', 'b', appRole],
    ['vault.auth.appRole.mount', 'value', 'other', appRole],
    ['vault.auth.token.secretRef.name', 'value', 'b', vaultToken],
    ['vault.auth.token.secretRef.key', 'value', 'b', vaultToken],
    ['vault.caBundle', 'value', shape({ vault: { caBundle: null } })],
    ['aws.auth.irsa', 'value', shape({ aws: { auth: { roleArn: null, externalId: null, irsa: {} } } }), aws],
    [
      'aws.auth.secretRef.name',
      'value',
      shape({ aws: { auth: { roleArn: null, externalId: null, secretRef: { name: 'a' } } } }),
      aws,
    ],
    ['aws.auth.roleArn', 'value', 'arn:aws:iam::123456789012:role/b', aws],
    ['aws.auth.externalId', 'value', 'bb', aws],
    ['aws.kmsKeyId', 'value', 'alias/b', aws],
    ['aws.stsEndpoint', 'value', 'https://b', aws],
    ['aws.tags{}', 'value', 'b', aws],
    ['aws.recoveryWindow', 'value', '192h', aws],
  ]),
];

const ghost = { apiVersion: 'v1', kind: 'ConfigMap', name: 'ghost', uid: '00000000-0000-4000-8000-000000000000' };
const long = '2020-01-01T00:00:00Z';
const manager = (fields: Patch) => [
  {
    manager: 'mallory',
    operation: 'Update',
    apiVersion: 'keywright.dev/v1alpha1',
    time: long,
    fieldsType: 'FieldsV1',
    fieldsV1: fields,
  },
];

const metadata = (
  member: string,
  answer: Answer,
  decides: Decides | readonly Decides[],
  value: unknown,
  what = '',
): MetadataRow => ({
  member,
  what,
  patch: { [member]: value },
  decides: typeof decides === 'string' ? [decides] : decides,
  answer,
});
const annotation = (name: string, decides: readonly Decides[]): MetadataRow =>
  metadata('annotations', 'refused', decides, { [name]: 'all' }, name);

/** Every member of the metadata of an ApiKey, and every annotation of ours. */
export const metadataRows: readonly MetadataRow[] = [
  metadata('name', 'immutable', 'nothing', 'other'),
  metadata('namespace', 'immutable', 'nothing', 'default'),
  metadata('uid', 'immutable', 'nothing', ghost.uid),
  metadata('resourceVersion', 'immutable', 'nothing', '1'),
  metadata('generateName', 'allowed', 'nothing', 'other-'),
  metadata('selfLink', 'allowed', 'nothing', '/other'),
  metadata('generation', 'ignored', 'nothing', 99),
  metadata('creationTimestamp', 'ignored', 'life', long),
  metadata('deletionTimestamp', 'immutable', 'life', long),
  metadata('deletionGracePeriodSeconds', 'immutable', 'nothing', 0),
  metadata('labels', 'allowed', 'tools', { team: 'other' }, 'of others'),
  metadata('labels', 'refused', 'nothing', { 'keywright.dev/other': 'x' }, 'under our group'),
  metadata('annotations', 'allowed', 'tools', { 'example.com/note': 'other' }, 'of others'),
  metadata('annotations', 'refused', 'nothing', { 'keywright.dev/other': 'x' }, 'unknown ones under our group'),
  metadata(
    'annotations',
    'refused',
    'tools',
    { 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
    'what kubectl apply compares with',
  ),
  annotation('keywright.dev/rotate', ['value', 'life']),
  annotation('keywright.dev/compromised', ['verdict', 'value', 'life']),
  annotation('keywright.dev/paused', ['life']),
  annotation('keywright.dev/confirm', ['verdict', 'value', 'life']),
  metadata('finalizers', 'refused', 'life', null, 'all taken away'),
  metadata('finalizers', 'refused', 'life', ['keywright.dev/finalizer', 'example.com/other'], 'one added'),
  metadata('ownerReferences', 'refused', 'life', [ghost]),
  metadata('managedFields', 'refused', 'tools', [{}], 'all taken away'),
  metadata('managedFields', 'refused', 'tools', manager({ 'f:spec': { 'f:scopes': {} } }), 'of a spec'),
  metadata(
    'managedFields',
    'refused',
    'tools',
    manager({ 'f:metadata': { 'f:annotations': { 'f:keywright.dev/paused': {} } } }),
    'of an annotation of ours',
  ),
];
