import { isIP } from 'node:net';
import * as z from 'zod';
import { durationPattern, durationSecondsCel, parseDurationMs } from '../domain/duration.ts';
import { withRules } from './rule.ts';

/** The longest duration that a manifest may ask for: 100 years. Longer ones overflow Go's and our own arithmetic. */
const longestHours = 876_000;
const longestMs = longestHours * 3_600_000;

/** The names of our kinds' objects: used as label values and as segments of a location, hence at most 63 characters. */
export const objectNamePattern = '^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$';
/** The name of a namespace. */
export const namespacePattern = '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$';
/** Any text without NUL: see {@link freeText}. */
export const freeTextPattern = '^[^\\x00]*$';
const slugPattern = '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$';
const catalogNamePattern = '^[a-z0-9]([a-z0-9._:-]{0,61}[a-z0-9])?$';
const attributePattern = '^[A-Za-z][A-Za-z0-9_.-]{0,99}$';
const accessTypePattern = '^[A-Z][A-Za-z0-9]{0,62}$';
const segment = '[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?';
/** One segment of a name that others make. */
export const foreignSegment = '[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?';
const emailPattern =
  "^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+$";
const instantPattern =
  '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$';

/** A text that must match a pattern; `says` is the message of a mismatch and reads on after the field's name. */
function patterned(pattern: string, maxLength: number, says: string) {
  return z
    .string()
    .min(1)
    .max(maxLength)
    .regex(new RegExp(pattern), { error: `must be ${says}` });
}

/** A text in one piece, of characters that the caller limits. */
export function text(maxLength: number) {
  return z.string().min(1).max(maxLength);
}

/** Free text: anything but NUL, which PostgreSQL cannot store: one NUL in a field would block every change of its object. */
export function freeText(maxLength: number) {
  return text(maxLength).regex(new RegExp(freeTextPattern), { error: 'must be text without the NUL character' });
}

/** The name of a Kubernetes object that we refer to. */
export function objectName() {
  return patterned(
    objectNamePattern,
    63,
    'an object name: a-z, 0-9, "-" and ".", at most 63 characters, a letter or digit at the ends and beside each "."',
  );
}

/** Whether `*` is a value too: all that the catalog lists now. */
type Wildcard = 'orAll';

/** A name by its pattern, or, in a grant, `*`. */
function named(pattern: string, maxLength: number, says: string, wildcard?: Wildcard) {
  if (wildcard === undefined) return patterned(pattern, maxLength, says);
  return patterned(`^(\\*|${pattern.slice(1, -1)})$`, maxLength, `${says}, or "*" for all`);
}

/** The slug of an application or channel. */
export function slug(wildcard?: Wildcard) {
  return named(slugPattern, 63, 'a slug: a-z, 0-9 and "-", at most 63 characters, a letter or digit at both ends', wildcard);
}

/** The name of a scope or endpoint. */
export function catalogName(wildcard?: Wildcard) {
  return named(
    catalogNamePattern,
    63,
    'a name of a-z, 0-9, ".", "_", ":" and "-", at most 63 characters, a letter or digit at both ends',
    wildcard,
  );
}

/** The name of a response attribute. */
export function attributeName(wildcard?: Wildcard) {
  return named(
    attributePattern,
    100,
    'an attribute: a letter, then letters, digits, "_", "." and "-", at most 100 characters',
    wildcard,
  );
}

/** The name of an access type. */
export function accessTypeName(wildcard?: Wildcard) {
  return named(
    accessTypePattern,
    63,
    'an access type: a capital letter, then letters and digits, at most 63 characters',
    wildcard,
  );
}

/** An e-mail address that a notice can be sent to. */
export function email() {
  return patterned(emailPattern, 254, 'an e-mail address such as team@example.com');
}

/** A resolved part of a location: `count` segments at most, none of which can climb out. */
export function locationPath(count: number) {
  return patterned(
    `^${segment}(/${segment}){0,${count - 1}}$`,
    count * 64,
    `1 to ${count} segments of a-z, 0-9, ".", "_" and "-" joined by "/", each with a letter or digit at both ends`,
  );
}

/** The same for names that others choose, which may have capitals: mounts, namespaces, folders of a server. */
export function foreignPath(count: number) {
  return patterned(
    `^${foreignSegment}(/${foreignSegment}){0,${count - 1}}$`,
    count * 64,
    `1 to ${count} segments of letters, digits, ".", "_" and "-" joined by "/", each with a letter or digit at both ends`,
  );
}

/** The template of a location: `{namespace}` and `{name}` are whole segments, in that order. */
export function locationTemplate() {
  return patterned(
    `^(${foreignSegment}/){0,5}\\{namespace\\}/(${foreignSegment}/){0,5}\\{name\\}(/${foreignSegment}){0,5}$`,
    512,
    'segments joined by "/", with {namespace} and after it {name} as whole segments, such as keywright/{namespace}/{name}',
  );
}

const instantForm = 'must be an instant such as 2027-01-31T00:00:00Z';

/** An RFC 3339 instant. */
export function instant() {
  return z
    .string()
    .min(20, { error: instantForm })
    .max(40)
    .regex(new RegExp(instantPattern), { error: instantForm })
    .refine(isCalendarInstant, { error: 'must be an instant that exists in the calendar' })
    .meta({ format: 'date-time' });
}

/** A day that its month does not have is refused by the API server's `date-time`; `Date.parse` would roll it over. */
function isCalendarInstant(value: string): boolean {
  const [year = 0, month = 0, day = 0] = value.slice(0, 10).split('-').map(Number);
  return new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day;
}

/** A duration (`90d`, `1h30m`): from `least` (default 0 s) to `most` (default 100 years). */
export function duration(least = '0s', most = `${longestHours}h`) {
  const leastMs = parseDurationMs(least) ?? 0;
  const mostMs = parseDurationMs(most) ?? longestMs;
  const shape = z
    .string()
    .min(2)
    .max(20)
    .regex(new RegExp(durationPattern), { error: 'must be a duration such as 90d, 1h30m or 45s' });
  return withRules(shape, [
    {
      cel: `[${durationSecondsCel}].all(s, s >= ${leastMs / 1_000} && s <= ${mostMs / 1_000})`,
      message: `must be a duration from ${least} to ${most}`,
      holds: (self) => {
        const ms = parseDurationMs(self);
        return ms !== undefined && ms >= leastMs && ms <= mostMs;
      },
    },
  ]);
}

/** A network in CIDR notation, IPv4 or IPv6. */
export function cidr() {
  const shape = z
    .string()
    .min(4)
    .max(50)
    .regex(/^[0-9a-fA-F:.]{2,45}\/(0|[1-9][0-9]{0,2})$/, { error: 'must be a network such as 10.20.0.0/16 or 2001:db8::/32' });
  return withRules(shape, [
    { cel: 'isCIDR(self)', message: 'must be a network such as 10.20.0.0/16 or 2001:db8::/32', holds: isCidr },
  ]);
}

/** IPv4-mapped IPv6 addresses are refused, as in CEL's `isCIDR`: one network has one spelling. */
function isCidr(value: string): boolean {
  const [address = '', bits = ''] = value.split('/');
  const family = isIP(address);
  if (family === 6 && address.includes('.')) return false;
  return family !== 0 && Number(bits) <= (family === 4 ? 32 : 128);
}

/** A list whose order and repetition mean nothing; the API server refuses repeated entries. */
export function setOf<S extends z.ZodType<string>>(item: S, bounds: { readonly min?: number; readonly max?: number } = {}) {
  return z
    .array(item)
    .min(bounds.min ?? 0)
    .max(bounds.max ?? 200)
    .refine((items) => new Set(items).size === items.length, { error: 'must not name anything twice' })
    .meta({ 'x-kubernetes-list-type': 'set' });
}

/** A list of objects told apart by `keys`: server-side apply merges it entry by entry. */
export function mapOf<S extends z.ZodType<Readonly<Record<string, unknown>>>>(
  item: S,
  keys: readonly (keyof z.output<S> & string)[],
  bounds: { readonly min?: number; readonly max: number },
) {
  const identity = (entry: z.output<S>) => JSON.stringify(keys.map((key) => (entry as Readonly<Record<string, unknown>>)[key]));
  return z
    .array(item)
    .min(bounds.min ?? 0)
    .max(bounds.max)
    .refine((entries) => new Set(entries.map(identity)).size === entries.length, {
      error: `must not hold two entries with the same ${keys.join(' and ')}`,
    })
    .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [...keys] });
}

/** A long list that is replaced as a whole. */
export function atomicList<S extends z.ZodType>(item: S, bounds: { readonly min?: number; readonly max: number }) {
  return z
    .array(item)
    .min(bounds.min ?? 0)
    .max(bounds.max)
    .meta({ 'x-kubernetes-list-type': 'atomic' });
}

/** A count that only the operator writes. */
export function count() {
  return z.int().min(0).max(Number.MAX_SAFE_INTEGER);
}

/** An instant that only the operator writes. */
export function writtenInstant() {
  return z.string().min(20).max(40).meta({ format: 'date-time' });
}
