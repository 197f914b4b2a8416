import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { systemClock } from '../../operator/src/domain/time.ts';
import type { Store } from '../../operator/src/store/port.ts';
import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { mintRequest } from '../builders/mintrequest.ts';
import { ownPostgres } from '../harness/parts.ts';
import { session } from '../harness/session.ts';

// A server of its own: all its databases share the lock table.
const own = await ownPostgres();
const accounts = { operator: 'keywright_operator', authorizer: 'keywright_authorizer', stranger: 'pg_read_all_settings' };

function urlOf(account: keyof typeof accounts | undefined, database = 'keys'): string {
  const address = new URL(own.postgres.url);
  address.pathname = `/${database}`;
  if (account !== undefined) [address.username, address.password] = [account, account];
  return address.href;
}

let operator: Store;

beforeAll(async () => {
  await session(own.postgres.url, (client) => client.query('create database keys'));
  await migrate(urlOf(undefined));
  await session(own.postgres.url, async (client) => {
    for (const [account, role] of Object.entries(accounts))
      await client.query(`create role ${account} login password '${account}' connection limit 48 in role ${role}`);
  });
  operator = openPostgresStore({ url: urlOf('operator'), clock: systemClock, log: silentLog });
  await operator.takeFence();
});
afterAll(async () => {
  await operator.close();
  await own.stop();
});

async function issued() {
  const { ref, version, now } = mintRequest();
  expect(await operator.mint(mintRequest({ ref, version, now }))).toBe('done');
  expect(await operator.activate(ref.uid, version.keyId, undefined, now)).toBe('done');
  return ref;
}

const revoke = (uid: string) =>
  operator.revokeAll(uid, { actor: 'operator', revokedReason: 'KeyCompromise', detail: 'a test' }, systemClock.now());

const full = { code: '53200' };

/** Takes all the room without a right to advisory locks: a subtransaction that writes keeps a lock, and so does each around it. */
async function nest(hostile: Client): Promise<void> {
  await hostile.query(`select keywright.report_replica('hostile', 0, 0)`);
  await hostile.query('begin');
  const nested = `${'savepoint s;'.repeat(60_000)} select keywright.sign_off_replica('hostile')`;
  await expect(hostile.query(nested)).rejects.toMatchObject(full);
}

/** The same where everybody may take advisory locks; what a failed statement has released, too. */
async function hoard(hostile: Client): Promise<void> {
  for (const most of [200_000, 1_000, 1_000, 1_000])
    await expect(
      hostile.query(`select pg_advisory_lock((random() * 1e15)::bigint) from generate_series(1, ${String(most)})`),
    ).rejects.toMatchObject(full);
}

describe('a session that leaves no room for locks in the whole server', () => {
  test.each([
    ['authorizer', 'keys', nest],
    ['stranger', 'postgres', hoard],
  ] as const)('is named with its cure: that of the %s in %s', async (account, database, fill) => {
    const ref = await issued();
    await session(urlOf(account, database), async (hostile) => {
      const { rows } = await hostile.query<{ pid: string }>('select pg_backend_pid()::text as pid');
      const pid = rows[0]?.pid ?? '';
      await fill(hostile);
      await expect(session(urlOf(undefined), (client) => client.query('select 1'))).rejects.toMatchObject(full);
      const message = `(53200): most locks are held by pid ${pid} of ${account}; pg_terminate_backend(${pid}) ends it`;
      const failure = { kind: 'waiting', message: expect.stringContaining(message) as string };
      for (const write of [() => revoke(ref.uid), () => operator.beat()]) await expect(write()).rejects.toMatchObject(failure);
      expect((await operator.readKey(ref.uid)).versions).toMatchObject([{ state: 'active' }]);
    });
    expect(await revoke(ref.uid)).toBe('done');
  });
});
