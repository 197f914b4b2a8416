import { randomBytes } from 'node:crypto';

import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { systemClock } from '../../operator/src/domain/time.ts';
import type { Store } from '../../operator/src/store/port.ts';
import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { storeLimits } from '../../operator/src/store/postgres/pool.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { keySettings, mintRequest, uniqueRef } from '../builders/mintrequest.ts';
import { usePostgres } from '../harness/parts.ts';
import { session } from '../harness/session.ts';

const postgres = await usePostgres();
const { url } = await postgres.createDatabase();
const suffix = randomBytes(6).toString('hex');
const accounts = ['operator', 'authorizer', 'responder'] as const;
const accountOf = (role: (typeof accounts)[number]): string => `${role}_${suffix}`;
const day = 24 * 3_600_000;

function urlOf(role: (typeof accounts)[number]): string {
  const address = new URL(url);
  address.username = accountOf(role);
  address.password = accountOf(role);
  return address.href;
}

let operator: Store;
let responder: Store;

beforeAll(async () => {
  await session(url, async (client) => {
    for (const role of accounts)
      await client.query(`create role ${accountOf(role)} login password '${accountOf(role)}' in role keywright_${role}`);
  });
  // A session that waits for a lock fails soon.
  const common = { clock: systemClock, log: silentLog, limits: { ...storeLimits, lockMs: 500 } };
  operator = openPostgresStore({ ...common, url: urlOf('operator') });
  responder = openPostgresStore({ ...common, url: urlOf('responder') });
  await operator.takeFence();
});
afterAll(async () => {
  await Promise.all([operator.close(), responder.close()]);
  await session(url, async (client) => {
    for (const role of accounts) await client.query(`drop role ${accountOf(role)}`);
  });
});

/** Everything that an authorizer's login can lock, in a transaction that never ends. */
async function holdAll(hostile: Client, keyIds: readonly string[]): Promise<void> {
  await hostile.query('begin isolation level repeatable read');
  const tables = await hostile.query<{ name: string }>(
    `select oid::regclass::text as name from pg_class
     where relnamespace = 'keywright'::regnamespace and relkind = 'r' and has_table_privilege(oid, 'select')`,
  );
  for (const { name } of tables.rows) await hostile.query(`lock table ${name} in access share mode`);
  await hostile.query(
    `select keywright.record_use($1::text[], array_fill(0::float8, array[cardinality($1::text[])]),
      array_fill('x'::text, array[cardinality($1::text[])]))`,
    [keyIds],
  );
  await hostile.query(`select keywright.report_replica('hostile-${suffix}', 0, 1)`);
  await hostile.query(`select keywright.sign_off_replica('hostile-${suffix}')`);
}

/** A key with an active version, and one that ended before. */
async function issued() {
  const ref = uniqueRef();
  const now = systemClock.now();
  const [first, second] = [1, 2].map((epoch) => mintRequest({ ref, version: { epoch, expiresAt: now + day }, now }));
  if (first === undefined || second === undefined) throw new TypeError('two of two');
  expect(await operator.mint(first)).toBe('done');
  expect(await operator.activate(ref.uid, first.version.keyId, undefined, now)).toBe('done');
  expect(await operator.mint(second)).toBe('done');
  expect(await operator.activate(ref.uid, second.version.keyId, now + day, now)).toBe('done');
  return { ref, old: first.version.keyId, current: second.version.keyId };
}

describe("an open transaction of a stolen authorizer's login", () => {
  test('locks no row but those of use and of replicas, and no table against its writers', async () => {
    const { old, current } = await issued();
    await session(urlOf('authorizer'), async (hostile) => {
      await holdAll(hostile, [old, current]);
      const { rows } = await hostile.query<{ table: string }>(
        `select distinct c.relname as table from pg_locks l join pg_class c on c.oid = l.relation
         where l.pid = pg_backend_pid() and c.relnamespace = 'keywright'::regnamespace and c.relkind = 'r'
           and l.mode <> 'AccessShareLock' order by 1`,
      );
      expect(rows.map((row) => row.table)).toEqual(['replica', 'version_use']);
    });
  });

  test('keeps no revocation, with or without the operator, and no other write of the operator waiting', async () => {
    const keys = [await issued(), await issued(), await issued(), await issued()];
    const [revoked, direct, ended, moved] = keys as [(typeof keys)[0], (typeof keys)[0], (typeof keys)[0], (typeof keys)[0]];
    await session(urlOf('authorizer'), async (hostile) => {
      await holdAll(
        hostile,
        keys.flatMap(({ old, current }) => [old, current]),
      );
      const now = systemClock.now();
      const cause = { actor: 'operator', revokedReason: 'KeyCompromise', detail: 'a test' };
      expect(await operator.revokeAll(revoked.ref.uid, cause, now)).toBe('done');
      expect(await responder.revokeDirect(direct.current, { actor: 'cli:ana', reason: 'KeyCompromise', close: true })).toBe(
        'revoked',
      );
      const { ref, old, current } = ended;
      const suspended = { settings: keySettings({ suspended: true }) };
      expect(await operator.saveSettings(ref.uid, suspended, now)).toBe('done');
      expect(await operator.bringForward(ref.uid, [{ keyId: old, notAfter: now + 60_000 }], now)).toBe('done');
      expect(await operator.setExpiry(ref.uid, [{ keyId: current, expiresAt: now + 2 * day }], now)).toBe('done');
      expect(await operator.endVersions(ref.uid, [old], 'retired', now)).toBe('done');
      expect(await operator.mint(mintRequest({ ref, version: { epoch: 3 }, now }))).toBe('done');
      expect(await operator.takeOver({ ...moved.ref, uid: uniqueRef().uid }, keySettings(), now)).toBe('done');
      expect(await operator.releaseKey(revoked.ref.uid, now)).toBe('done');
      await operator.takeFence();
      await operator.beat();
      // Also a start of the operator, which looks for migrations; here beside the locks that Kysely's migrator would take, too.
      await session(url, async (other) => {
        await other.query(`select pg_advisory_lock(3853314791062309107)`);
        expect(await migrate(url)).toMatchObject({ statements: [] });
      });
    });
  });

  test('keeps no ended version from being removed, and its use only until the session ends', async () => {
    const { ref, old, current } = await issued();
    const rows = async () =>
      await session(url, async (client) => {
        const found = await client.query<{ versions: number; uses: number }>(
          `select (select count(*)::int from keywright.version where key_id = any($1)) as versions,
             (select count(*)::int from keywright.version_use where key_id = any($1)) as uses`,
          [[old, current]],
        );
        return found.rows[0];
      });
    const later = systemClock.now() + 10 * day;
    const prune = () => operator.prune({ feed: 0, audit: 0, ended: later, deliveries: 0 });
    await session(urlOf('authorizer'), async (hostile) => {
      await holdAll(hostile, [old, current]);
      await hostile.query('commit');
      await holdAll(hostile, [old, current]);
      expect(await operator.endVersions(ref.uid, [old, current], 'retired', systemClock.now())).toBe('done');
      expect(await operator.releaseKey(ref.uid, systemClock.now())).toBe('done');
      await prune();
      expect(await rows()).toEqual({ versions: 0, uses: 2 });
      await hostile.query('rollback');
    });
    await prune();
    expect(await rows()).toEqual({ versions: 0, uses: 0 });
  });
});
