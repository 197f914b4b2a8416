import type { ApiKeySpec } from '../kinds.ts';
import { group } from '../meta.ts';

/** A verb of ours: RBAC grants it, the admission policy asks for it. All are asked in the namespace of the ApiKey. */
export interface Permission {
  readonly verb: 'grant' | 'own' | 'deliver' | 'revoke' | 'rotate';
  /** The resource in RBAC's spelling, with its subresource. */
  readonly resource: string;
  /** The form of `resourceNames`, for people. */
  readonly name: string;
  /** What it allows; completes "may …". */
  readonly allows: string;
}

/** The resources are named in rules only: no object of a subresource such as `accesstypes` exists. */
export const permissions = {
  grant: {
    verb: 'grant',
    resource: 'apicatalogs/accesstypes',
    name: '<catalog>:<access type>',
    allows: 'create keys of this access type, and change what they may do',
  },
  own: { verb: 'own', resource: 'keyowners', name: '<owner>', allows: 'create and change keys of this owner' },
  deliver: {
    verb: 'deliver',
    resource: 'keydestinations',
    name: '<destination>',
    allows: 'have keys delivered to this KeyDestination',
  },
  deliverSecret: {
    verb: 'deliver',
    resource: 'keydestinations/secrets',
    name: '<Secret>',
    allows: 'have keys delivered to this Secret',
  },
  revoke: {
    verb: 'revoke',
    resource: 'apikeys',
    name: '<ApiKey>',
    allows: 'revoke and suspend keys, and report them as compromised',
  },
  rotate: { verb: 'rotate', resource: 'apikeys', name: '<ApiKey>', allows: 'rotate keys, pause them, and end their suspension' },
} as const satisfies Readonly<Record<string, Permission>>;

/** What a field of an ApiKey decides, and so who may change it. */
export type FieldRole = 'rights' | 'description' | 'delivery' | 'consumer' | 'suspension' | 'revocation';

/**
 * Every field of `spec`. A new one does not compile until somebody has said who may change it. The rotation counts among
 * the rights: how long an old version lives on, and whether anything follows it, is a matter of expiry.
 */
export const fieldRoles: Readonly<Record<keyof ApiKeySpec, FieldRole>> = {
  displayName: 'description',
  purpose: 'description',
  catalog: 'rights',
  owner: 'rights',
  holder: 'description',
  contactEmail: 'description',
  clientApplication: 'description',
  accessType: 'rights',
  scopes: 'rights',
  endpoints: 'rights',
  applications: 'rights',
  channels: 'rights',
  customerChannels: 'rights',
  attributes: 'rights',
  expiry: 'rights',
  rotation: 'rights',
  rateLimit: 'rights',
  allowedSources: 'rights',
  deliverTo: 'delivery',
  consumers: 'consumer',
  suspend: 'suspension',
  revoked: 'revocation',
};

/** The fields of one role, in the order of the schema. */
export function fieldsOf(role: FieldRole): readonly string[] {
  return Object.entries(fieldRoles).flatMap(([field, of]) => (of === role ? [field] : []));
}

/** As kubectl and refusals write it: `apicatalogs.keywright.dev/accesstypes`. */
export function qualified(resource: string, apiGroup: string = group): string {
  const [plural = '', ...sub] = resource.split('/');
  return [`${plural}.${apiGroup}`, ...sub].join('/');
}
