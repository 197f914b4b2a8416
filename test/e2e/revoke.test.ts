import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usePostgres } from '../harness/parts.ts';
import { runProgram, startUp, verify, type UpProgram } from '../harness/program.ts';
import { checkout, readEntry } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

const postgres = await usePostgres();
const quickstart = join(checkout, 'examples', 'quickstart');

describe('keywright revoke --direct, beside a program that runs', () => {
  let up: UpProgram;
  let databaseUrl: string;

  beforeAll(async () => {
    databaseUrl = (await postgres.createDatabase()).url;
    const files = readdirSync(quickstart).filter((name) => name.endsWith('.yaml'));
    const texts = files.map((name) => [name, readFileSync(join(quickstart, name), 'utf8')] as const);
    up = await startUp(Object.fromEntries(texts), { KEYWRIGHT_DATABASE_URL: databaseUrl });
  });
  afterAll(() => up.stop());

  it('refuses the key from the commit on, leaves the other one alone, and the operator follows [S0-4] [S4-10]', async () => {
    const delivered = (secret: string): Promise<string> =>
      until(() => readEntry(up.data, secret), { deadlineMs: 60_000, what: `the value in ${secret}` });
    const [key, other] = [await delivered('billing-api-key'), await delivered('newsletter-api-key')];
    const known = await verify(up.url, key);
    expect(known).toHaveProperty('keyId');
    const status = (): string => readFileSync(join(up.data, 'status', 'ApiKey', 'default', 'billing-sync.yaml'), 'utf8');
    const ended = await runProgram(['revoke', '--direct', known.keyId ?? ''], { KEYWRIGHT_DATABASE_URL: databaseUrl });
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(await verify(up.url, key)).toMatchObject({ allowed: false, status: 401, code: 'key_invalid' });
    expect(await verify(up.url, other)).toHaveProperty('keyId');
    await until(() => status().includes('reason: Revoked'), { deadlineMs: 60_000, what: 'the status' });
    await until(() => readEntry(up.data, 'billing-api-key') === undefined, { deadlineMs: 60_000, what: 'the withdrawal' });
  });
});
