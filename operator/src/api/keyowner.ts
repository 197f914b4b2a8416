import * as z from 'zod';
import { conditionList } from './conditions.ts';
import {
  accessTypeName,
  atomicList,
  attributeName,
  catalogName,
  count,
  email,
  freeText,
  objectName,
  setOf,
  slug,
} from './fields.ts';
import { allowedNamespaces } from './namespaces.ts';

const grant = z.strictObject({
  catalog: objectName().describe('The ApiCatalog that the rule is about, at most 63 characters.'),
  admin: z.boolean().default(false).describe('Whether the rule covers endpoints flagged admin; default false.'),
  accessTypes: setOf(accessTypeName('orAll'), { max: 50 })
    .default([])
    .describe('Access types that keys may have, at most 50, "*" = all; default: none.'),
  scopes: setOf(catalogName('orAll'))
    .default([])
    .describe('Scopes whose endpoints are covered, at most 200, "*" = all; default: none.'),
  endpoints: setOf(catalogName('orAll'))
    .default([])
    .describe('Single endpoints that are covered, at most 200, "*" = all; default: none.'),
  applications: setOf(slug('orAll'))
    .default([])
    .describe('Tenant applications that are covered, at most 200, "*" = all; default: none.'),
  channels: setOf(slug('orAll'))
    .default([])
    .describe('Channels for the covered requests, at most 200, "*" = all; default: none.'),
  attributes: setOf(attributeName('orAll'))
    .default([])
    .describe('Response attributes for the covered requests, at most 200, "*" = all; default: none.'),
});

/** The rules of an owner or a group: each is evaluated alone, lists of different rules never combine. */
export function grantList() {
  return atomicList(grant, { max: 20 })
    .default([])
    .describe('Rules, at most 20, each evaluated alone: a request is within the rights when one rule covers it; default: none.');
}

/** `spec` of a KeyOwner: whose rights are the ceiling of its keys. */
export const keyOwnerSpecSchema = z.strictObject({
  type: z.enum(['User', 'Team', 'Service']).describe('What the owner is: User, Team or Service.'),
  displayName: freeText(100).describe('The name that people know the owner by, 1 to 100 characters.'),
  email: email().exactOptional().describe('The e-mail address of the owner, at most 254 characters.'),
  disabled: z.boolean().default(false).describe('true = every key of the owner is refused with owner_inactive; default false.'),
  groups: setOf(objectName(), { max: 50 })
    .default([])
    .describe('The KeyOwnerGroups whose rules count too, at most 50; default: none.'),
  allowedNamespaces: allowedNamespaces()
    .default({})
    .describe('The namespaces where keys of the owner may be declared; default: none.'),
  grants: grantList(),
});

/** How many keys depend on an object. */
export function keyCounts() {
  return z
    .strictObject({ total: count().describe('All of them.'), ready: count().describe('Those that are Ready.') })
    .exactOptional()
    .describe('How many ApiKeys name the owner.');
}

/** `status` of a KeyOwner; only the operator writes it. */
export const keyOwnerStatusSchema = z.strictObject({
  observedGeneration: count().exactOptional().describe('The metadata.generation that the status speaks of.'),
  conditions: conditionList(),
  keys: keyCounts(),
});
