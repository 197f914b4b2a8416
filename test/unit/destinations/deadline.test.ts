import { describe, expect, it } from 'vitest';
import { boundBy, withDeadline } from '../../../operator/src/destinations/deadline.ts';
import { unanswered } from '../../../operator/src/domain/failure.ts';
import { FakeDestination } from '../../harness/fakes/destination.ts';

const hour = 3_600_000;
const location = { destinationUid: 'vault-uid', path: 'secret/a' };

/** A request that nobody answers, with a deadline of an hour of its own. */
function silent(): Promise<never> {
  const signal = boundBy(hour);
  return new Promise((_resolve, reject) => {
    const end = (): void => {
      reject(unanswered('DestinationUnavailable', 'no answer'));
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end);
  });
}

describe('the deadline of a call to a destination', () => {
  it('is shared by all requests and retries that the call makes', async () => {
    let requests = 0;
    const destination = new FakeDestination();
    destination.readMark = async () => {
      for (; requests < 3; requests += 1) await silent().catch(() => undefined);
      return silent();
    };
    await expect(withDeadline(destination, 10).readMark(location)).rejects.toMatchObject({ unanswered: true });
    expect(requests).toBe(3);
  });

  it('is no deadline of requests that belong to no call', () => {
    expect(boundBy(hour).aborted).toBe(false);
  });
});
