import type { Clock } from '../domain/time.ts';
import { requestsText } from '../reconcile/acceptance.ts';
import type { Resources } from '../resources/port.ts';
import type { Store } from '../store/port.ts';

/** What the acceptances of all keys are worked on with. */
export interface AcceptancesInit {
  readonly resources: Pick<Resources, 'listLive'>;
  readonly store: Pick<Store, 'carryAcceptances'>;
  readonly clock: Clock;
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
