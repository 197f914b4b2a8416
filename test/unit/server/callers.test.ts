import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { Authorize } from '../../../operator/src/authorize/authorize.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { CallerTokensFault, parseCallerTokens } from '../../../operator/src/server/callers.ts';
import type { Listener } from '../../../operator/src/server/listener.ts';
import { noProtection, readProtection, startVerifyServer } from '../../../operator/src/server/start.ts';
import type { Protection, ProtectionFiles } from '../../../operator/src/server/start.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { certificate } from '../../builders/certificate.ts';
import type { Certificate } from '../../builders/certificate.ts';

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
const body = JSON.stringify({ request: { host: 'h', method: 'GET', path: '/' } });
const everywhere = { kind: 'tcp', host: '0.0.0.0', port: 0 } as const;
const authorize: Authorize = () => Promise.resolve({ allowed: false, code: 'key_missing' });
const noFiles: ProtectionFiles = {
  tlsCertFile: undefined,
  tlsKeyFile: undefined,
  clientCaFile: undefined,
  callerTokensFile: undefined,
};

let folder: string;
let running: Listener | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keywright-callers-'));
});
afterEach(async () => {
  await running?.close(1_000);
  running = undefined;
  await rm(folder, { recursive: true });
});

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

async function start(protection: Protection): Promise<number> {
  running = await startVerifyServer({ address: everywhere, protection, authorize, clock: systemClock, log: silentLog });
  return running.address.kind === 'tcp' ? running.address.port : 0;
}

describe('caller tokens', () => {
  test('admit who sends one of them, and nobody else', async () => {
    const tokens = JSON.stringify({ envoy: digest('first token'), mailer: digest('second token') });
    const port = await start(await readProtection({ ...noFiles, callerTokensFile: await file('callers.json', tokens) }));
    const ask = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`http://127.0.0.1:${String(port)}/v1/verify`, { method: 'POST', body, headers })).status;
    expect(await ask({ 'Keywright-Caller': 'first token' })).toBe(200);
    expect(await ask({ 'keywright-caller': 'second token' })).toBe(200);
    expect(await ask({ 'Keywright-Caller': 'third token' })).toBe(401);
    expect(await ask({ 'Keywright-Caller': digest('first token') })).toBe(401);
    expect(await ask({ 'Keywright-Caller': '' })).toBe(401);
    expect(await ask({})).toBe(401);
  });

  test('a refusal is a problem that names the header', async () => {
    const port = await start({ tls: undefined, callerTokens: parseCallerTokens(JSON.stringify({ a: digest('a') })) });
    const response = await fetch(`http://127.0.0.1:${String(port)}/v1/verify`, { method: 'POST', body });
    expect([response.status, response.headers.get('www-authenticate'), response.headers.get('content-type')]).toEqual([
      401,
      'Keywright-Caller',
      'application/problem+json',
    ]);
  });

  test.each(['', '[]', '{}', '{"a":"short"}', '{"a":5}', `{"a b":"${digest('x')}"}`])('the file %j is refused', (text) => {
    expect(() => parseCallerTokens(text)).toThrow(CallerTokensFault);
  });
});

describe('a listener that strangers can reach', () => {
  test('does not start without a way to prove callers', async () => {
    await expect(start(noProtection)).rejects.toThrow('0.0.0.0:0 is reachable from outside');
  });

  test('does not start on files that cannot be read, or that lack their other half', async () => {
    const cert = await file('tls.crt', 'x');
    await expect(readProtection({ ...noFiles, callerTokensFile: join(folder, 'none') })).rejects.toThrow('cannot be read');
    await expect(readProtection({ ...noFiles, tlsCertFile: cert })).rejects.toThrow('both a certificate and a key');
    await expect(readProtection({ ...noFiles, clientCaFile: cert })).rejects.toThrow('need TLS');
  });
});

describe('client certificates', () => {
  let authority: Certificate;
  let server: Certificate;
  let client: Certificate;
  let stranger: Certificate;
  beforeAll(() => {
    authority = certificate('authority');
    server = certificate('server', authority);
    client = certificate('client', authority);
    stranger = certificate('client', certificate('authority'));
  });

  async function protect(tokens?: string): Promise<Protection> {
    return await readProtection({
      tlsCertFile: await file('tls.crt', server.cert),
      tlsKeyFile: await file('tls.key', server.key),
      clientCaFile: await file('ca.crt', authority.cert),
      callerTokensFile: tokens === undefined ? undefined : await file('callers.json', tokens),
    });
  }

  function ask(port: number, identity: Certificate | undefined, headers: Record<string, string> = {}): Promise<number | 'cut'> {
    return new Promise((resolve) => {
      const options = {
        host: '127.0.0.1',
        port,
        path: '/v1/verify',
        method: 'POST',
        headers,
        ca: authority.cert,
        agent: false as const,
      };
      const sent = httpsRequest(
        { ...options, ...(identity === undefined ? {} : { cert: identity.cert, key: identity.key }) },
        (response) => {
          response.resume();
          response.on('end', () => resolve(response.statusCode ?? 'cut'));
        },
      );
      sent.on('error', () => resolve('cut'));
      sent.end(body);
    });
  }

  test('admit who shows one of our authority; others do not get as far as HTTP', async () => {
    const port = await start(await protect());
    expect(await ask(port, client)).toBe(200);
    expect(await ask(port, stranger)).toBe('cut');
    expect(await ask(port, undefined)).toBe('cut');
  });

  test('with caller tokens beside them, either of both admits', async () => {
    const port = await start(await protect(JSON.stringify({ envoy: digest('token') })));
    expect(await ask(port, client)).toBe(200);
    expect(await ask(port, undefined, { 'Keywright-Caller': 'token' })).toBe(200);
    expect(await ask(port, undefined)).toBe(401);
    expect(await ask(port, stranger)).toBe(401);
  });
});
