import * as z from 'zod';
import { conditionList } from './conditions.ts';
import {
  accessTypeName,
  atomicList,
  attributeName,
  catalogName,
  count,
  duration,
  freeText,
  mapOf,
  setOf,
  slug,
  text,
} from './fields.ts';
import { restrictedNamespaces } from './namespaces.ts';
import { withRules } from './rule.ts';
import { exactlyOneOf, immutable, scopesMeanListed } from './rules.ts';

const tokenPart = () =>
  text(16).regex(/^[a-z][a-z0-9]{1,15}$/, { error: 'must be 2 to 16 characters of a-z and 0-9, a letter first' });
const headerName = () => text(100).regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, { error: 'must be the name of an HTTP header' });
const parameterName = () => text(63).regex(/^[A-Za-z][A-Za-z0-9_]*$/, { error: 'must be the name of a path parameter' });

const accessType = withRules(
  z.strictObject({
    name: accessTypeName().describe('The name that keys and grants use, at most 63 characters.'),
    description: freeText(500).exactOptional().describe('What the type is for, at most 500 characters.'),
    endpoints: z
      .enum(['All', 'Listed', 'Owner', 'Selected'])
      .describe(
        'What the type reaches: All endpoints, the Listed scopes, whatever the Owner has now, or only what is Selected on the key.',
      ),
    scopes: setOf(catalogName(), { min: 1 }).exactOptional().describe('The fixed allow-list of a Listed type, 1 to 200 scopes.'),
    admin: z
      .boolean()
      .default(false)
      .describe('Whether endpoints flagged admin are within reach, given the admin grant of the owner; default false.'),
    transactional: z
      .boolean()
      .default(false)
      .describe('Whether endpoints flagged transactional are within reach; default false.'),
    namespaces: restrictedNamespaces().exactOptional().describe('The namespaces that such keys may live in; default: any.'),
  }),
  [scopesMeanListed],
);

const scope = z.strictObject({
  name: catalogName().describe('The name that keys and grants use, at most 63 characters.'),
  description: freeText(500).exactOptional().describe('What the scope is for, at most 500 characters.'),
  endpoints: atomicList(catalogName(), { min: 1, max: 2000 }).describe('The endpoints in the scope, 1 to 2000.'),
});

/** A segment of `.` or `..` is left out: clients and proxies would resolve it before it ever reached the API. */
const plainCharacters = "A-Za-z0-9_~!$&'()*+,=:@-";
const plainSegment = `(\\.{0,2}[${plainCharacters}][.${plainCharacters}]*|\\.{3}[.${plainCharacters}]*)`;
const pathTemplate = () =>
  text(500).regex(new RegExp(`^(/|(/(${plainSegment}|\\{[A-Za-z][A-Za-z0-9_]{0,62}\\}))+)$`), {
    error:
      'must be a path template such as /v1/apps/{app}/subscribers: segments of plain characters or one {parameter}, none of them "." or ".."',
  });

const endpoint = z.strictObject({
  name: catalogName().describe('The name that scopes, keys and grants use, at most 63 characters.'),
  method: z
    .enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
    .describe('The HTTP method; HEAD follows GET unless it has an entry of its own.'),
  path: pathTemplate().describe(
    'The path template, at most 500 characters; a {parameter} takes one whole segment. Case counts, but a path that leads to another endpoint without regard to case is denied.',
  ),
  perApplication: z.boolean().default(false).describe('Whether it works with one application; default false.'),
  transactional: z.boolean().default(false).describe('Whether only transactional access types reach it; default false.'),
  admin: z
    .boolean()
    .default(false)
    .describe('Whether only admin access types of an owner with the admin grant reach it; default false.'),
  upgrade: z.boolean().default(false).describe('Whether a protocol upgrade is allowed on it; default false.'),
  cost: z.int().min(1).max(1000).default(1).describe('What one request takes from the rate limit, 1 to 1000; default 1.'),
});

const requests = z.strictObject({
  hosts: setOf(
    text(253).regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/, {
      error: 'must be a host name in lower case, without port',
    }),
    { max: 50 },
  )
    .default([])
    .describe('The hosts of the API in lower case, without port, at most 50; a host belongs to one catalog.'),
  application: withRules(
    z.strictObject({
      pathParam: parameterName().exactOptional().describe('The path parameter that names it, at most 63 characters.'),
      header: headerName().exactOptional().describe('The header that names it, at most 100 characters.'),
    }),
    [exactlyOneOf(['pathParam', 'header'])],
  )
    .exactOptional()
    .describe('The one place where a request names its application; default: nowhere.'),
  customer: z
    .strictObject({
      header: headerName().describe('The header that names it, at most 100 characters.'),
      pattern: text(200)
        .regex(/^\^[^\x00\n\r]*\$$/, { error: 'must be a pattern from ^ to $, so that it matches the whole customer id' })
        .default('^(0|[1-9][0-9]*|[a-z][a-z0-9_-]*)$')
        .describe('The anchored pattern of a customer id, at most 200 characters; default ^(0|[1-9][0-9]*|[a-z][a-z0-9_-]*)$.'),
    })
    .exactOptional()
    .describe('Where a request names its customer; default: nowhere.'),
  targetChannels: z
    .strictObject({
      jsonPath: text(200)
        .regex(/^\$(\.[A-Za-z_][A-Za-z0-9_-]*)+$/, { error: 'must be a path of member names such as $.target.channels' })
        .describe('The path of member names to a list in the JSON body, at most 200 characters.'),
    })
    .exactOptional()
    .describe('Where a request names its target channels; default: nowhere.'),
});

const credentials = z.strictObject({
  headers: mapOf(
    z.strictObject({
      name: headerName().describe('The name of the header, at most 100 characters.'),
      scheme: text(30)
        .regex(/^[A-Za-z][A-Za-z0-9-]*$/, { error: 'must be an authentication scheme such as Bearer' })
        .exactOptional()
        .describe('The scheme before the key, at most 30 characters; default: the value is the key alone.'),
    }),
    ['name'],
    { min: 1, max: 8 },
  )
    .default([{ name: 'Authorization', scheme: 'Bearer' }, { name: 'X-API-Key' }])
    .describe('The headers that a key may come in, 1 to 8, never a query parameter; the first one is the delivered header line.'),
  foreignBearer: z
    .enum(['Reject', 'Ignore'])
    .default('Reject')
    .describe(
      'What to do if a request has a bearer token that is not ours in addition to a key: Reject or Ignore; default Reject.',
    ),
});

const policy = z.strictObject({
  defaultExpiry: duration('1s')
    .default('8760h')
    .describe('The lifetime of a key without expiry, as a duration from 1s to 876000h; default 8760h.'),
  maxExpiry: duration('1s')
    .default('17520h')
    .describe('The longest lifetime that a key may ask for, as a duration from 1s to 876000h; default 17520h.'),
  neverExpires: z
    .enum(['Forbidden', 'Allowed'])
    .default('Forbidden')
    .describe('Whether a key may never expire: Forbidden or Allowed; default Forbidden.'),
  expiredStatus: z.literal([401, 403]).default(403).describe('The HTTP status for an expired key: 401 or 403; default 403.'),
  requireContactEmail: z.boolean().default(true).describe('Whether a key needs a contactEmail; default true.'),
  minOverlap: duration()
    .default('5m')
    .describe('The shortest overlap that a key may ask for, as a duration from 0s to 876000h; default 5m.'),
  requireHttps: z.boolean().default(true).describe('Whether a request over plain HTTP is refused; default true.'),
});

/** What a change of an ApiCatalog must not do. */
export const apiCatalogTransitions = [immutable('key', 'every key of the catalog begins with it')];

/** `spec` of an ApiCatalog: one API product. */
export const apiCatalogSpecSchema = withRules(
  z.strictObject({
    key: z
      .strictObject({
        prefix: tokenPart().describe('The first part of every key, 2 to 16 characters.'),
        environment: tokenPart().describe('The second part of every key, 2 to 16 characters.'),
      })
      .describe('What every key of the catalog begins with; immutable.'),
    accessTypes: mapOf(accessType, ['name'], { min: 1, max: 50 }).describe('The access types that keys may have, 1 to 50.'),
    scopes: atomicList(scope, { max: 2000 }).default([]).describe('Named groups of endpoints, at most 2000; default: none.'),
    endpoints: atomicList(endpoint, { max: 2000 }).default([]).describe('The endpoints of the API, at most 2000; default: none.'),
    applications: mapOf(
      z.strictObject({ slug: slug().describe('The slug of the application, at most 63 characters.') }),
      ['slug'],
      { max: 1000 },
    )
      .default([])
      .describe('The tenant applications, at most 1000; default: none.'),
    channels: mapOf(z.strictObject({ slug: slug().describe('The slug of the channel, at most 63 characters.') }), ['slug'], {
      max: 1000,
    })
      .default([])
      .describe('The channels, at most 1000; default: none.'),
    attributes: setOf(attributeName()).default([]).describe('The response attributes, at most 200; default: none.'),
    requests: requests.prefault({}).describe('How requests name what the rules ask for.'),
    credentials: credentials.prefault({}).describe('Where a request carries its key.'),
    policy: policy.prefault({}).describe('What keys of this catalog may ask for.'),
  }),
  [],
  apiCatalogTransitions,
);

/** `status` of an ApiCatalog; only the operator writes it. */
export const apiCatalogStatusSchema = z.strictObject({
  observedGeneration: count().exactOptional().describe('The metadata.generation that the status speaks of.'),
  conditions: conditionList(),
  keys: count().exactOptional().describe('How many ApiKeys name the catalog.'),
  digest: text(100).exactOptional().describe('The digest of the specification that authorizers should hold.'),
});
