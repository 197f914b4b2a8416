import { afterAll, expect, test } from 'vitest';

import { migrate } from '../../operator/src/store/postgres/migrate.ts';
import { createLog } from '../../operator/src/telemetry/pino.ts';
import { ownPostgres } from '../harness/parts.ts';
import { session } from '../harness/session.ts';

const own = await ownPostgres();
afterAll(() => own.stop());

function urlOf(database: string, account?: string): string {
  const address = new URL(own.postgres.url);
  address.pathname = `/${database}`;
  if (account !== undefined) [address.username, address.password] = [account, account];
  return address.href;
}

async function warningsOf(database: string): Promise<string> {
  const lines: string[] = [];
  await migrate(urlOf(database), { log: createLog({ level: 'warn', destination: { write: (line) => void lines.push(line) } }) });
  return lines.join('');
}

test('two installations on one server: each migration warns that the logins of one have their rights in the other', async () => {
  for (const database of ['live', 'staging'])
    await session(own.postgres.url, (client) => client.query(`create database ${database}`));
  expect(await warningsOf('live')).toBe('');
  expect(await warningsOf('staging')).toContain('each login of this database has the same rights in live');
  expect(await warningsOf('live')).toContain('each login of this database has the same rights in staging');
  // That is so: roles belong to the server.
  await session(own.postgres.url, (client) =>
    client.query(`create role staging login password 'staging' in role keywright_operator`),
  );
  const written = await session(urlOf('live', 'staging'), (client) =>
    client.query(`update keywright.feed_head set fence = fence + 1 returning fence`),
  );
  expect(written.rows).toHaveLength(1);
});
