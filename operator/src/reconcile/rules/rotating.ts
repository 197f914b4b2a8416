import { consumersToLookAt } from '../../consumers/adoption.ts';
import { act, type Decision } from '../action.ts';
import { consumerStates } from '../consuming.ts';
import { evidenceOf } from '../evidence.ts';
import type { Observed } from '../observed.ts';
import { expiryEdits } from '../rotation/lifespan.ts';
import { outlookOf } from '../rotation/outlook.ts';
import { expiryOf } from '../rotation/policy.ts';
import { isNewestCompromised, lacksOwnVersion, mint, mintAfterCompromise, mintOwnVersion, nextEpoch } from './minting.ts';
import { unseenTargets } from './places.ts';

/**
 * A later end, or none, is a grant: it comes after the rules that check whether the spec is valid and allowed. A version of an
 * earlier ApiKey never gets one, and neither does a key with a held change: an earlier held change may have brought the end
 * nearer.
 */
export function expiryLater(o: Observed): Decision | undefined {
  if (o.acceptance.kind === 'held') return undefined;
  const own = o.store.versions.filter((version) => version.inherited !== true);
  const { later } = expiryEdits(expiryOf(o.resource.spec, o.catalog?.spec.policy), own, o.now);
  return later.length === 0 ? undefined : act({ kind: 'setExpiry', expiries: later });
}

/** A rotation that somebody asked for, or that is due, and that nothing puts off. The old version stays until the new one is everywhere. */
export function rotation(o: Observed): Decision | undefined {
  if (isNewestCompromised(o)) return mintAfterCompromise(o);
  if (lacksOwnVersion(o)) return mintOwnVersion(o);
  const { step } = outlookOf(o, evidenceOf(o));
  if (step.kind !== 'begin') return undefined;
  return unseenTargets(o) ?? mint(o, nextEpoch(o).epoch, step.cause, []);
}

/** Workloads that are to read the active version anew are restarted, once for a version, and followed until they have rolled out. */
export function rollouts(o: Observed): Decision | undefined {
  const states = consumerStates(o);
  const unseen = consumersToLookAt(states, o.now);
  if (unseen.length > 0) return act({ kind: 'lookAtConsumers', at: unseen });
  if (o.admission.kind === 'notInForce') return undefined;
  const waiting = states.flatMap(({ consumer, due, sight }) =>
    due.kind === 'at' && due.at <= o.now && sight.kind === 'notAsked' ? [{ consumer, observed: sight.observed }] : [],
  );
  return waiting.length === 0 ? undefined : act({ kind: 'restartConsumers', at: waiting });
}
