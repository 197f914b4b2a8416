import { describe, expect, it } from 'vitest';
import { createAuthorize } from '../../../operator/src/authorize/authorize.ts';
import type { Instant } from '../../../operator/src/domain/time.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { authRequest } from '../../builders/authrequest.ts';
import { catalogRow } from '../../builders/clusterrows.ts';
import { keyRecord, testPeppers } from '../../builders/keyrecord.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const day = 86_400_000;
const now = Date.parse('2026-06-01T00:00:00Z');
const catalog = catalogRow({ uid: 'catalog-1' });

/** What a key that expires at `expiresAt` is answered, on a machine whose own clock is `offMs` wrong. */
async function verdict(expiresAt: Instant, offMs: number, verifyNow: () => Instant | undefined): Promise<string> {
  const { record, token } = keyRecord({ catalog, version: { expiresAt } });
  const store = {
    findByKeyIds: () => Promise.resolve(new Map([[record.version.keyId, record]])),
    findCatalogs: () => Promise.resolve([catalog]),
  };
  const clock = new FakeClock(now + offMs);
  const authorize = createAuthorize({
    ...{ store, peppers: testPeppers, clock, log: silentLog, metrics: silentMetrics, verifyNow },
  });
  const given = await authorize(authRequest({ credential: token }));
  return given.allowed ? 'allowed' : given.code;
}

describe('the time of a verdict', () => {
  it('is the database’s: a machine that is days ahead expires nothing early, one that is days behind nothing late', async () => {
    expect(await verdict(now + 1_000, 9 * day, () => now)).toBe('allowed');
    expect(await verdict(now, -9 * day, () => now)).toBe('key_expired');
  });

  it('is waited for: while it is not known nothing is allowed', async () => {
    expect(await verdict(now + day, 0, () => undefined)).toBe('authorizer_stale');
  });
});
