import { annotations } from '../api/meta.ts';
import type { Reason } from '../domain/reason.ts';
import type { Observed } from './observed.ts';

/**
 * Whether somebody asked, by a new value of the rotate annotation, for a version that is bound to the present owner. Only
 * a value that came after the key had said OwnerReplaced counts: a stale one, or one that nobody remembers handling, must
 * not bring a dead key back.
 */
export function isRebindAsked(o: Observed): boolean {
  const asked = rotateRequest(o);
  return asked !== undefined && wasReplaced(o) && asked !== o.resource.status?.lastHandledRotation;
}

/**
 * `status.lastHandledRotation`: the request that counts as handled. What is there at the first mint, or when the owner is
 * found gone or replaced, is; a later one is when the key is bound again.
 */
export function handledRotation(o: Observed, owner: Reason): string | undefined {
  const asked = rotateRequest(o);
  const known = o.resource.status?.lastHandledRotation;
  // Taking the annotation away forgets it.
  if (asked === undefined) return undefined;
  if (owner === 'OwnerReplaced') return wasReplaced(o) ? known : asked;
  const isFirst = o.resource.status?.currentKey === undefined && o.store.versions.length > 0;
  return owner === 'OwnerNotFound' || wasReplaced(o) || isFirst ? asked : known;
}

function rotateRequest(o: Observed): string | undefined {
  return o.resource.metadata.annotations?.[annotations.rotate];
}

/** The last status said OwnerReplaced. */
function wasReplaced(o: Observed): boolean {
  return o.resource.status?.conditions.some(({ type, reason }) => type === 'OwnerActive' && reason === 'OwnerReplaced') === true;
}
