import * as z from 'zod';
import { conditionList } from './conditions.ts';
import {
  accessTypeName,
  attributeName,
  catalogName,
  cidr,
  count,
  duration,
  email,
  freeText,
  instant,
  locationPath,
  mapOf,
  objectName,
  setOf,
  slug,
  text,
  writtenInstant,
} from './fields.ts';
import { withRules } from './rule.ts';
import { distinctTargets, exactlyOneOf, immutable, pathNeedsDestination, revokedStays } from './rules.ts';

const expiry = withRules(
  z.strictObject({
    after: duration('1s')
      .exactOptional()
      .describe('How long each version lives, as a duration from 1s to 876000h; an edit counts from the next version.'),
    at: instant().exactOptional().describe('When every version ends, as an RFC 3339 instant; an edit counts at once.'),
    never: z.literal(true).exactOptional().describe('true = no version expires; the catalog may forbid it.'),
  }),
  [exactlyOneOf(['after', 'at', 'never'])],
);

const rotation = z.strictObject({
  every: duration('1s')
    .exactOptional()
    .describe(
      'How long after its activation a version is replaced, as a duration from 1s to 876000h; default: at 2/3 of the lifetime.',
    ),
  beforeExpiry: duration('1s')
    .exactOptional()
    .describe(
      'How long before its expiry a version is replaced, as a duration from 1s to 876000h; with every, the earlier one counts.',
    ),
  onExpiry: z
    .enum(['Rotate', 'Expire'])
    .default('Rotate')
    .describe(
      'What follows when nothing lives because of expiry: Rotate mints anew, Expire mints nothing more until the spec changes or a rotation is asked for; default Rotate.',
    ),
  overlap: duration()
    .default('24h')
    .describe('How long the old and the new version are both valid at least, as a duration from 0s to 876000h; default 24h.'),
  retireOldKey: z
    .enum(['WhenUnused', 'AfterOverlap'])
    .default('WhenUnused')
    .describe(
      'When the old version ends: WhenUnused waits until it is no longer seen, AfterOverlap does not; default WhenUnused.',
    ),
  quietPeriod: duration()
    .default('10m')
    .describe('How long the old version must be unseen to count as unused, as a duration from 0s to 876000h; default 10m.'),
  maxOverlap: duration()
    .default('168h')
    .describe(
      'When the old version ends at the latest, counted from the activation of the new one, as a duration from 0s to 876000h; default 168h.',
    ),
  windows: z
    .array(
      z.strictObject({
        schedule: text(100)
          .regex(/^[0-9A-Za-z*,/#?LW-]+( +[0-9A-Za-z*,/#?LW-]+){4}$/, {
            error: 'must be a cron schedule of five fields such as 0 2 * * 6',
          })
          .describe('When the window opens, as a cron schedule of five fields, at most 100 characters.'),
        duration: duration('1m', '168h').describe('How long it stays open, as a duration from 1m to 168h.'),
        timezone: text(64)
          .regex(/^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+){0,2}$/, {
            error: 'must be an IANA time zone such as Europe/Berlin',
          })
          .default('UTC')
          .describe('The IANA time zone of the schedule, at most 64 characters; default UTC.'),
      }),
    )
    .min(1)
    .max(8)
    .meta({ 'x-kubernetes-list-type': 'atomic' })
    .exactOptional()
    .describe('When a planned rotation may begin, 1 to 8 windows; default: at any time.'),
});

const target = withRules(
  z.strictObject({
    name: slug().describe('The name of the entry within this ApiKey, at most 63 characters.'),
    destination: objectName().exactOptional().describe('The KeyDestination to deliver to, at most 63 characters.'),
    path: locationPath(5)
      .exactOptional()
      .describe("What replaces {name} in the destination's template, 1 to 5 segments; default: the name of the ApiKey."),
    secret: z
      .strictObject({ name: objectName().describe('The name of the Secret, at most 63 characters.') })
      .exactOptional()
      .describe('A Kubernetes Secret in the namespace of the ApiKey; it needs no KeyDestination.'),
  }),
  [exactlyOneOf(['destination', 'secret']), pathNeedsDestination],
);

const consumer = z.strictObject({
  kind: z
    .enum(['Deployment', 'StatefulSet', 'DaemonSet'])
    .describe('The kind of the workload: Deployment, StatefulSet or DaemonSet.'),
  name: objectName().describe('The name of the workload in the namespace of the ApiKey, at most 63 characters.'),
  restart: z.boolean().default(false).describe('Whether the workload is restarted after each activation; default false.'),
  restartAfter: duration('0s', '24h')
    .default('0s')
    .describe('How long after the activation it is restarted, as a duration from 0s to 24h; default 0s.'),
});

/** Why a key was revoked: words of RFC 5280, section 5.3.1, as far as they fit a key. */
export const revocationReasons = [
  'Unspecified',
  'KeyCompromise',
  'Superseded',
  'CessationOfOperation',
  'PrivilegeWithdrawn',
] as const;

const selections = {
  scopes: setOf(catalogName(), { min: 1 })
    .exactOptional()
    .describe('Scopes of the catalog that the key is narrowed to, 1 to 200; omitted = none for a type that selects, else all.'),
  endpoints: setOf(catalogName(), { min: 1 })
    .exactOptional()
    .describe('Single endpoints besides the scopes, 1 to 200; omitted = as for scopes.'),
  applications: setOf(slug(), { min: 1 })
    .exactOptional()
    .describe(
      'Tenant applications that the key may name, 1 to 200; omitted = all; with some, only endpoints that work per application remain.',
    ),
  channels: setOf(slug(), { min: 1 }).exactOptional().describe('Channels that the key may send to, 1 to 200; omitted = all.'),
  customerChannels: mapOf(
    z.strictObject({
      customer: freeText(64).describe('The customer id, at most 64 characters.'),
      channels: setOf(slug(), { min: 1, max: 50 }).describe('The channels for that customer, 1 to 50.'),
    }),
    ['customer'],
    { min: 1, max: 200 },
  )
    .exactOptional()
    .describe('Channels per customer id, 1 to 200 entries; a customer without an entry has the channels of the key.'),
  attributes: setOf(attributeName(), { min: 1 })
    .exactOptional()
    .describe('Response attributes that the key may see, 1 to 200; omitted = all.'),
};

const specShape = z.strictObject({
  displayName: freeText(100).describe('The name that people know the key by, 1 to 100 characters.'),
  purpose: freeText(500).exactOptional().describe('What the key is for, at most 500 characters.'),
  catalog: objectName().describe('The ApiCatalog that the key opens, at most 63 characters; immutable.'),
  owner: objectName().describe(
    'The KeyOwner whose rights are the ceiling, at most 63 characters; immutable: another owner is another key.',
  ),
  holder: z
    .strictObject({
      organization: freeText(200).exactOptional().describe('The organization of the holder, at most 200 characters.'),
      name: freeText(200).exactOptional().describe('The name of the holder, at most 200 characters.'),
    })
    .exactOptional()
    .describe('The third party that holds the key, if it is not the owner.'),
  contactEmail: email()
    .exactOptional()
    .describe('The e-mail address that notices name, at most 254 characters; needed unless the catalog says otherwise.'),
  clientApplication: slug()
    .exactOptional()
    .describe('The application that uses the key, at most 63 characters; one key per application.'),
  accessType: accessTypeName().describe('The access type, by a name from the catalog, at most 63 characters.'),
  ...selections,
  expiry: expiry.exactOptional().describe('When the key expires: after, at or never; default: defaultExpiry of the catalog.'),
  rotation: rotation.prefault({}).describe('When and how versions are replaced.'),
  rateLimit: z
    .strictObject({
      requests: z.int().min(1).max(1_000_000_000).describe('Requests per period, 1 to 1000000000.'),
      per: duration('1s', '24h').describe('The period, as a duration from 1s to 24h.'),
    })
    .exactOptional()
    .describe('One limit for the ApiKey, shared by its versions; default: none.'),
  allowedSources: setOf(cidr(), { min: 1, max: 50 })
    .exactOptional()
    .describe('Networks in CIDR notation that requests may come from, 1 to 50; default: any.'),
  deliverTo: mapOf(target, ['name'], { min: 1, max: 8 }).describe('Where the value is delivered, 1 to 8 entries.'),
  consumers: mapOf(consumer, ['kind', 'name'], { max: 8 }).exactOptional().describe('Workloads that use the value, at most 8.'),
  suspend: z
    .boolean()
    .default(false)
    .describe('true = every request is refused with key_suspended until it is false again; default false.'),
  revoked: z
    .strictObject({
      reason: z
        .enum(revocationReasons)
        .default('Unspecified')
        .describe(
          'Why: Unspecified, KeyCompromise, Superseded, CessationOfOperation or PrivilegeWithdrawn; default Unspecified.',
        ),
    })
    .exactOptional()
    .describe('Revokes the key for ever; cannot be removed.'),
});

/** The members that say how a key goes on: when its versions are replaced, and where they are delivered. */
export const termsSpecSchema = specShape.pick({
  contactEmail: true,
  expiry: true,
  rotation: true,
  deliverTo: true,
  consumers: true,
});

/** What a change of an ApiKey must not do. */
export const apiKeyTransitions = [
  immutable('catalog', 'to have another catalog, delete this ApiKey, which ends its key, and apply it again'),
  immutable('owner', 'to have another owner, delete this ApiKey, which ends its key, and apply it again'),
  revokedStays,
];

/** `spec` of an ApiKey. */
export const apiKeySpecSchema = withRules(specShape, [distinctTargets], apiKeyTransitions);

const keyId = () =>
  z
    .string()
    .min(12)
    .max(12)
    .regex(/^[0-9A-Za-z]{12}$/);

/** `All`, or the sorted list. The CRD keeps it as it is: a structural schema cannot say "a text or a list". */
function effectiveSet() {
  return z
    .union([z.literal('All'), z.array(z.string().max(100)).max(2000)])
    .meta({ 'x-kubernetes-preserve-unknown-fields': true })
    .exactOptional();
}

/** As long as Kubernetes lets all annotations of an object be: a request must never make the status unwritable. */
const annotationValue = () => z.string().max(262_144);

const usedBy = () => setOf(text(200), { max: 20 }).exactOptional().describe('Who was last seen using it, at most 20.');

const currentKey = z.strictObject({
  id: keyId().describe('The key id, 12 characters.'),
  display: text(64).describe('What may be shown of the key: prefix, environment and key id.'),
  epoch: count().describe('The number of the version, from 1.'),
  issuedAt: writtenInstant().describe('When it was minted.'),
  activatedAt: writtenInstant().exactOptional().describe('When every destination was known to hold it.'),
  expiresAt: writtenInstant().exactOptional().describe('When it expires; absent = never.'),
  firstUsedAt: writtenInstant().exactOptional().describe('When it was first seen in use.'),
  lastUsedAt: writtenInstant().exactOptional().describe('When it was last seen in use, at most hourly.'),
  usedBy: usedBy(),
});

const previousKey = z.strictObject({
  id: keyId().describe('The key id, 12 characters.'),
  epoch: count().describe('The number of the version, from 1.'),
  notAfter: writtenInstant().exactOptional().describe('When it ends at the latest.'),
  lastUsedAt: writtenInstant().exactOptional().describe('When it was last seen in use, at most hourly.'),
  usedBy: usedBy(),
});

const deliveryStatus = z.strictObject({
  name: slug().describe('The entry of spec.deliverTo.'),
  location: text(600).describe('Where the value lies.'),
  keyId: keyId().exactOptional().describe('The key id of the value there.'),
  version: text(100).exactOptional().describe("The provider's version of the value there."),
  deliveredAt: writtenInstant().exactOptional().describe('When the last write was confirmed.'),
  reason: text(63).exactOptional().describe('What is wrong there, in one word of the vocabulary; absent = nothing.'),
});

const effective = z.strictObject({
  endpoints: count().exactOptional().describe('How many endpoints the key reaches.'),
  scopes: setOf(catalogName()).exactOptional().describe('The scopes that count.'),
  applications: effectiveSet().describe('The applications that count: All or a list.'),
  channels: effectiveSet().describe('The channels that count: All or a list.'),
  attributes: effectiveSet().describe('The attributes that count: All or a list.'),
  limitedBy: setOf(text(63), { max: 10 }).exactOptional().describe('What narrows the selection: owner, accessType or catalog.'),
});

/** `status` of an ApiKey; only the operator writes it. */
export const apiKeyStatusSchema = z.strictObject({
  observedGeneration: count().exactOptional().describe('The metadata.generation that the status speaks of.'),
  conditions: conditionList(),
  currentKey: currentKey.exactOptional().describe('The version that workloads should use.'),
  previousKey: previousKey.exactOptional().describe('The older version, while both live.'),
  nextRotationAt: writtenInstant().exactOptional().describe('When the next planned rotation is due.'),
  effective: effective.exactOptional().describe('What the key may do: access type, selection and owner together.'),
  destinations: mapOf(deliveryStatus, ['name'], { max: 16 })
    .exactOptional()
    .describe('What each destination holds, those that are being emptied included, at most 16.'),
  binding: z
    .strictObject({ name: objectName().describe('The name of the Secret.') })
    .exactOptional()
    .describe('The Secret for the Service Binding convention, when one is delivered.'),
  lastHandledRotation: annotationValue().exactOptional().describe('The value of the rotate annotation that was handled last.'),
  lastHandledCompromise: annotationValue()
    .exactOptional()
    .describe('The value of the compromised annotation that was handled last.'),
  revokedKeyIds: setOf(keyId(), { max: 16 })
    .exactOptional()
    .describe('The key ids revoked last, at most 16, so that a restored store revokes them again.'),
  failures: z
    .strictObject({
      count: count().describe('Failures in a row.'),
      lastAt: writtenInstant().exactOptional().describe('When the last one was.'),
      retryAt: writtenInstant().exactOptional().describe('When the next try is.'),
    })
    .exactOptional()
    .describe('The back-off, kept here so that a restart does not retry everything at once.'),
});
