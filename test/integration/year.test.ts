import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dayMs, happeningsOf, yearKeys, type YearKey } from '../builders/year/keys.ts';
import { Oracle, type Lived } from '../builders/year/oracle.ts';
import { YearWorld, type Held } from '../builders/year/world.ts';
import { privateDir } from '../harness/process.ts';
import { useOpenBao, usePostgres } from '../harness/parts.ts';

const openbao = await useOpenBao();
const database = await (await usePostgres()).createDatabase();
const start = Date.parse('2026-01-01T00:00:00Z');
const end = start + 365 * dayMs;
const folder = privateDir('year');
const keys = yearKeys(start);
let world: YearWorld;
let lives: ReadonlyMap<string, readonly Lived[]>;
/** Each key with its life, and what must be of it. */
let judged: readonly { readonly key: YearKey; readonly oracle: Oracle; readonly life: readonly Lived[] }[];

beforeAll(async () => {
  world = await YearWorld.open({ databaseUrl: database.url, openbao, folder, start });
  await world.live(keys, happeningsOf(keys, start), end);
  lives = await readLives();
  judged = keys.map((key) => ({ key, oracle: new Oracle(key, start, end), life: lives.get(key.name) ?? [] }));
  process.stdout.write(`a year of ${keys.length} keys: ${JSON.stringify(counts())}\n`);
}, 900_000);

afterAll(async () => {
  await world.close();
});

describe('a year of a hundred keys of mixed policies, on PostgreSQL, OpenBao and files', () => {
  it('met no failure but those of its outages, and writes that hung', () => {
    expect(world.setbacks).toEqual([]);
    expect(world.hung).toBeGreaterThan(3);
  });

  it('shows every rotation and every end at its instant, with its cause', () => {
    expect(judged.flatMap(({ oracle, life }) => oracle.judge(life))).toEqual([]);
  });

  it('gives every notice and tells every expiry at its instant, and none of a key that is rotated first', () => {
    const wrong = judged.flatMap(({ key: { name }, oracle, life }) => {
      const told = (type: string) => world.told.filter(({ apiKey, condition }) => apiKey === name && condition.type === type);
      const instants = (type: string) =>
        told(type).flatMap(({ at, condition }) => (condition.status === 'True' ? [iso(at)] : []));
      const found = { notices: instants('Expiring'), expiries: instants('Expired') };
      const wanted = { notices: oracle.notices(life).map(iso), expiries: oracle.expiries(life).map(iso) };
      return JSON.stringify(found) === JSON.stringify(wanted) ? [] : [{ name, found, wanted }];
    });
    expect(wrong).toEqual([]);
  });

  it('has no moment at which a location held a value that was refused, or none', () => {
    expect(judged.flatMap((one) => darkness(one))).toEqual([]);
  });

  it('ends no version before its readers had the overlap to read again, unless it was meant to die', () => {
    const hasty = judged.flatMap(({ key, life }) => {
      const dies = key.happenings.filter(({ do: what }) => ['compromise', 'revoke', 'delete'].includes(what)).map(({ at }) => at);
      return placesOf(key.name).flatMap((held) =>
        held.slice(1).flatMap(({ at }, index) => {
          const old = life.find(({ keyId }) => keyId === held[index]?.keyId);
          const endsAt = old === undefined ? Infinity : endOf(old);
          const isMeant = dies.includes(endsAt) || endsAt === old?.expiresAt;
          return isMeant || endsAt - at >= key.policy.overlap * 3_600_000 ? [] : [`${key.name}: ${iso(at)} to ${iso(endsAt)}`];
        }),
      );
    });
    expect(hasty).toEqual([]);
  });

  it('leaves no version, no delivery and no value behind', async () => {
    const [left] = await world.rows<Record<string, number>>(`select
      (select count(*)::int from keywright.version where state = 'pending') as pending,
      (select count(*)::int from keywright.version
        where state <> 'ended' and least(expires_at, not_after) <= to_timestamp(${end / 1000})) as overdue,
      (select count(*)::int from keywright.delivery where state = 'withdrawing') as withdrawing,
      (select count(*)::int from keywright.delivery d join keywright.apikey k on k.uid = d.apikey_uid
        where d.state = 'live' and (k.released_at is not null or k.revoked_reason is not null)) as orphaned,
      (select count(*)::int from (select apikey_uid from keywright.version
        where state <> 'ended' group by apikey_uid having count(*) > 2) crowd) as crowds`);
    expect(left).toEqual({ pending: 0, overdue: 0, withdrawing: 0, orphaned: 0, crowds: 0 });
    const living = keys.filter(({ happenings }) => !happenings.some((one) => one.do === 'delete'));
    const names = (place: 'vault' | 'file') => living.filter(({ places }) => places.includes(place)).map(({ name }) => name);
    expect([...(await world.vaultPaths())].sort()).toEqual(names('vault').sort());
    const folders = (await readdir(join(folder, 'payments'))).filter((name) => !name.startsWith('.'));
    expect(folders.sort()).toEqual(names('file').sort());
  });

  it('ends with every key working: what stands at each location is its newest version, and is allowed', async () => {
    const wrong: string[] = [];
    for (const { key, life } of judged) {
      if (key.happenings.some(({ do: what }) => what === 'delete')) continue;
      for (const location of world.locationsOf(key)) {
        const value = (await world.read(location)) ?? '';
        const verdict = await world.verdict(value);
        const newest = life.findLast(({ state }) => state === 'active')?.keyId;
        if (verdict !== 'allowed' || newest === undefined || !value.includes(newest)) wrong.push(`${key.name}: ${verdict}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('[S2-1] gives no right by an edit that is invalid, not permitted or not judged, until it is confirmed', async () => {
    expect([...world.heldBack.keys()].sort()).toEqual(['AdmissionPolicyMissing', 'InvalidSpec', 'NotPermitted']);
    const of = (number: number) => keys.filter(({ name }) => name === `never-${number}` || name === `never-${number + 3}`);
    const others = (key: YearKey) =>
      Promise.all(world.locationsOf(key).map(async (at) => world.verdict((await world.read(at)) ?? '', '/v1/others')));
    expect((await Promise.all([...of(0), ...of(1)].map(others))).flat()).toSatisfy((all: string[]) =>
      all.every((one) => one === 'endpoint_not_allowed'),
    );
    expect((await Promise.all(of(2).map(others))).flat()).toSatisfy((all: string[]) => all.every((one) => one === 'allowed'));
  });

  it('had no defect, and nothing that was delivered was refused', () => {
    expect(world.faults).toEqual([]);
  });

  it('was a year in which everything happened', () => {
    const { versions, ends, ...others } = counts();
    for (const cause of ['Initial', 'Scheduled', 'BeforeExpiry', 'Requested', 'Compromise'])
      expect([cause, versions[cause] ?? 0]).toSatisfy(([, count]) => Number(count) >= 6);
    for (const reason of ['retired', 'expired', 'revoked']) expect([reason, (ends[reason] ?? 0) >= 6]).toEqual([reason, true]);
    expect(others).toMatchObject({ crashes: 10, keys: 100 });
    expect(others.notices).toBeGreaterThan(30);
    expect(others.late).toBeGreaterThanOrEqual(2);
    expect(others.lost).toBeGreaterThanOrEqual(2);
  });
});

/** Moments at which a location held nothing that authenticates, though nobody meant the key to end. */
function darkness({ key, oracle, life }: (typeof judged)[number]): readonly string[] {
  const over = oracle.overAt();
  const ends = new Map(life.map((one) => [one.keyId, endOf(one)]));
  const held = placesOf(key.name);
  if (held.length !== key.places.length) return [`${key.name} was delivered to ${held.length} places`];
  return held.flatMap((values) =>
    values.flatMap(({ at, keyId, location }, index) => {
      const until = Math.min(values[index + 1]?.at ?? over, over);
      const validUntil = keyId === undefined ? 0 : (ends.get(keyId) ?? 0);
      const isMeant = oracle.expiries(life).includes(validUntil);
      return validUntil >= until || at >= over || isMeant
        ? []
        : [`${location} was dark from ${iso(validUntil)} to ${iso(until)}`];
    }),
  );
}

/** What each location of a key held, in order. */
function placesOf(name: string): readonly (readonly Held[])[] {
  const held = world.held.filter(({ apiKey }) => apiKey === name);
  return [...new Set(held.map(({ location }) => location))].map((place) => held.filter(({ location }) => location === place));
}

function endOf({ endedAt, notAfter, expiresAt }: Lived): number {
  return Math.min(endedAt ?? Infinity, notAfter ?? Infinity, expiresAt ?? Infinity);
}

function counts() {
  const all = [...lives.values()].flat();
  const tally = (words: readonly (string | null)[]): Readonly<Record<string, number>> =>
    Object.fromEntries([...new Set(words)].map((word) => [word ?? 'live', words.filter((one) => one === word).length]));
  const told = (type: string) =>
    world.told.filter(({ condition }) => condition.type === type && condition.status === 'True').length;
  return {
    keys: lives.size,
    versions: tally(all.map(({ cause }) => cause)),
    ends: tally(all.map(({ endedReason }) => endedReason)),
    /** Versions that an outage made late, and attempts that a crash lost. */
    late: all.filter(({ issuedAt, activatedAt }) => activatedAt !== null && activatedAt > issuedAt).length,
    lost: all.filter(({ lost }) => lost).length,
    notices: told('Expiring'),
    expiries: told('Expired'),
    values: world.held.length,
    heldBack: Object.fromEntries(world.heldBack),
    hung: world.hung,
    ...{ events: world.events.length, passes: world.passes, leaps: world.leaps, crashes: world.crashes },
  };
}

async function readLives(): Promise<ReadonlyMap<string, readonly Lived[]>> {
  const rows = await world.rows<{ name: string; life: Lived[] }>(`
    select k.name, json_agg(json_build_object('keyId', v.key_id, 'state', v.state, 'endedReason', v.ended_reason,
      'lost', v.lost, 'cause', v.cause, 'issuedAt', keywright.ms(v.issued_at), 'activatedAt', keywright.ms(v.activated_at),
      'expiresAt', keywright.ms(v.expires_at), 'notAfter', keywright.ms(v.not_after), 'endedAt', keywright.ms(v.ended_at))
      order by v.seq) as life
    from keywright.version v join keywright.apikey k on k.uid = v.apikey_uid group by k.name`);
  return new Map(rows.map(({ name, life }) => [name, life]));
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
