import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { request } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { usePostgres } from '../harness/parts.ts';
import { privateDir } from '../harness/process.ts';
import { startUp, type UpProgram } from '../harness/program.ts';
import { until } from '../harness/until.ts';

const postgres = await usePostgres();
const callers = join(privateDir('callers'), 'callers.json');
const write = (token: string): void =>
  writeFileSync(callers, JSON.stringify({ gateway: createHash('sha256').update(token).digest('hex') }));

let up: UpProgram;
beforeAll(async () => {
  write('first');
  const { url } = await postgres.createDatabase();
  up = await startUp({}, { KEYWRIGHT_DATABASE_URL: url, KEYWRIGHT_CALLER_TOKENS_FILE: callers });
});
afterAll(() => up.stop());

async function ask(token?: string): Promise<number> {
  const headers = token === undefined ? {} : { 'keywright-caller': token };
  const body = JSON.stringify({ request: { host: 'a', method: 'GET', path: '/' } });
  const answer = await request(`${up.url}/v1/verify`, { method: 'POST', headers, body });
  await answer.body.dump();
  return answer.statusCode;
}

it('npm start asks for the caller tokens that are configured, and follows their file', async () => {
  expect([await ask(), await ask('second'), await ask('first')]).toEqual([401, 401, 200]);
  write('second');
  await until(async () => (await ask('second')) === 200, { what: 'the new token to count' });
  expect(await ask('first')).toBe(401);
});
