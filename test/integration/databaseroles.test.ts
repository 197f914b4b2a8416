import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { systemClock } from '../../operator/src/domain/time.ts';
import { proofDigest } from '../../operator/src/keys/hash.ts';
import type { Store } from '../../operator/src/store/port.ts';
import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { ownerRow } from '../builders/clusterrows.ts';
import { mintRequest, testStart } from '../builders/mintrequest.ts';
import { usePostgres } from '../harness/parts.ts';
import { privateDir } from '../harness/process.ts';
import { runProgram } from '../harness/program.ts';
import { until } from '../harness/until.ts';

const postgres = await usePostgres();
const { url } = await postgres.createDatabase();
// Roles are shared by all databases of the server.
const suffix = randomBytes(6).toString('hex');
const roles = ['operator', 'authorizer', 'responder'] as const;
type Role = (typeof roles)[number];
const accountOf = (role: Role): string => `${role}_${suffix}`;

function urlOf(role: Role): string {
  const address = new URL(url);
  address.username = accountOf(role);
  address.password = accountOf(role);
  return address.href;
}

let store: Store;

beforeAll(async () => {
  store = openPostgresStore({ url, clock: systemClock, log: silentLog });
  await store.takeFence();
  for (const role of roles) {
    const account = accountOf(role);
    await as(url, `create role ${account} login password '${account}' in role keywright_${role}`);
  }
});
afterAll(async () => {
  await store.close();
  for (const role of roles) await as(url, `drop role ${accountOf(role)}`);
});

async function as<T extends object>(address: string, statement: string, values: unknown[] = []): Promise<readonly T[]> {
  const client = new Client({ connectionString: address });
  await client.connect();
  try {
    return (await client.query<T>(statement, values)).rows;
  } finally {
    await client.end();
  }
}

const read = ['select'];
const write = ['delete', 'insert', 'select', 'update'];

/** Every table, and what each role may do with it. A table without a row here fails the test: decide, and add it to roles.ts. */
const tables: Readonly<Record<string, Readonly<Partial<Record<Role, readonly string[]>>>>> = {
  apikey: { operator: write, authorizer: read },
  audit: { operator: ['insert', 'select'] },
  catalog: { operator: write, authorizer: read },
  delivery: { operator: write },
  feed: { operator: ['delete', 'insert', 'select'], authorizer: read },
  feed_head: { operator: ['select', 'update'], authorizer: read },
  heartbeat: { operator: ['select', 'update'], authorizer: read },
  admission: { operator: ['insert', 'select', 'update'] },
  installation: { operator: ['select', 'update'], authorizer: read },
  migration: { operator: read, authorizer: read },
  migration_lock: {},
  missing_key: { operator: write },
  owner: { operator: write, authorizer: read },
  owner_group: { operator: write, authorizer: read },
  pepper: { operator: ['insert', 'select'], authorizer: read },
  replica: { operator: read },
  revocation_rate: {},
  version: { operator: write, authorizer: read },
  version_use: { operator: ['delete', 'select', 'update'] },
};

/** Every function, and who may call it. Those for everybody take and give nothing that is ours. */
const everybody = [...roles, 'public'];
const functions: Readonly<Record<string, readonly string[]>> = {
  'has_news(jsonb, jsonb)': everybody,
  'keywright_now()': everybody,
  'ms(timestamp with time zone)': everybody,
  'newest_clients(jsonb, jsonb)': everybody,
  'keywright_revoke(text, text, text, boolean)': ['operator', 'responder'],
  'prune_audit(double precision, integer)': ['operator'],
  'record_use(text[], double precision[], text[])': ['operator', 'authorizer'],
  'report_replica(text, double precision, bigint)': ['operator', 'authorizer'],
  'refuse_audit_change()': everybody,
  'refuse_jump()': everybody,
  'revoke_proven(text, bytea, text)': ['operator'],
  'sign_off_replica(text)': ['operator', 'authorizer'],
};

describe('the database itself says of the roles', () => {
  test('what the program before this one granted too much, an upgrade takes away', async () => {
    await as(url, 'grant select, insert, update, delete on all tables in schema keywright to keywright_operator');
    for (const revocation of ['keywright_revoke(text, text, text, boolean)', 'revoke_proven(text, bytea, text)'])
      await as(url, `grant execute on function keywright.${revocation} to keywright_authorizer`);
    // Of tables that it did not know, it granted nothing.
    await as(url, 'revoke all on keywright.revocation_rate, keywright.heartbeat from keywright_operator');
    expect((await migrate(url)).statements).toEqual([]);
  });

  test('that each may do with each table what the list says, and nothing else, not even with a column', async () => {
    const found = await as<{ table: string; role: Role | 'public'; privilege: string; held: boolean; column: boolean }>(
      url,
      `select c.relname as table, role, lower(privilege) as privilege,
         case role when 'public' then has_table_privilege('pg_monitor', c.oid, privilege)
           else has_table_privilege('keywright_' || role, c.oid, privilege) end as held,
         privilege in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') and case role
           when 'public' then has_any_column_privilege('pg_monitor', c.oid, privilege)
           else has_any_column_privilege('keywright_' || role, c.oid, privilege) end as column
       from pg_class c
       cross join unnest(array['operator', 'authorizer', 'responder', 'public']) role
       cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) privilege
       where c.relnamespace = 'keywright'::regnamespace and c.relkind in ('r', 'v', 'm', 'p', 'f')
       order by 1, 2, 3`,
    );
    expect([...new Set(found.map((one) => one.table))]).toEqual(Object.keys(tables).sort());
    const held: Record<string, Partial<Record<string, string[]>>> = {};
    for (const { table, role, privilege, held: whole, column } of found) {
      const row = (held[table] ??= {});
      if (whole || column) (row[role] ??= []).push(privilege);
    }
    expect(held).toEqual(tables);
  });

  test('that each function is called by whom the list says', async () => {
    const found = await as<{ name: string; role: string }>(
      url,
      `select p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as name, role
       from pg_proc p cross join unnest(array['operator', 'authorizer', 'responder', 'public']) role
       where p.pronamespace = 'keywright'::regnamespace
         and has_function_privilege(case role when 'public' then 'pg_monitor' else 'keywright_' || role end, p.oid, 'execute')`,
    );
    const all = await as<{ types: string }>(
      url,
      `select p.proname || '(' || oidvectortypes(p.proargtypes) || ')' as types from pg_proc p
       where p.pronamespace = 'keywright'::regnamespace`,
    );
    expect(all.map((one) => one.types).sort()).toEqual(Object.keys(functions).sort());
    for (const [name, callers] of Object.entries(functions)) {
      const bare = name.slice(0, name.indexOf('('));
      const may = found.filter((one) => one.name.startsWith(`${bare}(`)).map((one) => one.role);
      expect([name, may.sort()]).toEqual([name, [...callers].sort()]);
    }
  });

  test('that none may create anything in the schema, or runs with more rights than its own', async () => {
    const rows = await as<{ role: string; create: boolean; elevated: boolean }>(
      url,
      `select rolname as role, has_schema_privilege(oid, 'keywright', 'create') as create,
         rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls or rolcanlogin as elevated
       from pg_roles where rolname like 'keywright\\_%' and rolname not like '%\\_login'`,
    );
    expect(rows.map((one) => one.role).sort()).toEqual(roles.map((role) => `keywright_${role}`).sort());
    for (const row of rows) expect(row).toMatchObject({ create: false, elevated: false });
    const definers = await as<{ name: string; path: readonly string[] | null }>(
      url,
      `select proname as name, proconfig as path from pg_proc where pronamespace = 'keywright'::regnamespace and prosecdef`,
    );
    // With the definer's rights, a caller's search_path must not count.
    for (const { name, path } of definers)
      expect([name, path]).toEqual([name, expect.arrayContaining(['search_path=pg_catalog, pg_temp'])]);
  });
});

async function issued() {
  const request = mintRequest();
  const { keyId } = request.version;
  const proof = randomBytes(32);
  await store.mint({ ...request, revocationDigest: proofDigest(proof) });
  await store.activate(request.ref.uid, keyId, undefined, testStart);
  return { uid: request.ref.uid, keyId, proof };
}

describe("a stolen authorizer's login", () => {
  test('revokes nothing, not even with the proof that only the value gives', async () => {
    const { uid, keyId, proof } = await issued();
    for (const [statement, values] of [
      [`select keywright.keywright_revoke($1, 'x', 'x', true)`, [keyId]],
      [`select keywright.revoke_proven($1, $2, 'x')`, [keyId, proof]],
    ] as const)
      await expect(as(urlOf('authorizer'), statement, [...values])).rejects.toMatchObject({ code: '42501' });
    expect((await store.readKey(uid)).versions).toMatchObject([{ keyId, state: 'active' }]);
  });

  test('is refused a batch of uses without an end, and dates none in the future', async () => {
    const { uid, keyId } = await issued();
    const many = `select keywright.record_use(array_fill($1::text, array[100001]), array_fill(0::float8, array[100001]), array_fill('x'::text, array[100001]))`;
    await expect(as(urlOf('authorizer'), many, [keyId])).rejects.toMatchObject({ code: '54000' });
    await as(urlOf('authorizer'), `select keywright.record_use(array[$1, null], array[-1e15, null], array['x', null])`, [keyId]);
    const [version] = (await store.readKey(uid)).versions;
    expect(version?.lastUsedAt).toBeLessThanOrEqual(await store.now());
  });

  test.each(["'-infinity'", "'infinity'", "'NaN'", '-1', '1e300', 'null'])(
    'reports no instant that an operator could not read: %s',
    async (through) => {
      await expect(as(urlOf('authorizer'), `select keywright.report_replica('evil', ${through}, 0)`)).rejects.toMatchObject({
        code: '22003',
      });
      await expect(store.readUsageHorizon()).resolves.toMatchObject({ kind: expect.any(String) as string });
    },
  );

  test('shows people no name that is empty or has hidden characters', async () => {
    const { uid, keyId } = await issued();
    const names = ['', ' \u0007 ', 'good\u202ename', '\u001b[31mred'];
    const call = 'select keywright.record_use(array_fill($1::text, array[4]), array[0, 0, 0, 0]::float8[], $2::text[])';
    await as(urlOf('authorizer'), call, [keyId, names]);
    const [version] = (await store.readKey(uid)).versions;
    expect(version?.usedBy?.map(({ by }) => by).sort()).toEqual(['[31mred', 'goodname']);
  });

  test('keeps no owner, catalog or group waiting by a lock of its own session', async () => {
    const held = new Client({ connectionString: urlOf('authorizer') });
    await held.connect();
    const name = `held-${suffix}`;
    await expect(held.query(`select pg_advisory_lock(hashtext('keywright replica'))`)).rejects.toMatchObject({ code: '42501' });
    await expect(held.query('select from keywright.installation for share')).rejects.toMatchObject({ code: '42501' });
    expect(await store.saveOwner(ownerRow({ name, uid: name }), systemClock.now())).toBe('done');
    await as(urlOf('authorizer'), `select keywright.report_replica('beside-it', 0, 0)`);
    await held.end();
  });

  test('writes the use of a version only a few times a minute, however often it reports one, and by whom', async () => {
    const { keyId } = await issued();
    const call = `select keywright.record_use(array[$1], array[0]::float8[], array['client ' || n]) from generate_series($2::int, $3) n`;
    const written = new Set<string>();
    for (let from = 1; from <= 40; from += 1) {
      await as(urlOf('authorizer'), call, [keyId, from * 10, from * 10 + 9]);
      const [row] = await as<{ writer: string }>(
        url,
        'select xmin::text as writer from keywright.version_use where key_id = $1',
        [keyId],
      );
      written.add(row?.writer ?? '');
    }
    // A first one, eight clients, and a minute that passes meanwhile.
    expect(written.size).toBeLessThanOrEqual(3);
  });

  test('fills no table with replicas', async () => {
    await as(urlOf('authorizer'), `select keywright.report_replica('made-up-' || i, 0, 0) from generate_series(1, 2000) i`);
    const [row] = await as<{ rows: number }>(url, 'select count(*)::int as rows from keywright.replica');
    expect(row?.rows).toBeLessThanOrEqual(257);
    // A real authorizer starts nevertheless.
    await as(urlOf('authorizer'), `select keywright.report_replica('real', 0, 0)`);
  });
});

describe("what somebody wrote with a stolen operator's login stops no revocation:", () => {
  const most = '9223372036854775807';
  const cause = { actor: 'operator' as const, revokedReason: 'KeyCompromise', detail: 'a test' };
  const head = '(select rev from keywright.feed_head)';
  const feed = (rev: string, at: string) =>
    `insert into keywright.feed (rev, kind, subject_uid, at) values (${rev}, 'ApiKey', 'x', ${at})`;

  afterAll(() => store.takeFence());

  test('it counts by one, has no revision ahead, and keeps the name of the installation', async () => {
    for (const statement of [
      ...['feed_head set rev', 'feed_head set fence', 'heartbeat set beats'].flatMap((counter) => {
        const name = counter.slice(counter.lastIndexOf(' '));
        return [most, `${name} + 2`, `${name} - 1`].map((value) => `update keywright.${counter} = ${value}`);
      }),
      'update keywright.feed_head set rev = rev + 1, fence = fence + 1',
      ...[`${head} + 1`, `${head} - 1`, most].map((rev) => feed(rev, 'now()')),
      'update keywright.installation set id = gen_random_uuid()',
    ])
      await expect(as(urlOf('operator'), statement), statement).rejects.toMatchObject({ code: '42501' });
    // What it may write is dated by the database.
    await as(urlOf('operator'), `update keywright.feed_head set rev = rev + 1`);
    await as(urlOf('operator'), feed(head, `'infinity'`));
    await as(urlOf('operator'), `update keywright.heartbeat set at = 'infinity', beats = beats + 1`);
    const dated = `select max(f.at) < now() + interval '2 days' and max(h.at) <= clock_timestamp() as now
      from keywright.feed f, keywright.heartbeat h`;
    expect(await as(url, dated)).toEqual([{ now: true }]);

    const operator = openPostgresStore({ url: urlOf('operator'), clock: systemClock, log: silentLog });
    await operator.takeFence();
    await operator.beat();
    const { ref, version } = mintRequest();
    expect(await operator.mint(mintRequest({ ref, version }))).toBe('done');
    expect(await operator.revokeAll(ref.uid, cause, systemClock.now())).toBe('done');
    await operator.close();
  });

  test('no row of one key keeps others from being read: it has the form that a look-up of many relies on, and no endless instants', async () => {
    await store.takeFence();
    const [spoilt, other] = [await issued(), await issued()];
    const id = `where key_id = '${spoilt.keyId}'`;
    for (const statement of [
      `update keywright.version set ceilings = 'null' ${id}`,
      `insert into keywright.owner (uid, name, disabled, groups, rules, created_at) values ('x', 'x', false, '1', '[]', now())`,
      ...['null', '{}', '{"requests": {"hosts": "x"}}'].map(
        (model) =>
          `insert into keywright.catalog (uid, name, digest, hosts, model, created_at) values ('x', 'x', 'x', '{}', '${model}', now())`,
      ),
    ])
      await expect(as(urlOf('operator'), statement), statement).rejects.toMatchObject({ code: '23514' });
    for (const [instant, year] of [
      ['-infinity', 0],
      ['4713-01-01 BC', 0],
      ['infinity', 9999],
      ['294276-01-01', 9999],
    ] as const) {
      await as(urlOf('operator'), `update keywright.version set expires_at = '${instant}', not_after = '${instant}' ${id}`);
      const found = await store.findByKeyIds([spoilt.keyId, other.keyId]);
      expect(found.get(other.keyId)?.version.keyId).toBe(other.keyId);
      expect(new Date(found.get(spoilt.keyId)?.version.expiresAt ?? Number.NaN).getUTCFullYear()).toBe(year);
    }
    await as(urlOf('operator'), `insert into keywright.missing_key (apikey_uid, since) values ('${spoilt.uid}', '-infinity')`);
    expect((await store.listMissing()).map(({ ref }) => ref.uid)).toEqual([spoilt.uid]);
    expect(await store.revokeAll(spoilt.uid, cause, systemClock.now())).toBe('done');
    await as(urlOf('operator'), 'delete from keywright.missing_key');
  });

  test('keywright orphans shows no control characters of names', async () => {
    await store.takeFence();
    const { uid } = await issued();
    const name = `'x' || chr(27) || ']0;y' || chr(7) || chr(10) || 'z'`;
    await as(urlOf('operator'), `update keywright.apikey set name = ${name} where uid = '${uid}'`);
    await as(urlOf('operator'), `insert into keywright.missing_key values ('${uid}', now(), chr(27) || '[2J')`);
    const { stdout } = await runProgram(['orphans'], { KEYWRIGHT_DATABASE_URL: url, KEYWRIGHT_NAMESPACES: 'other' });
    expect(stdout.match(/x\?\]0;y\?\?z /g)).toHaveLength(2);
    expect(stdout).toContain('confirmed by ?[2J');
    expect(stdout.replaceAll('\n', '')).toMatch(/^\P{C}+$/u);
    await as(urlOf('operator'), 'delete from keywright.missing_key');
  });

  test('a row of the feed that should not be there, which only the owner can write, is named and is no repetition', async () => {
    await store.takeFence();
    const { uid, keyId } = await issued();
    await as(url, feed(`${head} + 1`, 'now()'));
    const direct = { actor: 'cli:ana', reason: 'KeyCompromise', close: true };
    await expect(store.revokeAll(uid, cause, systemClock.now())).rejects.toThrow('feed_pkey');
    await expect(store.revokeDirect(keyId, direct)).rejects.toThrow('feed_pkey');
    expect((await store.readKey(uid)).versions).toMatchObject([{ keyId, state: 'active' }]);
    await as(url, `delete from keywright.feed where rev > ${head}`);
    expect(await store.revokeAll(uid, cause, systemClock.now())).toBe('done');
  });
});

describe('a proof of possession', () => {
  test('is nothing that the database holds, and ends one version', async () => {
    const { uid, keyId, proof } = await issued();
    // Every hash and digest of the database, tried on every key.
    const outcomes = await as<{ outcome: string }>(
      urlOf('operator'),
      `select distinct keywright.revoke_proven(v.key_id, material, 'x') as outcome
       from keywright.version v, (
         select hash from keywright.version union all select revocation_digest from keywright.version
         union all select check_value from keywright.pepper
       ) as known (material)`,
    );
    expect(outcomes).toEqual([{ outcome: 'unknown' }]);
    expect((await store.readKey(uid)).versions).toMatchObject([{ keyId, state: 'active' }]);
    expect(await store.revokeProven(keyId, proof, 'KeyCompromise')).toBe('revoked');
    expect(await store.readKey(uid)).toMatchObject({ versions: [], key: { ref: { uid } } });
  });
});

describe('the audit', () => {
  /** A row that the database dated this many days ago. */
  const age = (days: number): string => `insert into keywright.audit (recorded_at, at, actor, action, detail)
    values (now() - interval '${days} days', now(), 'x', '${days}', '{}')`;
  const line = (action: string, at: string): string =>
    `insert into keywright.audit (at, actor, action, detail) values (${at}, 'x', '${action}', '{}')`;

  test.each(['operator', 'owner'] as const)('is added to, and nothing else, by the %s', async (who) => {
    const address = who === 'owner' ? url : urlOf(who);
    await as(address, line('added', 'now()'));
    for (const statement of [`update keywright.audit set actor = 'y'`, 'truncate keywright.audit', 'delete from keywright.audit'])
      await expect(as(address, statement)).rejects.toMatchObject({ code: '42501' });
  });

  test('loses its rows to the operator after 30 days, by one function', async () => {
    await as(url, age(31));
    await as(url, age(29));
    await expect(as(urlOf('operator'), `delete from keywright.audit where action = '31'`)).rejects.toMatchObject({
      code: '42501',
    });
    await as(urlOf('operator'), `select keywright.prune_audit('infinity', 1000)`);
    const rows = await as<{ action: string }>(url, `select distinct action from keywright.audit where action in ('29', '31')`);
    expect(rows).toEqual([{ action: '29' }]);
    await expect(as(urlOf('authorizer'), `select keywright.prune_audit('infinity', 1000)`)).rejects.toMatchObject({
      code: '42501',
    });
  });

  test('is numbered and dated by the database: the operator can make no row look old, or stay for ever', async () => {
    for (const column of ['seq', 'recorded_at']) {
      const value = column === 'seq' ? '1' : `now() - interval '31 days'`;
      const forged = `insert into keywright.audit (${column}, at, actor, action, detail) overriding system value
        values (${value}, now(), 'x', 'forged', '{}')`;
      await expect(as(urlOf('operator'), forged)).rejects.toMatchObject({ code: '42501' });
    }
    await as(urlOf('operator'), line('of the past', `'2020-01-01'`));
    await as(urlOf('operator'), line('of the future', `'2999-01-01'`));
    await as(urlOf('operator'), `select keywright.prune_audit('infinity', 1000)`);
    const named = `from keywright.audit where action like 'of the %'`;
    expect(
      await as(url, `select action, recorded_at between now() - interval '1 minute' and now() as today ${named} order by seq`),
    ).toEqual([
      { action: 'of the past', today: true },
      { action: 'of the future', today: true },
    ]);
    // Another day, by the database's clock.
    await as(url, 'alter table keywright.audit disable trigger audit_kept');
    await as(url, `update keywright.audit set recorded_at = now() - interval '31 days' where action like 'of the %'`);
    await as(url, 'alter table keywright.audit enable trigger audit_kept');
    await as(urlOf('operator'), `select keywright.prune_audit('infinity', 1000)`);
    expect(await as(url, `select action ${named}`)).toEqual([]);
  });
});

describe('keywright revoke --direct', () => {
  test('is refused without a reason, and without a name', async () => {
    const { keyId } = await issued();
    for (const [who, why] of [
      ['ana', null],
      [null, 'KeyCompromise'],
      ['', 'KeyCompromise'],
    ])
      await expect(
        as(urlOf('responder'), 'select keywright.keywright_revoke($1, $2, $3, true)', [keyId, who, why]),
      ).rejects.toMatchObject({ code: '22004' });
  });

  test('names the login that revoked, whatever name the caller gives, and shows it without hidden characters', async () => {
    for (const who of ['operator', 'cli:ana', 'login:keywright_operator', '\u202erotarepo\u0007']) {
      const { keyId } = await issued();
      const call = 'select keywright.keywright_revoke($1, $2, $3, false)';
      await expect(as(urlOf('responder'), call, [keyId, who, 'Key\u202e compromise'])).rejects.toMatchObject({ code: '22023' });
      await expect(as(urlOf('responder'), call, [keyId, '\u200b\u0001', 'KeyCompromise'])).rejects.toMatchObject({
        code: '22004',
      });
      await as(urlOf('responder'), call, [keyId, who, 'KeyCompromise']);
      const [line] = await store.readAudit({ keyId }, 1);
      expect(line).toMatchObject({ action: 'revoke', actor: `login:${accountOf('responder')}` });
      expect(line?.detail['who']).toBe(who.replaceAll(/[\u202e\u0007]/g, ''));
    }
  });

  test("with an authorizer's account is refused, says which login may do it, and changes nothing", async () => {
    const { uid, keyId } = await issued();
    const ended = await runProgram(['revoke', '--direct', keyId], { KEYWRIGHT_DATABASE_URL: urlOf('authorizer') });
    const sentence = `${keyId} was not revoked: this login of the database may not revoke like this: use one that has PostgreSQL's role keywright_responder (42501)\n`;
    expect(ended).toMatchObject({ code: 1, stdout: sentence });
    expect((await store.readKey(uid)).versions).toMatchObject([{ keyId, state: 'active' }]);
  });

  test.each(['operator', 'responder'] as const)("with an %s's account closes the ApiKey", async (role) => {
    const { uid, keyId } = await issued();
    const ended = await runProgram(['revoke', '--direct', keyId], { KEYWRIGHT_DATABASE_URL: urlOf(role) });
    expect(ended).toMatchObject({ code: 0, stdout: `${keyId} is revoked, and its ApiKey closed for good\n` });
    expect((await store.readKey(uid)).versions).toEqual([]);
  });
});

describe('keywright migrate with passwords', () => {
  const folder = privateDir('logins');
  const passwords = { operator: randomBytes(16).toString('hex'), authorizer: randomBytes(16).toString('hex') };
  const files = Object.fromEntries(
    Object.entries(passwords).map(([which, password]) => {
      const path = join(folder, which);
      writeFileSync(path, `${password}\n`);
      return [which, path];
    }),
  );
  const loginUrl = (which: keyof typeof passwords, password = passwords[which]): string => {
    const address = new URL(url);
    address.username = `keywright_${which}_login`;
    address.password = password;
    return address.href;
  };
  const migrateWith = (database: string, ...more: readonly string[]) =>
    runProgram(
      [
        'migrate',
        ...['--operator-password-file', files['operator'] ?? '', '--authorizer-password-file', files['authorizer'] ?? ''],
        ...more,
      ],
      { KEYWRIGHT_DATABASE_URL: database },
    );

  afterAll(async () => {
    for (const which of Object.keys(passwords)) await as(url, `drop role if exists keywright_${which}_login`);
  });

  test('makes accounts that can do what their role may, and a later one changes the passwords', async () => {
    expect(await migrateWith(url)).toMatchObject({ code: 0 });
    expect(await as(loginUrl('authorizer'), 'select count(*) > 0 as reads from keywright.version')).toEqual([{ reads: true }]);
    await expect(as(loginUrl('authorizer'), 'select from keywright.audit')).rejects.toMatchObject({ code: '42501' });
    const operator = openPostgresStore({ url: loginUrl('operator'), clock: systemClock, log: silentLog });
    await operator.takeFence();
    expect(await operator.mint(mintRequest())).toBe('done');
    await operator.close();
    for (const statement of [
      'drop table keywright.audit',
      'alter table keywright.audit disable trigger all',
      'create role other',
    ])
      await expect(as(loginUrl('operator'), statement)).rejects.toMatchObject({ code: '42501' });
    // Others of this operator migrate at their start, too, and find nothing that they could do.
    expect(await migrate(loginUrl('operator'))).toMatchObject({ statements: [] });

    await as(url, `alter role keywright_authorizer_login password 'forgotten-forgotten'`);
    expect((await Promise.all([migrateWith(url), migrateWith(url)])).map((one) => one.code)).toEqual([0, 0]);
    expect(await as(loginUrl('authorizer'), 'select 1 as one')).toEqual([{ one: 1 }]);
    await expect(as(loginUrl('authorizer', 'forgotten-forgotten'), 'select 1')).rejects.toMatchObject({ code: '28P01' });
    // The fence of this file's own store.
    await store.takeFence();
  });

  test('limits the connections of each, and takes back the settings that somebody left with it', async () => {
    const settings = () =>
      as<{ limit: number; config: unknown }>(
        url,
        `select r.rolconnlimit as limit, (select json_agg(s.setconfig) from pg_db_role_setting s where s.setrole = r.oid) as config
         from pg_roles r where rolname in ('keywright_operator_login', 'keywright_authorizer_login') order by rolname`,
      );
    await migrateWith(url);
    expect(await settings()).toEqual([
      { limit: 48, config: null },
      { limit: 40, config: null },
    ]);
    const database = new URL(url).pathname.slice(1);
    for (const where of ['', `in database ${database}`])
      await as(loginUrl('authorizer'), `alter role keywright_authorizer_login ${where} set enable_indexscan = off`);
    expect(await migrateWith(url, '--authorizer-connections', '3', '--operator-connections', '20')).toMatchObject({ code: 0 });
    expect(await settings()).toEqual([
      { limit: 3, config: null },
      { limit: 20, config: null },
    ]);

    const stolen = Array.from({ length: 4 }, () => new Client({ connectionString: loginUrl('authorizer') }));
    const others = `select count(*)::int as count from pg_stat_activity where usename = 'keywright_authorizer_login'`;
    // A session ends a moment after its client has gone.
    await until(async () => (await as<{ count: number }>(url, others))[0]?.count === 0, { what: 'the end of earlier sessions' });
    // One after the other: of several at the same time, PostgreSQL may refuse more, because each counts all.
    const last = stolen.at(-1);
    for (const client of stolen) if (client !== last) await client.connect();
    await expect(last?.connect()).rejects.toMatchObject({ code: '53300' });
    // The operator and responders have their own connections.
    const { keyId } = await issued();
    expect(
      await as(loginUrl('operator'), `select keywright.keywright_revoke($1, 'cli:ana', 'Unspecified', true) as it`, [keyId]),
    ).toEqual([{ it: 'revoked' }]);
    await Promise.allSettled(stolen.map((client) => client.end()));
    expect(await migrateWith(url, '--authorizer-connections', 'many')).toMatchObject({ code: 2 });
  });

  test('[S1-8] sends and prints no password, and says what it may not do, with 2', async () => {
    const account = `plain_${suffix}`;
    await as(url, `create role ${account} login password '${account}' in role keywright_operator`);
    const plain = new URL(url);
    plain.username = account;
    plain.password = account;
    const refused = await migrateWith(plain.href);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('CREATEROLE') as string });
    expect(refused.stdout + refused.stderr).not.toContain(passwords.operator);
    await as(url, `drop role ${account}`);
    writeFileSync(files['operator'] ?? '', 'short');
    const weak = await migrateWith(url);
    expect(weak).toMatchObject({ code: 2, stderr: expect.stringContaining('16 to 128 printable') as string });
    const lost = await runProgram(['migrate', '--operator-password-file', '/nowhere'], { KEYWRIGHT_DATABASE_URL: url });
    expect(lost).toMatchObject({ code: 2, stderr: expect.stringContaining('/nowhere cannot be read') as string });
  });
});
