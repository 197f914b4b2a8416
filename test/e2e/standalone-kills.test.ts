import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { noteUse } from '../harness/parts.ts';
import { fingerprint, verify } from '../harness/program.ts';
import { playground, readEntry, startStandalone, type Playground, type Standalone } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

const secrets = ['billing-api-key', 'newsletter-api-key'];

beforeAll(() => noteUse('PostgreSQL 18.4 (embedded)'));

/** What each of the two keys of the quickstart hears of `GET /v1/campaigns` while it lives. */
const answers = [{ allowed: false, code: 'endpoint_not_allowed' }, { allowed: true }] as const;

describe('npm start, killed', () => {
  const lives = process.env['CI'] === 'true' ? 5 : 1;
  /** What it has said when the instant of a kill begins to run: while initdb works, while it comes up, while it mints. */
  const instants: readonly (readonly [milestone: string, withinMs: number])[] = [
    ['starting the database', 1_200],
    ['starting the database', 3_000],
    ['/v1/verify answers', 120],
    ['starting the database', 3_000],
  ];
  let place: Playground;
  let program: Standalone | undefined;
  afterEach(async () => {
    await program?.killAll();
    await place.remove();
  });

  /** Values that were there once must stay; returns what is there now. */
  function keeps(known: ReadonlyMap<string, string | undefined>): Map<string, string | undefined> {
    const now = new Map(secrets.map((secret) => [secret, fingerprint(readEntry(place.data, secret))]));
    for (const [secret, value] of known) if (value !== undefined) expect(now.get(secret), secret).toBe(value);
    return now;
  }

  for (let life = 1; life <= lives; life += 1) {
    it(`goes on after SIGKILL of everything at random instants, the first start included, and leaves no database (${life})`, async () => {
      place = playground();
      let known: Map<string, string | undefined> = new Map();
      for (const [milestone, withinMs] of instants) {
        program = startStandalone({ args: ['--manifests', place.manifests, '--data', place.data, '--port', '0'] });
        await program.says(milestone);
        const delayMs = Math.floor(Math.random() * withinMs);
        expect(await program.endsWithin(delayMs), `after ${delayMs} ms:\n${program.output()}`).toBe(false);
        await program.killAll();
        known = keeps(known);
      }
      program = startStandalone({ args: ['--manifests', place.manifests, '--data', place.data, '--port', '0'] });
      const url = await program.url();
      for (const name of ['billing-sync', 'newsletter-tests']) await program.says(`default/${name}  READY=True`);
      keeps(known);
      for (const [at, name] of ['billing-sync', 'newsletter-tests'].entries()) {
        const secret = secrets[at] ?? '';
        const status = readFileSync(join(place.data, 'status', 'ApiKey', 'default', `${name}.yaml`), 'utf8');
        expect(status).toMatch(/^ {4}epoch: 1$/m);
        const keyId = readEntry(place.data, secret, 'key-id');
        expect(await verify(url, readEntry(place.data, secret) ?? '')).toMatchObject({ ...answers[at], keyId });
      }
      expect(await place.isDeserted()).toBe(false);
      await program.killAll();
      await until(() => place.isDeserted(), { what: 'the end of the database' });
    });
  }
});
