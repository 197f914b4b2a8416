import { Failure, transient } from '../domain/failure.ts';
import type { ConsumerSight } from './adoption.ts';
import type { ConsumerRef, Consumers, RestartOrder } from './port.ts';
import { rolloutOf } from './rollout.ts';
import type { SoughtVersion } from './rollout.ts';

/** Looks at one consumer. A failure is part of the picture: one workload must not hold up its key. */
export async function observeConsumer(
  consumers: Consumers,
  consumer: ConsumerRef,
  sought: SoughtVersion & { readonly namespace: string },
): Promise<ConsumerSight> {
  return sightOf(async () => rolloutOf(await consumers.look(consumer, sought.namespace), sought));
}

/**
 * Restarts one consumer, on the picture that it was decided on, and says what is known of it afterwards: `unseen` asks for
 * another look. The lease is to be checked between that look and this.
 */
export async function restartConsumer(consumers: Consumers, order: RestartOrder): Promise<ConsumerSight> {
  return sightOf(async () => {
    switch (await consumers.restart(order)) {
      case 'patched':
      case 'already':
        return { kind: 'unseen' };
      case 'missing':
        return { kind: 'missing' };
      case 'lost':
        // Not looked at again in the same pass, which could go on like that.
        throw transient('ConflictRetry', 'somebody else changes it at the same time');
    }
  });
}

async function sightOf(see: () => Promise<ConsumerSight>): Promise<ConsumerSight> {
  try {
    return await see();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { kind: 'failed', failure: error };
  }
}
