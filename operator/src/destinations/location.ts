import { foreignSegment } from '../api/fields.ts';
import { stalled } from '../domain/failure.ts';
import { secretDestinationUid, type Location } from '../domain/key.ts';

/**
 * The grammar of a location segment that a key decides: no server, file system or client library could read it as more than one
 * segment.
 */
export const segmentPattern = /^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/;

/** The same for names that others choose: mounts, and the fixed segments of a template. */
const foreignSegmentPattern = new RegExp(`^${foreignSegment}$`);
const maxPathSegments = 5;

/** What of a KeyDestination decides its locations. */
export interface LocatedDestination {
  readonly metadata: { readonly name: string; readonly uid: string };
  readonly spec: {
    readonly vault?: { readonly mount: string; readonly path: string } | undefined;
    readonly aws?: { readonly name: string } | undefined;
  };
}

/** Whose value is to be placed; `path` is the `deliverTo` entry's own path, which stands for the name. */
export interface LocatedKey {
  readonly namespace: string;
  readonly name: string;
  readonly path?: string | undefined;
}

/**
 * The location of a key in a destination: the destination's template with `{namespace}` and `{name}` put in. Throws
 * `stalled InvalidSpec` when the template or a part of it is no location: nothing unchecked reaches a provider.
 *
 * @example resolveLocation(vault, { namespace: 'payments', name: 'billing' }).path // 'secret/keywright/payments/billing'
 */
export function resolveLocation(destination: LocatedDestination, key: LocatedKey): Location {
  const { vault, aws } = destination.spec;
  const label = `KeyDestination ${destination.metadata.name}`;
  const destinationUid = destination.metadata.uid;
  if (vault !== undefined) {
    return { destinationUid, path: `${checkMount(vault.mount, label)}/${fillTemplate(vault.path, key, label)}` };
  }
  if (aws !== undefined) return { destinationUid, path: fillTemplate(aws.name, key, label) };
  throw stalled('InvalidSpec', `${label} names no provider`);
}

/** The location of a `secret:` target: a Secret of the key's own namespace, or its folder in standalone mode. */
export function secretLocation(namespace: string, secretName: string): Location {
  const path = `${checkSegment(namespace, 'namespace')}/${checkDnsName(secretName)}`;
  return { destinationUid: secretDestinationUid, path };
}

/** Splits `<namespace>/<secret name>`; throws `stalled InvalidSpec` for anything else. */
export function parseSecretLocation(location: Location): { readonly namespace: string; readonly name: string } {
  const [namespace = '', name = '', ...rest] = location.path.split('/');
  if (rest.length > 0) throw stalled('InvalidSpec', 'a Secret location is <namespace>/<secret name>');
  return { namespace: checkSegment(namespace, 'namespace'), name: checkDnsName(name) };
}

/** Splits a path below a mount or account into checked segments. */
export function parseSegments(path: string): readonly string[] {
  return path.split('/').map((segment) => checkForeign(segment, 'location'));
}

/** A Vault mount: one or more segments. */
export function checkMount(mount: string, label: string): string {
  if (mount.split('/').every((segment) => foreignSegmentPattern.test(segment))) return mount;
  throw stalled('InvalidSpec', `${label}: the mount is no path of plain segments`);
}

/**
 * `{namespace}` must be a whole segment and `{name}` a later one: then no tenant can address another's location,
 * whatever names and paths it chooses.
 */
function fillTemplate(template: string, key: LocatedKey, label: string): string {
  const segments = template.split('/');
  const namespaceAt = segments.indexOf('{namespace}');
  const nameAt = segments.indexOf('{name}');
  const placeholders = template.split('{').length - 1;
  if (namespaceAt < 0 || nameAt < namespaceAt || placeholders !== 2) {
    throw stalled('InvalidSpec', `${label}: its template needs {namespace} as a whole segment and {name} as a later one`);
  }
  const names = key.path === undefined ? [key.name] : key.path.split('/');
  if (names.length > maxPathSegments) throw stalled('InvalidSpec', `a path in deliverTo has at most ${maxPathSegments} segments`);
  const filled = segments.flatMap((segment, at) => {
    if (at === namespaceAt) return [checkSegment(key.namespace, label)];
    return at === nameAt ? names.map((name) => checkSegment(name, label)) : [checkForeign(segment, label)];
  });
  return filled.join('/');
}

function checkForeign(segment: string, label: string): string {
  if (foreignSegmentPattern.test(segment)) return segment;
  throw stalled(
    'InvalidSpec',
    `${label}: a segment has 1–63 letters, digits, '.', '_' or '-', and begins and ends with a letter or digit`,
  );
}

function checkSegment(segment: string, label: string): string {
  if (segmentPattern.test(segment)) return segment;
  throw stalled(
    'InvalidSpec',
    `${label}: a segment has 1–63 characters a-z, 0-9, '.', '_' or '-', and begins and ends with a letter or digit`,
  );
}

/** A Secret's name is a DNS subdomain: up to 253 characters, no underscore, no empty label. */
function checkDnsName(name: string): string {
  if (name.length <= 253 && /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(name)) return name;
  throw stalled('InvalidSpec', 'the name of a Secret is a DNS subdomain: at most 253 characters a-z, 0-9, - and .');
}
