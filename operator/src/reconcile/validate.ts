import { durationMs } from '../domain/duration.ts';
import { formatInstant, parseInstant, type Instant } from '../domain/time.ts';
import { selectsNamespace } from '../domain/namespaces.ts';
import { holdsAccessType } from '../domain/grants.ts';
import type { Blocker, Observed } from './observed.ts';
import { endingBy, expiryOf, expiryOfMinted, type Expiry } from './rotation/policy.ts';
import { windowFault } from './rotation/windows.ts';
import { selectionFault } from './selections.ts';
import { notHeldMessage } from './verdict.ts';

function invalid(message: string): Blocker {
  return { kind: 'stalled', reason: 'InvalidSpec', message };
}

/**
 * What one object's schema cannot say: the spec against its catalog and against itself. The first fault, with its field
 * and value; `undefined` = valid. Callers have made sure that the catalog is there.
 */
export function validate(o: Observed): Blocker | undefined {
  return validateAccess(o) ?? validateSelections(o) ?? validateExpiry(o) ?? validateRotation(o);
}

function validateAccess(o: Observed): Blocker | undefined {
  const { spec } = o.resource;
  const types = o.catalog?.spec.accessTypes ?? [];
  if (!types.some((type) => type.name === spec.accessType)) {
    const known = types.map((type) => type.name).join(', ');
    return invalid(`spec.accessType: catalog ${spec.catalog} has no access type ${spec.accessType}; it has ${known}`);
  }
  if (spec.contactEmail === undefined && o.catalog?.spec.policy.requireContactEmail === true) {
    return invalid(`spec.contactEmail: catalog ${spec.catalog} requires one`);
  }
  return undefined;
}

function validateSelections(o: Observed): Blocker | undefined {
  const fault = o.index === undefined ? undefined : selectionFault(o.index, o.resource.spec);
  return fault === undefined ? undefined : invalid(fault);
}

function validateExpiry(o: Observed): Blocker | undefined {
  const { spec } = o.resource;
  const policy = o.catalog?.spec.policy;
  if (policy === undefined || spec.expiry === undefined) return undefined;
  if (spec.expiry.never === true && policy.neverExpires === 'Forbidden') {
    return invalid(`spec.expiry.never: catalog ${spec.catalog} forbids keys that never expire`);
  }
  const longestMs = durationMs(policy.maxExpiry);
  if (spec.expiry.after !== undefined && durationMs(spec.expiry.after) > longestMs) {
    return invalid(
      `spec.expiry.after: ${spec.expiry.after} is longer than ${policy.maxExpiry}, the most that catalog ${spec.catalog} allows`,
    );
  }
  const at = spec.expiry.at === undefined ? undefined : parseInstant(spec.expiry.at);
  const from = parseInstant(o.resource.metadata.creationTimestamp ?? '') ?? o.now;
  if (at !== undefined && at > from + longestMs) {
    return invalid(
      `spec.expiry.at: ${formatInstant(at)} is more than ${policy.maxExpiry} after creation, the most that catalog ${spec.catalog} allows`,
    );
  }
  return undefined;
}

function validateRotation(o: Observed): Blocker | undefined {
  const { rotation } = o.resource.spec;
  const overlapMs = durationMs(rotation.overlap);
  if (overlapMs > durationMs(rotation.maxOverlap)) {
    return invalid(`spec.rotation.overlap: ${rotation.overlap} is longer than spec.rotation.maxOverlap, ${rotation.maxOverlap}`);
  }
  const least = o.catalog?.spec.policy.minOverlap;
  if (least !== undefined && overlapMs < durationMs(least)) {
    return invalid(
      `spec.rotation.overlap: ${rotation.overlap} is shorter than ${least}, the least that catalog ${o.resource.spec.catalog} allows`,
    );
  }
  const lifetimeMs = lifetimeOf(o);
  if (lifetimeMs !== undefined && lifetimeMs < 2 * overlapMs) {
    return invalid(
      `spec.rotation.overlap: ${rotation.overlap} is more than half of the key's lifetime; shorten it or lengthen spec.expiry.after`,
    );
  }
  const { beforeExpiry } = rotation;
  if (lifetimeMs !== undefined && beforeExpiry !== undefined && durationMs(beforeExpiry) >= lifetimeMs) {
    return invalid(
      `spec.rotation.beforeExpiry: ${beforeExpiry} is the key's whole lifetime or more; it would rotate without end`,
    );
  }
  const fault = windowFault(rotation.windows, o.now);
  return fault === undefined ? undefined : invalid(`spec.rotation.windows[${fault.index}].${fault.member}: ${fault.message}`);
}

/** Whether the owner and the type may be named from this namespace, and the owner may hold the type. */
export function validatePermission(o: Observed): Blocker | undefined {
  const { owner, accessType, catalog } = o.resource.spec;
  const fault = namespaceFault(o, o.resource.spec);
  if (fault !== undefined) return fault;
  if (o.owner !== undefined && !holdsAccessType(o.rules, accessType))
    return notPermitted(notHeldMessage(owner, accessType, catalog));
  return undefined;
}

/**
 * Whether keys of this owner, and of this access type, may live in the namespace as it is now. A missing object restricts
 * nothing.
 */
export function namespaceFault(o: Observed, { accessType }: { readonly accessType: string }): Blocker | undefined {
  const namespace = { name: o.ref.namespace, labels: o.namespaceLabels };
  const { owner, catalog } = o.resource.spec;
  if (o.owner !== undefined && !selectsNamespace(o.owner.spec.allowedNamespaces, namespace))
    return notPermitted(`spec.owner: KeyOwner ${owner} does not allow keys in namespace ${namespace.name}`);
  const type = o.catalog?.spec.accessTypes.find((one) => one.name === accessType);
  if (type?.namespaces !== undefined && !selectsNamespace(type.namespaces, namespace))
    return notPermitted(
      `spec.accessType: ${type.name} keys of catalog ${catalog} are not allowed in namespace ${namespace.name}`,
    );
  return undefined;
}

function notPermitted(message: string): Blocker {
  return { kind: 'stalled', reason: 'NotPermitted', message };
}

/** A version's lifetime in milliseconds when it counts from the mint; `undefined` for `at` and `never`. */
export function lifetimeOf(o: Observed): number | undefined {
  const expiry = expiryOf(o.resource.spec, o.catalog?.spec.policy);
  return expiry?.kind === 'after' ? expiry.lifetimeMs : undefined;
}

/** The end that counts: no later than a held change says. */
export function expiryNow(o: Observed): Expiry | undefined {
  return endingBy(expiryOf(o.resource.spec, o.catalog?.spec.policy), o.held?.endsAt, o.now);
}

/** When a version that is minted now expires; `undefined` = never. */
export function expiryOfNext(o: Observed): Instant | undefined {
  return expiryOfMinted(expiryNow(o), o.now);
}
