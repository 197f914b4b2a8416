import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { createAuthorize } from '../../../operator/src/authorize/authorize.ts';
import { lookup } from '../../../operator/src/authorize/lookup.ts';
import type { LookupSources } from '../../../operator/src/authorize/lookup.ts';
import type { AuthRequest } from '../../../operator/src/authorize/request.ts';
import { waiting } from '../../../operator/src/domain/failure.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { mintToken } from '../../../operator/src/keys/mint.ts';
import { PepperRing } from '../../../operator/src/keys/pepper.ts';
import type { KeyRecord } from '../../../operator/src/store/port.ts';
import { silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { createLog } from '../../../operator/src/telemetry/pino.ts';
import { keyRecord, seededBytes, testPeppers } from '../../builders/keyrecord.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

const { record, token } = keyRecord();

function sources(
  find: (keyId: string) => Promise<KeyRecord | undefined>,
): LookupSources & { readonly clock: FakeClock; readonly asked: string[] } {
  const asked: string[] = [];
  const findByKeyId = (keyId: string): Promise<KeyRecord | undefined> => {
    asked.push(keyId);
    return find(keyId);
  };
  return { store: { findByKeyId }, peppers: testPeppers, clock: new FakeClock(), timeoutMs: 2_000, asked };
}

const holding = (): ReturnType<typeof sources> =>
  sources((keyId) => Promise.resolve(keyId === record.version.keyId ? record : undefined));

describe('lookup', () => {
  test('finds the record that the whole token proves', async () => {
    expect(await lookup(token, holding())).toEqual({ kind: 'known', record });
  });

  test('takes no value and an empty one as nothing presented', async () => {
    expect(await lookup(undefined, holding())).toEqual({ kind: 'missing' });
    expect(await lookup(new Plaintext(''), holding())).toEqual({ kind: 'missing' });
  });

  test('refuses what is no token without asking the store', async () => {
    const from = holding();
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1 }), async (text) => {
        expect(await lookup(new Plaintext(text), from)).toEqual({ kind: 'unknown' });
      }),
    );
    expect(await lookup('malformed', from)).toEqual({ kind: 'unknown' });
    expect(from.asked).toEqual([]);
  });

  test('answers an unknown id and a wrong secret alike', async () => {
    const stranger = mintToken({ prefix: 'acme', environment: 'live', random: seededBytes(99) });
    const impostor = keyRecord({ seed: 5 });
    const from = sources(() =>
      Promise.resolve({ ...record, version: { ...record.version, keyId: impostor.record.version.keyId } }),
    );
    expect(await lookup(stranger.token, holding())).toEqual({ kind: 'unknown' });
    expect(await lookup(impostor.token, from)).toEqual({ kind: 'unknown' });
  });

  test('is stale when this process lacks the pepper of the version', async () => {
    const other = PepperRing.parse(
      JSON.stringify({ current: 'later', peppers: { later: Buffer.alloc(32, 2).toString('base64') } }),
    );
    expect(await lookup(token, { ...holding(), peppers: other })).toMatchObject({
      kind: 'stale',
      error: { message: expect.stringContaining('pepper') as unknown },
    });
  });

  test('is stale when the store fails', async () => {
    const error = waiting('StoreUnavailable', 'the database does not answer');
    expect(
      await lookup(
        token,
        sources(() => Promise.reject(error)),
      ),
    ).toEqual({ kind: 'stale', error });
  });

  test('is stale when the store does not answer in time, and leaves no timer behind otherwise', async () => {
    const silent = sources(() => new Promise(() => {}));
    const answer = lookup(token, silent);
    await silent.clock.advance(2_000);
    expect(await answer).toMatchObject({ kind: 'stale', error: { reason: 'StoreUnavailable' } });
    const quick = holding();
    await lookup(token, quick);
    expect(quick.clock.sleepers()).toBe(0);
  });
});

describe('authorize', () => {
  const request: AuthRequest = {
    credential: token,
    catalog: undefined,
    scheme: 'https',
    host: 'api.example.com',
    method: 'GET',
    path: '/',
    application: undefined,
    customer: undefined,
    targetChannels: undefined,
    attributes: undefined,
    sourceIp: undefined,
  };

  test('never logs the presented key, and counts by code only', async () => {
    const lines: string[] = [];
    const log = createLog({ level: 'trace', destination: { write: (line) => void lines.push(line) } });
    const samples: unknown[] = [];
    const leaking = sources(() => Promise.reject(new Error(`no row for ${token.reveal()}`)));
    const verdict = await createAuthorize({ ...leaking, log, metrics: { verified: (sample) => void samples.push(sample) } })(
      request,
    );
    expect(verdict).toEqual({ allowed: false, code: 'authorizer_stale' });
    expect(samples).toEqual([{ code: 'authorizer_stale', durationMs: 0 }]);
    expect(lines).toHaveLength(1);
    expect(lines.join('')).not.toContain(token.reveal());
    expect(lines.join('')).not.toContain('no row');
  });

  test('tells of trouble once in ten seconds, with a count, and when it is over', async () => {
    let healthy = false;
    const failing = sources(() =>
      healthy ? Promise.resolve(record) : Promise.reject(waiting('StoreUnavailable', 'the database does not answer')),
    );
    const lines: string[] = [];
    const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } });
    const authorize = createAuthorize({ ...failing, log, metrics: silentMetrics });
    const told = (): unknown[] => lines.splice(0).map((line) => JSON.parse(line) as unknown);
    for (let asked = 0; asked < 5; asked += 1) await authorize(request);
    expect(told()).toMatchObject([{ level: 'warn', reason: 'StoreUnavailable', count: 1 }]);
    await failing.clock.advance(10_000);
    await authorize(request);
    expect(told()).toMatchObject([{ level: 'warn', count: 6 }]);
    healthy = true;
    await authorize(request);
    await authorize(request);
    expect(told()).toMatchObject([{ level: 'info', event: 'verify answers again', count: 6 }]);
  });
});
