import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownControlPlane, useOpenBao, usePostgres } from '../harness/parts.ts';
import { fingerprint, makePeppersFile, startAuthorizer, startOperator, verify } from '../harness/program.ts';
import type { AuthorizerProgram, Program } from '../harness/program.ts';
import { Scene, type DeliverTo, type SeenCondition } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import { FaultProxy } from '../harness/faultproxy.ts';

const plane = await ownControlPlane();
const openbao = await useOpenBao();
const postgres = await usePostgres();
const scene = new Scene(plane.kube);
const database = await postgres.createDatabase();
const peppersFile = makePeppersFile();
const started: Program[] = [];
const proxies: FaultProxy[] = [];
let authorizer: AuthorizerProgram;

/** What a slow machine may need until something that is woken has come. */
const comes = { deadlineMs: 45_000, everyMs: 100 };
/** The same for what a waiting key finds out by itself, at its next look. */
const heals = { deadlineMs: 90_000, everyMs: 250 };

async function startFor(namespaces: readonly string[], databaseUrl: string): Promise<Program> {
  const operator = await startOperator({
    databaseUrl,
    peppersFile,
    kubeconfig: plane.kube.kubeconfig(),
    env: {
      KEYWRIGHT_LEADER_ELECTION: 'off',
      KEYWRIGHT_NAMESPACES: namespaces.join(','),
      KEYWRIGHT_DELIVER_DEADLINE: '5s',
      KEYWRIGHT_WITHDRAW_DEADLINE: '5s',
    },
  });
  started.push(operator);
  return operator;
}

async function query<T extends object>(url: string, text: string, values: readonly unknown[] = []): Promise<readonly T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

/** The versions of a key that were made, or of these those that were no lost attempt. */
async function versionsOf(
  namespace: string,
  name: string,
  { url = database.url, withLost = true }: { url?: string; withLost?: boolean } = {},
): Promise<number> {
  const which = withLost ? '' : ' and not v.lost';
  const rows = await query<{ count: number }>(
    url,
    `select count(*)::int as count from keywright.version v join keywright.apikey k on k.uid = v.apikey_uid where k.namespace = $1 and k.name = $2${which}`,
    [namespace, name],
  );
  return rows[0]?.count ?? -1;
}

async function inVault(path: string): Promise<string | undefined> {
  const answer = (await openbao.call('GET', `secret/data/keywright/${path}`)) as
    { data?: { data?: Record<string, string> } } | undefined;
  return answer?.data?.data?.['api-key'];
}

async function inSecret(namespace: string, name: string): Promise<string | undefined> {
  return (await scene.readSecret(namespace, name))?.['api-key'];
}

async function ready(namespace: string, name: string, options = comes): Promise<void> {
  await until(() => scene.isReady(namespace, name), { what: `${namespace}/${name} Ready`, ...options });
}

async function says(namespace: string, name: string, type: string, verdict: string, options = comes): Promise<string> {
  await until(async () => (await scene.verdict(namespace, name, type)) === verdict, {
    what: `${namespace}/${name} ${type} ${verdict}`,
    ...options,
  });
  return (await scene.condition(namespace, name, type))?.message ?? '';
}

/** Known and right: the catalog of the scene has no endpoints, so a living key is refused for that alone. */
async function lives(value: string | undefined, url = authorizer.url): Promise<boolean> {
  return (await verify(url, value ?? '')).code === 'endpoint_not_allowed';
}

/** A KeyDestination's Ready, with the words that a person reads. */
async function destinationSays(name: string, expected: Pick<SeenCondition, 'status' | 'reason' | 'message'>): Promise<void> {
  await until(async () => (await readyOf(name))?.status === expected.status, { what: `${name} ${expected.reason}`, ...heals });
  expect(await readyOf(name)).toMatchObject(expected);
}

async function readyOf(name: string): Promise<SeenCondition | undefined> {
  return (await scene.destinationStatus(name)).conditions?.find(({ type }) => type === 'Ready');
}

async function proxied(name: string): Promise<FaultProxy> {
  const proxy = await FaultProxy.start(openbao.address);
  proxies.push(proxy);
  await scene.declareVault(name, proxy.address, openbao.rootToken);
  return proxy;
}

const namespaces = ['eight', 'edits', 'closing', 'shared', 'again', 'storm', 'ending', 'flapping', 'tampered'] as const;

beforeAll(async () => {
  await scene.prepare();
  for (const name of namespaces) await plane.kube.request('POST', '/api/v1/namespaces', { body: { metadata: { name } } });
  await scene.declareVault('vault', openbao.address, openbao.rootToken);
  await startFor(namespaces, database.url);
  authorizer = await startAuthorizer({ databaseUrl: database.url, peppersFile });
  started.push(authorizer);
});

afterAll(async () => {
  await Promise.all(started.map((one) => one.stop()));
  await Promise.all(proxies.map((one) => one.stop()));
  await plane.kube.close();
  await plane.stop();
});

describe.concurrent('one key in many places', () => {
  it(
    'does not let a dead destination of eight keep the other seven waiting, and delivers the same value there later',
    {
      timeout: 180_000,
    },
    async () => {
      const dead = await proxied('dead-of-eight');
      await dead.become({ kind: 'closed' });
      const paths = ['a', 'b', 'c', 'd', 'e', 'f'];
      const targets: DeliverTo[] = [
        ...paths.map((path) => ({ name: path, destination: 'vault', path: `eight/${path}` })),
        { name: 'local', secret: { name: 'eight' } },
        { name: 'dead', destination: 'dead-of-eight' },
      ];
      await scene.createKey('eight', 'eight', targets);
      // After the deadline the others get on without it: active, and the status names who lacks it.
      await until(async () => (await scene.readKey('eight', 'eight'))?.status?.currentKey?.activatedAt, {
        what: 'the activation',
        ...heals,
      });
      const value = await until(() => inSecret('eight', 'eight'), { what: 'the Secret', ...comes });
      expect(await says('eight', 'eight', 'Delivered', 'False DestinationUnavailable', heals)).toContain('dead');
      await destinationSays('dead-of-eight', {
        status: 'False',
        reason: 'DestinationUnavailable',
        message: 'no trustworthy answer from the Vault server; the log of the operator has the cause',
      });
      expect(await lives(value)).toBe(true);
      for (const path of paths) expect(fingerprint(await inVault(`vault/eight/eight/${path}`))).toBe(fingerprint(value));

      await dead.become({ kind: 'well' });
      await ready('eight', 'eight', heals);
      expect(fingerprint(await inVault('dead-of-eight/eight/eight'))).toBe(fingerprint(value));
      expect(await versionsOf('eight', 'eight')).toBe(1);
      await destinationSays('dead-of-eight', {
        status: 'True',
        reason: 'Available',
        message: 'Login and rights are there.',
      });
      await until(async () => (await scene.destinationStatus('dead-of-eight')).keys === 1, { what: 'the key counted', ...heals });
    },
  );

  it(
    'copies the same value to a place that is added, empties one that is removed, and moves one whose path is edited',
    {
      timeout: 120_000,
    },
    async () => {
      await scene.createKey('edits', 'edits', [{ name: 'local', secret: { name: 'first' } }]);
      await ready('edits', 'edits');
      const value = await inSecret('edits', 'first');
      const holds = async (read: () => Promise<string | undefined>, what: string): Promise<void> => {
        await until(async () => fingerprint(await read()) === fingerprint(value), { what, ...comes });
      };
      const change = (deliverTo: readonly DeliverTo[]): Promise<void> => scene.changeKey('edits', 'edits', { deliverTo });

      await change([
        { name: 'local', secret: { name: 'first' } },
        { name: 'vault', destination: 'vault', path: 'one/old' },
      ]);
      await holds(() => inVault('vault/edits/one/old'), 'the added place');
      await change([
        { name: 'local', secret: { name: 'first' } },
        { name: 'vault', destination: 'vault', path: 'one/new' },
      ]);
      await holds(() => inVault('vault/edits/one/new'), 'the moved place');
      await until(async () => (await inVault('vault/edits/one/old')) === undefined, { what: 'the old path empty', ...comes });
      await change([{ name: 'vault', destination: 'vault', path: 'one/new' }]);
      await until(async () => (await inSecret('edits', 'first')) === undefined, { what: 'the removed Secret away', ...comes });
      await ready('edits', 'edits');
      expect(fingerprint(await inVault('vault/edits/one/new'))).toBe(fingerprint(value));
      expect(await lives(value)).toBe(true);
      expect(await versionsOf('edits', 'edits')).toBe(1);
    },
  );

  it(
    'keeps a KeyDestination under deletion until no key is there, and puts nothing new into one that does not allow the namespace',
    {
      timeout: 150_000,
    },
    async () => {
      await scene.declareVault('closing', openbao.address, openbao.rootToken);
      const both: DeliverTo[] = [
        { name: 'vault', destination: 'closing' },
        { name: 'local', secret: { name: 'closing' } },
      ];
      await scene.createKey('closing', 'closing', both);
      await ready('closing', 'closing');
      const value = await inSecret('closing', 'closing');
      await scene.changeDestination('closing', { allowedNamespaces: { all: null, names: ['somewhere-else'] } });
      // What is there stays and works; a second key gets nothing.
      await scene.createKey('closing', 'refused', [{ name: 'vault', destination: 'closing' }]);
      expect(await says('closing', 'refused', 'Ready', 'False NotPermitted')).toContain('closing');
      expect(await versionsOf('closing', 'refused')).toBeLessThanOrEqual(0);
      expect(fingerprint(await inVault('closing/closing/closing'))).toBe(fingerprint(value));
      expect(await lives(value)).toBe(true);

      await scene.deleteDestination('closing');
      await scene.touch('closing', 'closing');
      await until(async () => (await scene.verdict('closing', 'closing', 'Delivered')) !== 'absent', {
        what: 'a look',
        ...comes,
      });
      expect(await scene.hasDestination('closing')).toBe(true);
      expect(await lives(value)).toBe(true);
      await scene.changeKey('closing', 'closing', { deliverTo: [{ name: 'local', secret: { name: 'closing' } }] });
      await until(async () => !(await scene.hasDestination('closing')), { what: 'the KeyDestination away', ...heals });
      expect(await inVault('closing/closing/closing')).toBeUndefined();
      await ready('closing', 'closing');
      expect(fingerprint(await inSecret('closing', 'closing'))).toBe(fingerprint(value));
    },
  );

  it(
    'gives one place to one of two keys, mints nothing for the other, and lets it in when the first is gone',
    {
      timeout: 150_000,
    },
    async () => {
      const place: DeliverTo[] = [{ name: 'vault', destination: 'vault', path: 'shared/place' }];
      await scene.createKey('shared', 'first', place);
      await ready('shared', 'first');
      const value = await inVault('vault/shared/shared/place');
      await scene.createKey('shared', 'second', place);
      await says('shared', 'second', 'Stalled', 'True LocationTaken');
      expect(await versionsOf('shared', 'second')).toBeLessThanOrEqual(0);
      expect(fingerprint(await inVault('vault/shared/shared/place'))).toBe(fingerprint(value));
      await scene.deleteKey('shared', 'first');
      await until(async () => (await scene.readKey('shared', 'first')) === undefined, { what: 'the first away', ...comes });
      await scene.touch('shared', 'second');
      await ready('shared', 'second', heals);
      expect(await lives(value)).toBe(false);
      expect(await lives(await inVault('vault/shared/shared/place'))).toBe(true);
    },
  );

  it('gives a key that is deleted and created anew at once a new value at the same places', async () => {
    const both: DeliverTo[] = [
      { name: 'vault', destination: 'vault' },
      { name: 'local', secret: { name: 'again' } },
    ];
    await scene.createKey('again', 'again', both);
    await ready('again', 'again');
    const before = { uid: (await scene.readKey('again', 'again'))?.metadata.uid, value: await inSecret('again', 'again') };
    await scene.deleteKey('again', 'again');
    await until(
      async () => {
        await scene.createKey('again', 'again', both);
        return true;
      },
      { what: 'the name', deadlineMs: 45_000, everyMs: 20 },
    );
    await ready('again', 'again');
    expect((await scene.readKey('again', 'again'))?.metadata.uid).not.toBe(before.uid);
    const value = await inSecret('again', 'again');
    expect(fingerprint(value)).not.toBe(fingerprint(before.value));
    expect(fingerprint(await inVault('vault/again/again'))).toBe(fingerprint(value));
    expect([await lives(before.value), await lives(value)]).toEqual([false, true]);
  });
});

describe.concurrent('a Secret that somebody edits', () => {
  it('is as it was delivered again, without a new version', async () => {
    await scene.createKey('tampered', 'billing', [
      { name: 'vault', destination: 'vault' },
      { name: 'local', secret: { name: 'billing' } },
    ]);
    await ready('tampered', 'billing');
    const path = '/api/v1/namespaces/tampered/secrets/billing';
    const read = async (): Promise<unknown> => {
      const { body } = await plane.kube.request('GET', path);
      const { metadata, data } = body as { metadata: Record<string, unknown>; data: unknown };
      return { labels: metadata['labels'], ownerReferences: metadata['ownerReferences'], data };
    };
    const delivered = await read();
    await scene.createKey('tampered', 'other', [{ name: 'local', secret: { name: 'other' } }]);
    await ready('tampered', 'other');
    const other = (await plane.kube.request('GET', '/api/v1/namespaces/tampered/secrets/other')).body as {
      readonly metadata: { readonly annotations: object };
      readonly data: object;
    };
    // Few, because a Secret that somebody edits in a loop is answered six times a minute.
    const edits: readonly object[] = [
      { stringData: { header: 'Authorization: Bearer somebody-elses', password: 'somebody-elses' }, data: { provider: null } },
      { metadata: { labels: { 'app.kubernetes.io/managed-by': 'Helm' } }, stringData: { 'api-key': 'somebody-elses' } },
      { metadata: { ownerReferences: null } },
      { metadata: { annotations: other.metadata.annotations }, data: other.data },
    ];
    for (const edit of edits) {
      await plane.kube.request('PATCH', path, { body: edit, contentType: 'application/merge-patch+json' });
      await until(async () => isDeepStrictEqual(await read(), delivered), { what: JSON.stringify(edit), ...comes });
    }
    expect(await versionsOf('tampered', 'billing')).toBe(1);
    await ready('tampered', 'billing');
  });
});

describe.concurrent('what storms costs little', () => {
  it(
    'a Secret that somebody deletes in a loop: no new value while a sibling has it, and at most one without',
    {
      timeout: 150_000,
    },
    async () => {
      await scene.createKey('storm', 'sibling', [
        { name: 'vault', destination: 'vault' },
        { name: 'local', secret: { name: 'sibling' } },
      ]);
      await scene.createKey('storm', 'alone', [{ name: 'local', secret: { name: 'alone' } }]);
      await ready('storm', 'sibling');
      await ready('storm', 'alone');
      const isThere = async (): Promise<void> => {
        await until(() => inSecret('storm', 'sibling'), { what: 'the Secret again', ...heals });
      };
      for (let round = 0; round < 4; round += 1) {
        await isThere();
        await scene.deleteSecret('storm', 'sibling');
        await scene.deleteSecret('storm', 'alone');
      }
      // Somebody who does not stop is answered six times a minute, then with the next one: one may stand there already, and
      // what the status names as lost is looked at once more after a minute.
      const made = new Set<string>();
      await until(
        async () => {
          const { body } = await plane.kube.request('GET', '/api/v1/namespaces/storm/secrets/sibling');
          const uid = (body as { metadata?: { uid?: string } }).metadata?.uid;
          if (uid === undefined) return false;
          made.add(uid);
          await scene.deleteSecret('storm', 'sibling');
          return false;
        },
        { what: 'the loop', deadlineMs: 5_000, isExact: true, everyMs: 10 },
      ).catch(() => undefined);
      expect(made.size).toBeLessThanOrEqual(1 + 6 + 1);
      await isThere();
      expect(await versionsOf('storm', 'sibling')).toBe(1);
      expect(await lives(await inSecret('storm', 'sibling'))).toBe(true);
      // The first loss costs a version; after it the brake holds. A Secret that goes between its write and the activation
      // costs another attempt of the same version: each of the four deletions at most one.
      await says('storm', 'alone', 'Ready', 'False DestinationDrift');
      expect(await versionsOf('storm', 'alone', { withLost: false })).toBe(2);
      expect(await versionsOf('storm', 'alone')).toBeLessThanOrEqual(2 + 4);
    },
  );

  it('a namespace that ends Secrets first: nothing is minted or written on its way out', async () => {
    const names = ['a', 'b', 'c'];
    for (const name of names) await scene.createKey('ending', name, [{ name: 'local', secret: { name } }]);
    for (const name of names) await ready('ending', name);
    const values = await Promise.all(names.map((name) => inSecret('ending', name)));
    const minted = await query<{ count: number }>(
      database.url,
      "select count(*)::int as count from keywright.version v join keywright.apikey k on k.uid = v.apikey_uid where k.namespace = 'ending'",
    );
    await plane.kube.request('DELETE', '/api/v1/namespaces/ending');
    for (const name of names) await scene.deleteSecret('ending', name);
    await until(async () => (await plane.kube.request('GET', '/api/v1/namespaces/ending')).status === 404, {
      what: 'the namespace away',
      ...heals,
    });
    const after = await query<{ count: number }>(
      database.url,
      "select count(*)::int as count from keywright.version v join keywright.apikey k on k.uid = v.apikey_uid where k.namespace = 'ending'",
    );
    expect(after).toEqual(minted);
    for (const value of values) expect(await lives(value)).toBe(false);
  });

  it('a Vault that comes and goes: one version for each key, and few calls', async () => {
    const flapping = await proxied('flapping');
    const names = Array.from({ length: 8 }, (_, at) => `key-${at}`);
    for (const name of names) {
      await scene.createKey('flapping', name, [
        { name: 'vault', destination: 'flapping' },
        { name: 'local', secret: { name } },
      ]);
    }
    for (let round = 0; round < 10; round += 1) {
      await flapping.become(round % 2 === 0 ? { kind: 'status', code: 503 } : { kind: 'well' });
      const seen = flapping.calls;
      // Until it was asked something in this mood, or left in peace for a while.
      await until(() => flapping.calls > seen, { what: 'a call', deadlineMs: 2_000, isExact: true }).catch(() => undefined);
    }
    await flapping.become({ kind: 'well' });
    for (const name of names) await ready('flapping', name, heals);
    for (const name of names) {
      expect(await versionsOf('flapping', name)).toBe(1);
      expect(fingerprint(await inVault(`flapping/flapping/${name}`))).toBe(fingerprint(await inSecret('flapping', name)));
    }
    // Eight keys with about seven calls each when all goes well, some looks that failed, and the probes.
    expect(flapping.calls).toBeLessThanOrEqual(names.length * 20 + 60);

    // Down for all of them at once, and back: they do not come back all at once.
    await flapping.become({ kind: 'status', code: 503 });
    for (const name of names) {
      await scene.changeKey('flapping', name, {
        deliverTo: [
          { name: 'vault', destination: 'flapping' },
          { name: 'local', secret: { name } },
          { name: 'more', destination: 'flapping', path: `more/${name}` },
        ],
      });
    }
    for (const name of names) await says('flapping', name, 'Delivered', 'False DestinationUnavailable', heals);
    await until(async () => (await readyOf('flapping'))?.status === 'False', {
      what: 'flapping not Ready',
      ...heals,
    });
    await flapping.become({ kind: 'well' });
    for (const name of names) await ready('flapping', name, heals);
    const [spread] = await query<{ seconds: number }>(
      database.url,
      `select extract(epoch from max(delivered_at) - min(delivered_at))::float8 as seconds from keywright.delivery
       where path like 'secret/keywright/flapping/flapping/more/%'`,
    );
    // Eight turns, ten a second.
    expect(spread?.seconds).toBeGreaterThan(0.4);
    for (const name of names) expect(await versionsOf('flapping', name)).toBe(1);
  });
});
