import type { ApiKind } from '../../operator/src/api/kinds.ts';

/** Where each field of a spec has its effect: file under `operator/src` → fields that it reads. */
export type Effects = Readonly<Record<string, readonly string[]>>;

const expressions = ['key', 'operator', 'values[]'].map((member) => `matchExpressions[].${member}`);
const selector = ['matchLabels{}', ...expressions].map((member) => `selector.${member}`);
const allowedNamespaces = ['names[]', 'all', ...selector].map((member) => `allowedNamespaces.${member}`);
const grants = [
  'catalog',
  'admin',
  'accessTypes[]',
  'scopes[]',
  'endpoints[]',
  'applications[]',
  'channels[]',
  'attributes[]',
].map((member) => `grants[].${member}`);

/** Every field that decides something. One that is neither here, nor only shown, nor in `reconcile/enforcement.ts` fails a test. */
export const effects: Readonly<Record<ApiKind, Effects>> = {
  ApiKey: {
    'authorize/decide.ts': ['catalog', 'owner', 'customerChannels[].customer', 'customerChannels[].channels[]'],
    'authorize/provenkey.ts': ['accessType', 'allowedSources[]'],
    'domain/grants.ts': ['scopes[]', 'endpoints[]', 'applications[]', 'channels[]', 'attributes[]'],
    'reconcile/rotation/policy.ts': [
      ...['after', 'at', 'never'].map((member) => `expiry.${member}`),
      ...['every', 'beforeExpiry', 'onExpiry', 'overlap', 'retireOldKey', 'quietPeriod', 'maxOverlap'].map(
        (member) => `rotation.${member}`,
      ),
    ],
    'reconcile/rotation/windows.ts': ['schedule', 'duration', 'timezone'].map((member) => `rotation.windows[].${member}`),
    'reconcile/targets.ts': ['name', 'destination', 'path', 'secret.name'].map((member) => `deliverTo[].${member}`),
    'reconcile/consuming.ts': ['kind', 'name', 'restart', 'restartAfter'].map((member) => `consumers[].${member}`),
    'reconcile/rotation/outlook.ts': ['suspend'],
    'reconcile/rules/safety.ts': ['revoked.reason'],
  },
  ApiCatalog: {
    'authorize/lookup.ts': ['key.prefix', 'key.environment'],
    'domain/grants.ts': [
      ...['name', 'endpoints', 'scopes[]', 'admin', 'transactional'].map((member) => `accessTypes[].${member}`),
      ...['name', 'perApplication', 'transactional', 'admin'].map((member) => `endpoints[].${member}`),
    ],
    'domain/namespaces.ts': ['names[]', ...selector].map((member) => `accessTypes[].namespaces.${member}`),
    'domain/catalogindex.ts': ['scopes[].name', 'scopes[].endpoints[]', 'attributes[]'],
    'authorize/match.ts': ['endpoints[].method', 'endpoints[].path'],
    'authorize/decide.ts': ['endpoints[].upgrade', 'policy.expiredStatus', 'policy.requireHttps'],
    'reconcile/cluster/model.ts': ['applications[].slug', 'channels[].slug'],
    'reconcile/cluster/faults.ts': ['requests.hosts[]'],
    'authorize/catalog.ts': ['requests.application.pathParam', 'requests.customer.pattern'],
    'reconcile/rotation/policy.ts': ['policy.defaultExpiry'],
    'reconcile/validate.ts': ['maxExpiry', 'neverExpires', 'requireContactEmail', 'minOverlap'].map(
      (member) => `policy.${member}`,
    ),
  },
  KeyOwner: {
    'authorize/decide.ts': ['disabled'],
    'authorize/provenkey.ts': ['groups[]'],
    'domain/namespaces.ts': allowedNamespaces,
    'domain/grants.ts': grants,
  },
  KeyOwnerGroup: { 'domain/grants.ts': grants },
  KeyDestination: {
    'domain/namespaces.ts': allowedNamespaces,
    'destinations/vault/vault.ts': ['vault.address', 'vault.mount', 'vault.namespace', 'vault.caBundle'],
    'destinations/location.ts': ['vault.path', 'aws.name'],
    'destinations/vault/auth.ts': [
      ...['role', 'serviceAccountRef.name', 'audience', 'mount'].map((member) => `vault.auth.kubernetes.${member}`),
      ...['roleId', 'secretRef.name', 'secretRef.key', 'mount'].map((member) => `vault.auth.appRole.${member}`),
      ...['secretRef.name', 'secretRef.key'].map((member) => `vault.auth.token.${member}`),
    ],
    'destinations/aws/aws.ts': ['region', 'kmsKeyId', 'endpoint', 'stsEndpoint', 'tags{}', 'recoveryWindow'].map(
      (member) => `aws.${member}`,
    ),
    'destinations/aws/login.ts': ['irsa', 'roleArn', 'externalId', 'secretRef.name'].map((member) => `aws.auth.${member}`),
  },
};
