import { hold, type Decision } from '../action.ts';
import { isRebindAsked } from '../handled.ts';
import { isOwnerReplaced, openTargets, pendingVersion, type Observed } from '../observed.ts';
import { replacedMessage } from '../verdict.ts';
import { endOfKey, firstStuck, mint, nextEpoch } from './minting.ts';
import { unseenTargets } from './places.ts';

/**
 * A key is bound to the owner by its UID. When that owner was deleted and another one has its name, nothing is minted,
 * copied or repaired, until a rotate request asks for a version that is bound to the present owner; its rights were
 * checked by the rules before this one. The older version stays dead, because its owner is gone.
 */
export function ownerBinding(o: Observed): Decision | undefined {
  if (!isOwnerReplaced(o)) return undefined;
  if (!isRebindAsked(o)) return hold('stalled', 'OwnerReplaced', replacedMessage(o.resource.spec.owner));
  const blocked = endOfKey(o) ?? unseenTargets(o) ?? firstStuck(o, openTargets(o));
  if (blocked !== undefined) return blocked;
  // A pending attempt of the dead owner is of no use to anybody: the new one takes its place.
  const pending = pendingVersion(o);
  if (pending !== undefined) return mint(o, pending.epoch, 'OwnerRebound', [pending.keyId]);
  return mint(o, nextEpoch(o).epoch, 'OwnerRebound', []);
}
