import type { Clock } from '../domain/time.ts';
import { acceptedBefore, nothingAccepted, requestsText } from '../reconcile/acceptance.ts';
import type { Resources } from '../resources/port.ts';
import type { Acceptance, AcceptedState, KeyRow, Store } from '../store/port.ts';

/** What the acceptances of all keys are worked on with. */
export interface AcceptancesInit {
  readonly resources: Pick<Resources, 'list' | 'listLive' | 'readLive'>;
  readonly store: Pick<Store, 'keysWithoutAcceptance' | 'fillAcceptances' | 'carryAcceptances'>;
  readonly clock: Clock;
}

/** How many ApiKeys are read at a time. */
const atOnce = 10;

/**
 * After an upgrade from a program that kept no acceptances, each key gets one, once: see {@link acceptedBefore}. Call it before the
 * first pass of this program. Keys that it does not watch stay as they are.
 */
export async function acceptEarlierKeys({ resources, store, clock }: AcceptancesInit): Promise<void> {
  const watched = new Set(resources.list('ApiKey').map(({ uid }) => uid));
  const keys = (await store.keysWithoutAcceptance()).filter(({ ref }) => watched.has(ref.uid));
  const accepted: (Acceptance & AcceptedState)[] = [];
  for (let from = 0; from < keys.length; from += atOnce) {
    const part = keys.slice(from, from + atOnce);
    accepted.push(...(await Promise.all(part.map((key) => acceptanceOfEarlier(resources, key)))));
  }
  await store.fillAcceptances(accepted, clock.now());
}

async function acceptanceOfEarlier(resources: Pick<Resources, 'readLive'>, key: KeyRow): Promise<Acceptance & AcceptedState> {
  const resource = await resources.readLive('ApiKey', key.ref);
  const isSame = resource?.metadata.uid === key.ref.uid;
  return { uid: key.ref.uid, ...(isSame ? acceptedBefore(resource, key) : nothingAccepted) };
}

/**
 * Carries the acceptances of keys that have not changed since into a period that has begun: whatever is written from now on, the
 * policy of this period checks. Changed keys stay behind.
 */
export async function carryOver({ resources, store, clock }: AcceptancesInit, period: string): Promise<void> {
  const live = await resources.listLive('ApiKey');
  const states = live.map((metadata) => {
    return { uid: metadata.uid, generation: metadata.generation ?? 0, requests: requestsText({ metadata }) };
  });
  await store.carryAcceptances(period, states, clock.now());
}
