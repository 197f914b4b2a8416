import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect as connectSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { SecureVersion, TLSSocket } from 'node:tls';

import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';

import type { Authorize } from '../../../operator/src/authorize/authorize.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import type { Clock } from '../../../operator/src/domain/time.ts';
import type { ListenAddress } from '../../../operator/src/server/address.ts';
import { CallerTokensFault, parseCallerTokens } from '../../../operator/src/server/callers.ts';
import type { Listener } from '../../../operator/src/server/listener.ts';
import { noProtection, openProtection } from '../../../operator/src/server/protection.ts';
import type { FileProtection, Protection, ProtectionFiles } from '../../../operator/src/server/protection.ts';
import { startVerifyServer } from '../../../operator/src/server/start.ts';
import { silentLog } from '../../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../../operator/src/telemetry/metrics.ts';
import { certificate } from '../../builders/certificate.ts';
import type { Certificate } from '../../builders/certificate.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';

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
  await running?.close(0);
  running = undefined;
  await rm(folder, { recursive: true });
});

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

async function start(protection: Protection, clock: Clock = systemClock, address: ListenAddress = everywhere): Promise<number> {
  const input = { address, protection, authorize, clock, log: silentLog };
  running = await startVerifyServer({ ...input, metrics: silentMetrics, maxConnections: 64 });
  return running.address.kind === 'tcp' ? running.address.port : 0;
}

/** Compares all files with what counts, as the watch does every two seconds. */
async function refresh(protection: FileProtection): Promise<void> {
  for (const one of protection.files) await one.refresh();
}

describe('caller tokens', () => {
  test('admit who sends one of them, and nobody else', async () => {
    const tokens = JSON.stringify({ envoy: digest('first token'), mailer: digest('second token') });
    const port = await start(await openProtection({ ...noFiles, callerTokensFile: await file('callers.json', tokens) }));
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
    const port = await start(
      await openProtection({ ...noFiles, callerTokensFile: await file('c.json', JSON.stringify({ a: digest('a') })) }),
    );
    const response = await fetch(`http://127.0.0.1:${String(port)}/v1/verify`, { method: 'POST', body });
    expect([response.status, response.headers.get('www-authenticate'), response.headers.get('content-type')]).toEqual([
      401,
      'Keywright-Caller',
      'application/problem+json',
    ]);
  });

  test.each(['', '[]', `{"a":"${digest('x')}","a":"${digest('y')}"}`, '{"a":"short"}', '{"a":5}', `{"a b":"${digest('x')}"}`])(
    'the file %j is refused, and named',
    (text) => {
      expect(() => parseCallerTokens('/etc/tokens.json', text)).toThrow(CallerTokensFault);
      expect(() => parseCallerTokens('/etc/tokens.json', text)).toThrow('/etc/tokens.json: ');
    },
  );

  test('a token that is taken out of the file is refused on the next request, and one that is added is admitted', async () => {
    const write = (tokens: Readonly<Record<string, string>>): Promise<string> => file('callers.json', JSON.stringify(tokens));
    const path = await write({ envoy: digest('first token'), mailer: digest('second token') });
    const protection = await openProtection({ ...noFiles, callerTokensFile: path });
    const port = await start(protection);
    const ask = async (token: string): Promise<number> => {
      const headers = { 'Keywright-Caller': token };
      return (await fetch(`http://127.0.0.1:${String(port)}/v1/verify`, { method: 'POST', body, headers })).status;
    };
    expect([await ask('first token'), await ask('third token')]).toEqual([200, 401]);
    await write({ mailer: digest('second token'), portal: digest('third token') });
    await refresh(protection);
    expect([await ask('first token'), await ask('second token'), await ask('third token')]).toEqual([401, 200, 200]);
    // Who takes away the last one means it.
    await write({});
    await refresh(protection);
    expect(await ask('second token')).toBe(401);
  });

  test('a file that breaks while we run changes nothing, and the error names it', async () => {
    const path = await file('callers.json', JSON.stringify({ envoy: digest('token') }));
    const protection = await openProtection({ ...noFiles, callerTokensFile: path });
    await file('callers.json', '{"envoy":');
    await expect(refresh(protection)).rejects.toThrow(`${path}: the caller token file is not JSON`);
    expect([...(protection.callerTokens?.value.keys() ?? [])]).toEqual(['envoy']);
  });
});

test('a listener on a Unix socket does not start with a TLS key', async () => {
  const { cert, key } = certificate('server');
  const tlsCertFile = await file('unix.crt', cert);
  const protection = await openProtection({ ...noFiles, tlsCertFile, tlsKeyFile: await file('unix.key', key) });
  const address = { kind: 'unix', path: join(folder, 'verify.sock') } as const;
  const input = {
    address,
    protection,
    authorize,
    clock: systemClock,
    log: silentLog,
    metrics: silentMetrics,
    maxConnections: 64,
  };
  await expect(startVerifyServer(input)).rejects.toThrow('is a Unix socket, which needs no TLS: set no TLS key for it');
});

describe('a listener that only this machine can reach', () => {
  const loopback = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;

  test('trusts everybody while no proof is configured', async () => {
    const port = await start(noProtection, systemClock, loopback);
    expect((await fetch(`http://127.0.0.1:${String(port)}/v1/verify`, { method: 'POST', body })).status).toBe(200);
  });

  test('asks for the tokens that are configured', async () => {
    const path = await file('callers.json', JSON.stringify({ envoy: digest('token') }));
    const port = await start(await openProtection({ ...noFiles, callerTokensFile: path }), systemClock, loopback);
    const ask = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`http://127.0.0.1:${String(port)}/v1/verify`, { method: 'POST', body, headers })).status;
    expect([await ask({}), await ask({ 'Keywright-Caller': 'token' })]).toEqual([401, 200]);
  });

  test('asks for them on a Unix socket, too', async () => {
    const callerTokensFile = await file('callers.json', JSON.stringify({ envoy: digest('token') }));
    const path = join(folder, 'verify.sock');
    await start(await openProtection({ ...noFiles, callerTokensFile }), systemClock, { kind: 'unix', path });
    const ask = async (headers: Record<string, string>): Promise<number | undefined> =>
      await new Promise((resolve, reject) => {
        const asked = httpRequest({ socketPath: path, path: '/v1/verify', method: 'POST', headers }, (response) => {
          resolve(response.resume().statusCode);
        });
        asked.on('error', reject).end(body);
      });
    expect([await ask({}), await ask({ 'Keywright-Caller': 'token' })]).toEqual([401, 200]);
  });

  test('asks for the client certificates that are configured', async () => {
    const authority = certificate('authority');
    const [server, client] = [certificate('server', authority), certificate('client', authority)];
    const protection = await openProtection({
      ...noFiles,
      tlsCertFile: await file('tls.crt', server.cert),
      tlsKeyFile: await file('tls.key', server.key),
      clientCaFile: await file('ca.crt', authority.cert),
    });
    const port = await start(protection, systemClock, loopback);
    const ask = async (identity: { readonly cert?: string; readonly key?: string }): Promise<number | string | undefined> =>
      await new Promise((resolve) => {
        const at = { host: '127.0.0.1', port, path: '/v1/verify', method: 'POST', agent: false, ca: authority.cert } as const;
        httpsRequest({ ...at, ...identity }, (response) => resolve(response.resume().statusCode))
          .on('error', () => resolve('cut'))
          .end(body);
      });
    expect([await ask({}), await ask({ cert: client.cert, key: client.key })]).toEqual(['cut', 200]);
  });
});

describe('a listener that strangers can reach', () => {
  test('does not start without a way to prove callers', async () => {
    await expect(start(noProtection)).rejects.toThrow('0.0.0.0:0 is reachable from outside');
  });

  test('does not start on files that cannot be read, or that lack their other half', async () => {
    const cert = await file('tls.crt', 'x');
    await expect(openProtection({ ...noFiles, callerTokensFile: join(folder, 'none') })).rejects.toThrow('cannot be read');
    await expect(openProtection({ ...noFiles, tlsCertFile: cert })).rejects.toThrow('both a certificate and a key');
    await expect(openProtection({ ...noFiles, clientCaFile: cert })).rejects.toThrow('need TLS');
  });

  test('does not start with a file of tokens that names nobody', async () => {
    const path = await file('callers.json', '{}');
    await expect(openProtection({ ...noFiles, callerTokensFile: path })).rejects.toThrow(
      `${path}: the caller token file names no`,
    );
  });

  test('names the file in which a certificate, an authority or a key is wrong', async () => {
    const [good, other] = [certificate('server'), certificate('other')];
    const open = async (changes: Readonly<Record<string, string>>): Promise<FileProtection> => {
      const { cert, key, ca } = { cert: good.cert, key: good.key, ca: good.cert, ...changes };
      const [tlsCertFile, tlsKeyFile, clientCaFile] = [
        await file('tls.crt', cert),
        await file('tls.key', key),
        await file('ca.crt', ca),
      ];
      return await openProtection({ ...noFiles, tlsCertFile, tlsKeyFile, clientCaFile });
    };
    const broken = good.cert.replace(/MII/, 'AAA');
    await expect(open({ cert: 'x' })).rejects.toThrow('tls.crt: there is no certificate in PEM');
    await expect(open({ cert: good.cert + broken })).rejects.toThrow('tls.crt: certificate 2 cannot be read');
    await expect(open({ key: 'x' })).rejects.toThrow('tls.key: this is not a private key in PEM');
    await expect(open({ key: other.key })).rejects.toThrow('tls.key: this is not the key of the first certificate in');
    await expect(open({ ca: '' })).rejects.toThrow('ca.crt: there is no certificate in PEM');
  });
});

describe('client certificates', () => {
  const tokens = JSON.stringify({ envoy: digest('token') });
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

  async function protect(callers?: string): Promise<FileProtection> {
    return await openProtection({
      tlsCertFile: await file('tls.crt', server.cert),
      tlsKeyFile: await file('tls.key', server.key),
      clientCaFile: await file('ca.crt', authority.cert),
      callerTokensFile: callers === undefined ? undefined : await file('callers.json', callers),
    });
  }

  /** One connection of a client, and what came of its session. */
  interface Client {
    readonly socket: TLSSocket;
    /** The status of one request, or `cut`. */
    ask(headers?: string): Promise<string>;
    /** The newest session that the server offered, or that TLS 1.2 agreed on. */
    session(): Buffer | undefined;
  }

  function connect(port: number, identity: Certificate | undefined, options: object = {}): Client {
    const shown = identity === undefined ? {} : { cert: identity.cert, key: identity.key };
    const socket = connectTls({ host: '127.0.0.1', port, ca: authority.cert, ...shown, ...options });
    let offered: Buffer | undefined;
    socket.on('session', (session) => (offered = session));
    socket.on('error', () => {});
    const cut = new Promise<string>((resolve) => socket.once('close', () => resolve('cut')));
    const head = (headers: string) =>
      `POST /v1/verify HTTP/1.1\r\nhost: here\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`;
    return {
      socket,
      session: () => offered ?? socket.getSession(),
      ask: async (headers = '') => {
        const answer = new Promise<string>((resolve) => {
          socket.once('data', (text) => resolve(String(text).split(' ')[1] ?? ''));
        });
        if (!socket.destroyed) socket.write(head(headers));
        return await Promise.race([answer, cut]);
      },
    };
  }

  async function ask(port: number, identity?: Certificate, headers = '', options: object = {}): Promise<string> {
    const one = connect(port, identity, options);
    const status = await one.ask(headers);
    one.socket.destroy();
    return status;
  }

  test('admit who shows one of our authority; others do not get as far as HTTP', async () => {
    const port = await start(await protect());
    expect(await ask(port, client)).toBe('200');
    expect(await ask(port, stranger)).toBe('cut');
    expect(await ask(port)).toBe('cut');
  });

  test('with caller tokens beside them, either of both admits', async () => {
    const port = await start(await protect(tokens));
    expect(await ask(port, client)).toBe('200');
    expect(await ask(port, undefined, 'Keywright-Caller: token\r\n')).toBe('200');
    expect(await ask(port)).toBe('401');
    expect(await ask(port, stranger)).toBe('401');
  });

  describe.each<SecureVersion>(['TLSv1.2', 'TLSv1.3'])('over %s', (version) => {
    const versions = { minVersion: version, maxVersion: version };

    test.each(['who showed a certificate before', 'who never showed one'])(
      'a session gets nobody in without a certificate: %s',
      async (before) => {
        const port = await start(await protect(tokens));
        const first = connect(port, before === 'who never showed one' ? undefined : client, versions);
        expect(await first.ask()).toBe(before === 'who never showed one' ? '401' : '200');
        const session = first.session();
        first.socket.destroy();
        const second = connect(port, undefined, { ...versions, ...(session === undefined ? {} : { session }) });
        expect(await second.ask()).toBe('401');
        expect(second.socket.isSessionReused()).toBe(false);
        second.socket.destroy();
      },
    );

    test('a certificate of an authority that was removed admits nobody: not on a new connection, not on an old one', async () => {
      const protection = await protect(tokens);
      const port = await start(protection);
      const old = connect(port, client, versions);
      expect(await old.ask()).toBe('200');
      await file('ca.crt', certificate('another authority').cert);
      await refresh(protection);
      expect(await old.ask()).toBe('cut');
      expect(await ask(port, client, '', versions)).toBe('401');
      expect(await ask(port, client, 'Keywright-Caller: token\r\n', versions)).toBe('200');
    });
  });

  test('of an authority that was removed do not get as far as HTTP where they are the only way in', async () => {
    const protection = await protect();
    const port = await start(protection);
    const old = connect(port, client);
    expect(await old.ask()).toBe('200');
    await file('ca.crt', certificate('another authority').cert);
    await refresh(protection);
    expect(await old.ask()).toBe('cut');
    expect(await ask(port, client)).toBe('cut');
  });

  test('of an authority that is removed during a handshake admit nobody either', async () => {
    const protection = await protect(tokens);
    const port = await start(protection);
    const socket = connectSocket({ host: '127.0.0.1', port });
    await new Promise((resolve) => socket.once('connect', resolve));
    // The server takes connections in their order: the one above has its context by then.
    expect(await ask(port, client)).toBe('200');
    await file('ca.crt', certificate('another authority').cert);
    await refresh(protection);
    const late = connect(port, client, { socket });
    expect(await late.ask()).toBe('401');
    late.socket.destroy();
  });

  test('an authority that is added cuts no connection', async () => {
    const protection = await protect(tokens);
    const port = await start(protection);
    const other = certificate('another authority');
    const old = connect(port, client);
    expect(await old.ask()).toBe('200');
    await file('ca.crt', authority.cert + other.cert);
    await refresh(protection);
    expect(await old.ask()).toBe('200');
    old.socket.destroy();
    expect(await ask(port, certificate('its client', other))).toBe('200');
  });

  test('connections that were admitted by a token live on when an authority is removed', async () => {
    const protection = await protect(tokens);
    const port = await start(protection);
    const old = connect(port, undefined);
    expect(await old.ask('Keywright-Caller: token\r\n')).toBe('200');
    await file('ca.crt', certificate('another authority').cert);
    await refresh(protection);
    expect(await old.ask('Keywright-Caller: token\r\n')).toBe('200');
    old.socket.destroy();
  });

  test('count on an open connection until they expire, and no longer', async () => {
    const clock = new FakeClock(Date.parse('2048-12-31T23:59:59Z'));
    const port = await start(await protect(tokens), clock);
    const old = connect(port, client);
    expect(await old.ask()).toBe('200');
    clock.jump(1_000);
    expect(await old.ask()).toBe('401');
    old.socket.destroy();
  });

  test('a new key and certificate of ours serve the next connection; a pair that does not fit changes nothing', async () => {
    const protection = await protect(tokens);
    const port = await start(protection);
    const subjectOf = async (): Promise<unknown> => {
      const one = connect(port, client);
      await one.ask();
      const { subject } = one.socket.getPeerCertificate();
      one.socket.destroy();
      return subject.CN;
    };
    expect(await subjectOf()).toBe('server');
    const next = certificate('next server', authority);
    await file('tls.crt', next.cert);
    await expect(refresh(protection)).rejects.toThrow('tls.key: this is not the key of the first certificate in');
    expect(await subjectOf()).toBe('server');
    await file('tls.key', next.key);
    await refresh(protection);
    expect(await subjectOf()).toBe('next server');
  });
});
