import { randomBytes } from 'node:crypto';

import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { systemClock } from '../../operator/src/domain/time.ts';
import { mintToken } from '../../operator/src/keys/mint.ts';
import type { Store } from '../../operator/src/store/port.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { mintRequest, testStart } from '../builders/mintrequest.ts';
import { usePostgres } from '../harness/parts.ts';
import { runProgram } from '../harness/program.ts';
import { session } from '../harness/session.ts';

const postgres = await usePostgres();
const { url } = await postgres.createDatabase();
// Roles are shared by all databases of the server.
const account = `responder_${randomBytes(6).toString('hex')}`;
const responder = new URL(url);
responder.username = account;
responder.password = account;

let store: Store;

beforeAll(async () => {
  store = openPostgresStore({ url, clock: systemClock, log: silentLog });
  await store.takeFence();
  await asSuperuser((client) => client.query(`create role ${account} login password '${account}' in role keywright_responder`));
});
afterAll(async () => {
  await store.close();
  await asSuperuser((client) => client.query(`drop role ${account}`));
});

const asSuperuser = <T>(work: (client: Client) => Promise<T>): Promise<T> => session(url, work);

/** `keywright revoke` with the account of a responder: no API server, no peppers, nothing but the database. */
const revoke = (...args: readonly string[]) => runProgram(['revoke', ...args], { KEYWRIGHT_DATABASE_URL: responder.href });

async function issued() {
  const request = mintRequest();
  await store.mint(request);
  await store.activate(request.ref.uid, request.version.keyId, undefined, testStart);
  return { uid: request.ref.uid, keyId: request.version.keyId };
}

describe('keywright revoke --direct', () => {
  test('[S4-10] closes the ApiKey with nothing but the database, and says so', async () => {
    const { uid, keyId } = await issued();
    const args = ['--direct', `acme_live_${keyId}`, '--reason', 'KeyCompromise'];
    expect(await revoke(...args)).toEqual({
      code: 0,
      stdout: `${keyId} is revoked, and its ApiKey closed for good\n`,
      stderr: '',
    });
    expect(await store.readKey(uid)).toMatchObject({ versions: [], key: { revokedReason: 'KeyCompromise' } });
    const [line] = await store.readAudit({ keyId }, 1);
    expect(line).toMatchObject({ action: 'revoke', actor: `login:${account}`, detail: { reason: 'KeyCompromise' } });
    expect(line?.detail['who']).toMatch(/^cli:./);
    expect(await revoke(...args)).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing was changed') as string });
  });

  test('ends one version with --replace, and leaves the ApiKey open', async () => {
    const { uid, keyId } = await issued();
    expect(await revoke('--direct', keyId, '--replace')).toMatchObject({ code: 0 });
    const { key, versions, compromised } = await store.readKey(uid);
    expect([key?.revokedReason, versions, compromised?.keyId]).toEqual([undefined, [], keyId]);
  });

  test('says that a key id is unknown, with 1', async () => {
    const ended = await revoke('--direct', 'AAAAAAAAAAAA');
    expect(ended).toEqual({ code: 1, stdout: 'there is no key with the id AAAAAAAAAAAA; nothing was changed\n', stderr: '' });
  });

  test('says that a database does not answer, with 1, and refuses wrong arguments, with 2', async () => {
    const away = { KEYWRIGHT_DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nowhere' };
    const [unreachable, ...wrong] = await Promise.all([
      runProgram(['revoke', '--direct', 'AAAAAAAAAAAA'], away),
      runProgram(['revoke', '--direct', 'AAAAAAAAAAAA'], {}),
      revoke(),
      revoke('--direct', 'short'),
      revoke('--direct', 'AAAAAAAAAAAA', '--reason', 'Because'),
    ]);
    expect(unreachable).toMatchObject({ code: 1, stdout: expect.stringContaining('run this again') as string, stderr: '' });
    expect(wrong.map((ended) => ended.code)).toEqual([2, 2, 2, 2]);
    expect(wrong.map((ended) => ended.stderr).join('\n')).not.toContain('defect');
  });

  test('[S1-8] refuses the value of a key, and does not repeat it', async () => {
    const { token } = mintToken({ prefix: 'acme', environment: 'live', random: randomBytes });
    const ended = await revoke('--direct', token.reveal());
    expect(ended.code).toBe(2);
    expect(ended.stdout + ended.stderr).not.toContain(token.reveal().slice(-20));
  });
});

describe('who may only revoke', () => {
  test('cannot lead the function astray with objects of its own', async () => {
    const { keyId, uid } = await issued();
    await session(responder.href, async (client) => {
      await client.query('create temporary table version (key_id text, apikey_uid text)');
      await client.query(`set search_path = pg_temp, keywright`);
      const called = await client.query<{ outcome: string }>(
        `select keywright.keywright_revoke($1, 'cli:ana', 'KeyCompromise', true) as outcome`,
        [keyId],
      );
      expect(called.rows).toEqual([{ outcome: 'revoked' }]);
    });
    expect((await store.readKey(uid)).versions).toEqual([]);
  });
});
