import pg from 'pg';
import { expect, test } from 'vitest';
import { usePostgres } from '../../harness/parts.ts';

const postgres = await usePostgres();

async function tables(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const found = await client.query<{ name: string }>(
      `SELECT tablename AS name FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
    );
    return found.rows.map((row) => row.name);
  } finally {
    await client.end();
  }
}

test('a migrated database has the schema, an empty one has nothing', async () => {
  const [migrated, empty] = await Promise.all([postgres.createDatabase(), postgres.createDatabase({ migrated: false })]);
  expect(await tables(migrated.url)).toContain('feed_head');
  expect(await tables(empty.url)).toEqual([]);
});

test('two files may ask for their migrated databases at once', async () => {
  const made = await Promise.all(Array.from({ length: 4 }, () => postgres.createDatabase()));
  expect(new Set(made.map((one) => one.name)).size).toBe(4);
});
