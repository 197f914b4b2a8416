import type { HandledRequests } from '../store/port.ts';
import { isOwnerReplaced, type Observed } from './observed.ts';
import { handledRequests, requestsOf } from './rotation/outlook.ts';
import type { Request } from './rotation/requests.ts';

/**
 * What is to count as handled although nothing was done for it: a request that was taken away is forgotten. One that stands when
 * the owner is first found replaced is stale: it must not bring a dead key back. `undefined` = nothing changes. A request to
 * rotate is forgotten only when its removal is accepted: otherwise, an author could remove it and add it again, and the accepted
 * state itself would count as a new request.
 */
export function requestsToRemember(o: Observed): HandledRequests | undefined {
  const { rotate: asked, compromised } = requestsOf(o);
  const rotate: Request = asked.kind === 'remember' && o.acceptance.kind !== 'accepted' ? { kind: 'none' } : asked;
  const isStale = rotate.kind === 'asked' && isOwnerReplaced(o) && !wasReplaced(o);
  if (rotate.kind !== 'remember' && compromised.kind !== 'remember' && !isStale) return undefined;
  const known = handledRequests(o);
  const next = {
    rotate: rotate.kind === 'remember' || isStale ? rotate.value : known.rotate,
    compromised: compromised.kind === 'remember' ? compromised.value : known.compromised,
  };
  return {
    ...(next.rotate === undefined ? {} : { rotate: next.rotate }),
    ...(next.compromised === undefined ? {} : { compromised: next.compromised }),
  };
}

/** What a new version answers: a rotation that was asked for, whatever it is minted for; and at the first mint all that is there. */
export function answeredByMint(o: Observed): HandledRequests | undefined {
  const { rotate, compromised } = requestsOf(o);
  const rotated = rotate.kind === 'asked' || rotate.kind === 'remember' ? rotate.value : undefined;
  const reported = compromised.kind === 'remember' ? compromised.value : undefined;
  if (rotated === undefined && reported === undefined) return undefined;
  return { ...(rotated === undefined ? {} : { rotate: rotated }), ...(reported === undefined ? {} : { compromised: reported }) };
}

/**
 * Whether somebody asked, by a new value of the rotate annotation, for a version that is bound to the present owner. Only
 * a value that came after the key had said OwnerReplaced counts.
 */
export function isRebindAsked(o: Observed): boolean {
  return requestsOf(o).rotate.kind === 'asked' && wasReplaced(o);
}

/** The last status said OwnerReplaced. */
function wasReplaced(o: Observed): boolean {
  return o.resource.status?.conditions.some(({ type, reason }) => type === 'OwnerActive' && reason === 'OwnerReplaced') === true;
}
