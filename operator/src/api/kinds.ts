import type * as z from 'zod';
import { apiCatalogSpecSchema, apiCatalogStatusSchema, apiCatalogTransitions } from './apicatalog.ts';
import { apiKeySpecSchema, apiKeyStatusSchema, apiKeyTransitions } from './apikey.ts';
import { keyDestinationSpecSchema, keyDestinationStatusSchema, keyDestinationTransitions } from './keydestination.ts';
import { keyOwnerSpecSchema, keyOwnerStatusSchema } from './keyowner.ts';
import { keyOwnerGroupSpecSchema, keyOwnerGroupStatusSchema } from './keyownergroup.ts';
import type { KubeObject } from './meta.ts';
import type { TransitionRule } from './rule.ts';

export type { Condition, ConditionType } from './conditions.ts';
export type { NamespaceSelection } from './namespaces.ts';

/** The type with every member and entry readonly, however deep. */
type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [Member in keyof T]: Frozen<T[Member]> }
    : T;

// Specifications are what the API server or the parser hands out: defaults are there.

export type ApiKeySpec = Frozen<z.output<typeof apiKeySpecSchema>>;
export type ApiKeyStatus = Frozen<z.output<typeof apiKeyStatusSchema>>;
/** An API key: who holds it, what it opens, where it is delivered. */
export type ApiKey = KubeObject<ApiKeySpec, ApiKeyStatus>;
/** One entry of `spec.deliverTo`. */
export type DeliveryTarget = ApiKeySpec['deliverTo'][number];
/** One entry of `status.destinations`. */
export type DestinationStatus = NonNullable<ApiKeyStatus['destinations']>[number];

export type ApiCatalogSpec = Frozen<z.output<typeof apiCatalogSpecSchema>>;
export type ApiCatalogStatus = Frozen<z.output<typeof apiCatalogStatusSchema>>;
/** One API product: what its keys look like and may ask for. */
export type ApiCatalog = KubeObject<ApiCatalogSpec, ApiCatalogStatus>;

export type KeyOwnerSpec = Frozen<z.output<typeof keyOwnerSpecSchema>>;
export type KeyOwnerStatus = Frozen<z.output<typeof keyOwnerStatusSchema>>;
/** Whose rights are the ceiling of its keys. */
export type KeyOwner = KubeObject<KeyOwnerSpec, KeyOwnerStatus>;
/** One rule of an owner or a group. */
export type Grant = KeyOwnerSpec['grants'][number];

export type KeyOwnerGroupSpec = Frozen<z.output<typeof keyOwnerGroupSpecSchema>>;
export type KeyOwnerGroupStatus = Frozen<z.output<typeof keyOwnerGroupStatusSchema>>;
/** Rules that many owners share. */
export type KeyOwnerGroup = KubeObject<KeyOwnerGroupSpec, KeyOwnerGroupStatus>;

export type KeyDestinationSpec = Frozen<z.output<typeof keyDestinationSpecSchema>>;
export type KeyDestinationStatus = Frozen<z.output<typeof keyDestinationStatusSchema>>;
/** A place that keys are delivered to. */
export type KeyDestination = KubeObject<KeyDestinationSpec, KeyDestinationStatus>;

/** The kinds of the API. */
export type ApiKind = 'ApiKey' | 'ApiCatalog' | 'KeyOwner' | 'KeyOwnerGroup' | 'KeyDestination';

/** A column of `kubectl get`; priority 1 shows with `-o wide` only. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date' | 'boolean';
  readonly jsonPath: string;
  readonly description: string;
  readonly priority?: 1;
}

/** Everything about a kind that is not in its schemas. */
export interface KindEntry {
  readonly kind: ApiKind;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly scope: 'Namespaced' | 'Cluster';
  /** One sentence: what an object of the kind is. */
  readonly description: string;
  readonly spec: z.ZodType;
  readonly status: z.ZodType;
  readonly transitions: readonly TransitionRule<never>[];
  readonly columns: readonly PrinterColumn[];
  /** JSON paths that `--field-selector` knows besides name and namespace. */
  readonly selectableFields: readonly string[];
}

const ready: PrinterColumn = {
  name: 'Ready',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].status',
  description: 'Whether it can be used.',
};
const reason: PrinterColumn = {
  name: 'Reason',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
  description: 'Why, in one word.',
};
const message: PrinterColumn = {
  name: 'Message',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].message',
  description: 'Why, in a sentence.',
  priority: 1,
};
const age: PrinterColumn = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'How long it has existed.',
};

/** The five kinds. The CRDs, the reference and the parser are made from this. */
export const kindTable: Readonly<Record<ApiKind, KindEntry>> = {
  ApiKey: {
    kind: 'ApiKey',
    plural: 'apikeys',
    singular: 'apikey',
    shortNames: ['ak'],
    scope: 'Namespaced',
    description: 'An API key: who holds it, what it opens, and where its value is delivered.',
    spec: apiKeySpecSchema,
    status: apiKeyStatusSchema,
    transitions: apiKeyTransitions,
    columns: [
      ready,
      reason,
      { name: 'Owner', type: 'string', jsonPath: '.spec.owner', description: 'The KeyOwner.' },
      { name: 'Access', type: 'string', jsonPath: '.spec.accessType', description: 'The access type.' },
      {
        name: 'Key',
        type: 'string',
        jsonPath: '.status.currentKey.display',
        description: 'What may be shown of the current key.',
      },
      // Type date would print how long ago it was, which for a future instant is "<invalid>".
      {
        name: 'Expires',
        type: 'string',
        jsonPath: '.status.currentKey.expiresAt',
        description: 'When the current version expires.',
      },
      {
        name: 'Last Used',
        type: 'date',
        jsonPath: '.status.currentKey.lastUsedAt',
        description: 'When the current version was last seen.',
      },
      age,
      {
        name: 'Rotated',
        type: 'date',
        jsonPath: '.status.currentKey.issuedAt',
        description: 'How old the current version is.',
        priority: 1,
      },
      {
        name: 'Next Rotation',
        type: 'string',
        jsonPath: '.status.nextRotationAt',
        description: 'When the next rotation begins, as far as is known.',
        priority: 1,
      },
      message,
    ],
    selectableFields: ['.spec.owner', '.spec.accessType', '.spec.catalog', '.spec.clientApplication'],
  },
  ApiCatalog: {
    kind: 'ApiCatalog',
    plural: 'apicatalogs',
    singular: 'apicatalog',
    shortNames: ['akc'],
    scope: 'Cluster',
    description: 'One API product: its endpoints, access types and scopes, what its keys look like and what they may ask for.',
    spec: apiCatalogSpecSchema,
    status: apiCatalogStatusSchema,
    transitions: apiCatalogTransitions,
    columns: [
      ready,
      reason,
      { name: 'Prefix', type: 'string', jsonPath: '.spec.key.prefix', description: 'The first part of every key.' },
      { name: 'Environment', type: 'string', jsonPath: '.spec.key.environment', description: 'The second part of every key.' },
      { name: 'Keys', type: 'integer', jsonPath: '.status.keys', description: 'How many ApiKeys name it.' },
      age,
      message,
    ],
    selectableFields: [],
  },
  KeyOwner: {
    kind: 'KeyOwner',
    plural: 'keyowners',
    singular: 'keyowner',
    shortNames: ['ako'],
    scope: 'Cluster',
    description: 'A user, team or service that owns keys: its rights are the ceiling of what they can do.',
    spec: keyOwnerSpecSchema,
    status: keyOwnerStatusSchema,
    transitions: [],
    columns: [
      ready,
      reason,
      { name: 'Type', type: 'string', jsonPath: '.spec.type', description: 'User, Team or Service.' },
      { name: 'Disabled', type: 'boolean', jsonPath: '.spec.disabled', description: 'Whether its keys are refused.' },
      { name: 'Keys', type: 'integer', jsonPath: '.status.keys.total', description: 'How many ApiKeys name it.' },
      age,
      message,
    ],
    selectableFields: [],
  },
  KeyOwnerGroup: {
    kind: 'KeyOwnerGroup',
    plural: 'keyownergroups',
    singular: 'keyownergroup',
    shortNames: ['akg'],
    scope: 'Cluster',
    description: 'Rules that many owners share.',
    spec: keyOwnerGroupSpecSchema,
    status: keyOwnerGroupStatusSchema,
    transitions: [],
    columns: [
      ready,
      reason,
      { name: 'Keys', type: 'integer', jsonPath: '.status.keys.total', description: 'How many ApiKeys depend on it.' },
      age,
      message,
    ],
    selectableFields: [],
  },
  KeyDestination: {
    kind: 'KeyDestination',
    plural: 'keydestinations',
    singular: 'keydestination',
    shortNames: ['akd'],
    scope: 'Cluster',
    description: 'A place that keys are delivered to: a Vault mount, or AWS Secrets Manager in one account and region.',
    spec: keyDestinationSpecSchema,
    status: keyDestinationStatusSchema,
    transitions: keyDestinationTransitions,
    columns: [
      ready,
      reason,
      { name: 'Vault', type: 'string', jsonPath: '.spec.vault.address', description: 'The address of Vault.' },
      { name: 'AWS Region', type: 'string', jsonPath: '.spec.aws.region', description: 'The region of AWS Secrets Manager.' },
      { name: 'Keys', type: 'integer', jsonPath: '.status.keys', description: 'The ApiKeys with a value there.' },
      {
        name: 'Checked',
        type: 'date',
        jsonPath: '.status.lastCheckedAt',
        description: 'When login and rights were last checked.',
      },
      age,
      message,
    ],
    selectableFields: [],
  },
};

/** The names of the kinds, in the order in which documents should be applied. */
export const apiKinds: readonly ApiKind[] = ['ApiCatalog', 'KeyOwnerGroup', 'KeyOwner', 'KeyDestination', 'ApiKey'];

/** Whether a kind of our group has this name. */
export function isApiKind(kind: string): kind is ApiKind {
  return Object.hasOwn(kindTable, kind);
}
