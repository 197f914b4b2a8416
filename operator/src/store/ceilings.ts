import { canonicalJson } from '../domain/canonical.ts';
import { neverAccepted } from './port.ts';
import type { AppliedSettings, KeySettings, Proposal } from './port.ts';

/**
 * The maximum number of earlier held changes that each narrow the key differently. With more, the key is suspended, because each
 * makes verdicts slower.
 */
const mostEarlier = 8;

/**
 * The settings that still limit the live versions of an ApiKey after another one takes its place. Settings that were no longer
 * permitted allow nothing there either. An ApiKey that was never accepted leaves none behind: all its versions are of earlier
 * ones, whose settings limit them already, and somebody who creates it again and again adds nothing.
 */
export function ceilingsOf({ settings, proposed, notPermitted, accepted }: AppliedSettings): readonly KeySettings[] {
  if (accepted?.period === neverAccepted.period) return [];
  const last = notPermitted === true ? { ...settings, suspended: true } : settings;
  return [last, ...proposalsOf(proposed)];
}

/** What applies after a take-over: nothing of the new ApiKey but what it narrows, until it is accepted. */
export function takenOver(before: AppliedSettings, proposed: KeySettings): AppliedSettings {
  const { settings, notPermitted, places } = before;
  return {
    settings,
    proposed: narrowedBy(proposed, before),
    ...(notPermitted === undefined ? {} : { notPermitted }),
    accepted: neverAccepted,
    ...(places === undefined ? {} : { places }),
  };
}

/** Every set of settings in a proposal, the latest first: each must allow a request. */
export function proposalsOf(proposed: Proposal | undefined): readonly KeySettings[] {
  if (proposed === undefined) return [];
  const { earlier = [], ...latest } = proposed;
  return [latest, ...earlier];
}

/**
 * The proposal of a held change after earlier held ones: it lifts nothing that they narrowed. Otherwise, an author who writes the
 * ApiKey while no policy checks it could restore what was taken away before.
 */
export function narrowedBy(
  wanted: KeySettings,
  { settings, proposed }: Pick<AppliedSettings, 'settings' | 'proposed'>,
): Proposal {
  const before = proposalsOf(proposed);
  const isSuspended = wanted.suspended || before.some(({ suspended }) => suspended);
  // The suspension is stored only once.
  const isSaidBy = (one: KeySettings, other: KeySettings) => exceeds({ ...other, suspended: true }, one).length === 0;
  const kept = before.filter((one, at) => {
    const others = before.filter((other, place) => place !== at && (place < at || !isSaidBy(other, one)));
    return ![settings, wanted, ...others].some((other) => isSaidBy(one, other));
  });
  const isAsApplied = canonicalJson(wanted) === canonicalJson(settings);
  const [latest = wanted, ...earlier] = isAsApplied ? kept : [wanted, ...kept];
  return {
    ...latest,
    suspended: isSuspended || earlier.length > mostEarlier,
    ...(earlier.length === 0 ? {} : { earlier: earlier.slice(0, mostEarlier) }),
  };
}

/**
 * The members of the spec in which `a` may allow something that `b` does not; none = `b` allows everything that `a` allows. The
 * meaning of an empty selection depends on the access type, so it is within nothing but itself.
 */
export function exceeds(a: KeySettings, b: KeySettings): readonly string[] {
  const [x, y] = [a.selections, b.selections];
  const lists = (['applications', 'channels', 'attributes', 'allowedSources'] as const).filter(
    (name) => !isWithin(x[name], y[name]),
  );
  const isSame = (name: 'scopes' | 'endpoints' | 'customerChannels') =>
    canonicalJson(x[name] ?? null) === canonicalJson(y[name] ?? null);
  const bothSelect = [x, y].every(({ scopes, endpoints }) => scopes !== undefined || endpoints !== undefined);
  const endpoints = (['scopes', 'endpoints'] as const).filter((name) =>
    bothSelect ? !isWithin(x[name] ?? [], y[name] ?? []) : !isSame(name),
  );
  return [
    ...(a.accessType === b.accessType ? [] : ['accessType']),
    ...endpoints,
    ...lists,
    ...(y.customerChannels === undefined || isSame('customerChannels') ? [] : ['customerChannels']),
    ...(b.suspended && !a.suspended ? ['suspend'] : []),
  ];
}

/** Absent = everything. */
function isWithin(names: readonly string[] | undefined, limits: readonly string[] | undefined): boolean {
  if (limits === undefined) return true;
  return names?.every((name) => limits.includes(name)) === true;
}
