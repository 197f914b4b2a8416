import { isDeepStrictEqual } from 'node:util';

import { FakeClock } from '../../harness/fakes/clock.ts';
import { MemoryDatabase, MemoryStore } from '../../harness/fakes/store.ts';
import { mintRequest } from '../../builders/mintrequest.ts';
import { acceptanceSuite } from './acceptancesuite.ts';
import { lifecycleSuite } from './lifecyclesuite.ts';
import { retentionSuite } from './retentionsuite.ts';
import { rightsSuite } from './rightssuite.ts';
import { storeSuite } from './suite.ts';
import type { StoreDatabase } from './suite.ts';
import { useSuite } from './usesuite.ts';

async function createDatabase(): Promise<StoreDatabase> {
  const database = new MemoryDatabase();
  const clock = new FakeClock();
  return await Promise.resolve({
    open: () => new MemoryStore({ clock, database }),
    setNow: (now) => {
      clock.jump(now - clock.now());
      return Promise.resolve();
    },
    fill: (count, owner) => Promise.resolve(fill(database, count, owner)),
    rowsWrittenBy: (work) => rowsWrittenBy(database, work),
    close: () => Promise.resolve(),
  });
}

/** Rows straight into the tables: ten thousand mints would copy the database ten thousand times. */
function fill(database: MemoryDatabase, count: number, owner: { readonly uid: string; readonly name: string }): string[] {
  return Array.from({ length: count }, () => {
    const { ref, applied, version } = mintRequest({ settings: { owner: owner.name }, version: { ownerUid: owner.uid } });
    database.rows.keys.set(ref.uid, { ref, ...applied, released: false });
    database.rows.versions.push(version);
    return version.keyId;
  });
}

async function rowsWrittenBy(database: MemoryDatabase, work: () => Promise<void>): Promise<Readonly<Record<string, number>>> {
  const tables = () => {
    const { keys, versions, deliveries, catalogs, owners, groups, feed, audit } = database.rows;
    const byUid = { apikey: keys, catalog: catalogs, owner: owners, owner_group: groups };
    return { ...byUid, version: versions, delivery: deliveries, feed, audit };
  };
  const before = new Map(Object.entries(tables()).map(([name, rows]) => [name, [...rows.values()] as unknown[]]));
  await work();
  const changed = Object.entries(tables()).map(([name, rows]): [string, number] => {
    const known = before.get(name) ?? [];
    return [name, [...rows.values()].filter((row, index) => !isDeepStrictEqual(row, known[index])).length];
  });
  return Object.fromEntries(changed.filter(([, count]) => count > 0));
}

storeSuite('the store in memory', createDatabase);
rightsSuite('the store in memory', createDatabase);
lifecycleSuite('the store in memory', createDatabase);
acceptanceSuite('the store in memory', createDatabase);
useSuite('the store in memory', createDatabase);
retentionSuite('the store in memory', createDatabase);
