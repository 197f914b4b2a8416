import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FaultProxy } from '../harness/faultproxy.ts';
import { ownControlPlane, useOpenBao, usePostgres } from '../harness/parts.ts';
import { makePeppersFile, startOperator, type Program } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';

const plane = await ownControlPlane();
const openbao = await useOpenBao();
const postgres = await usePostgres();
const scene = new Scene(plane.kube);
const names = Array.from({ length: 60 }, (_, at) => `key-${at}`);

let operator: Program;
let standby: Program | undefined;
let options: Parameters<typeof startOperator>[0];
let vault: FaultProxy;
let database: pg.Client;
let namespace: string;

interface Committed {
  readonly live: number;
  readonly suspended: boolean;
  readonly sources: boolean;
  readonly soon: boolean;
}

/** What the store has committed of a key. */
async function committed(name: string): Promise<Committed | undefined> {
  const found = await database.query<Committed>(
    `select count(*) filter (where v.state <> 'ended')::int as live, bool_or(k.suspended) as suspended,
       bool_or(k.selections ? 'allowedSources') as sources, bool_and(v.expires_at < now() + interval '1 day') as soon
     from keywright.apikey k join keywright.version v on v.apikey_uid = k.uid
     where k.namespace = $1 and k.name = $2`,
    [namespace, name],
  );
  return found.rows[0];
}

const path = (name: string) => `/apis/keywright.dev/v1alpha1/namespaces/${namespace}/apikeys/${name}`;
const inAnHour = (): string => new Date(Date.now() + 3_600_000).toISOString();

/** Each way to take a right away, and what of it is to be committed. */
const ways: readonly (readonly [(name: string) => Promise<unknown>, (found: Committed) => boolean])[] = [
  [(name) => scene.changeKey(namespace, name, { revoked: { reason: 'KeyCompromise' } }), ({ live }) => live === 0],
  [(name) => plane.kube.request('DELETE', path(name)), ({ live }) => live === 0],
  [(name) => scene.annotate(namespace, name, { 'keywright.dev/compromised': 'all' }), ({ live }) => live === 0],
  [(name) => scene.changeKey(namespace, name, { suspend: true }), ({ suspended }) => suspended],
  [(name) => scene.changeKey(namespace, name, { expiry: { at: inAnHour() } }), ({ soon }) => soon],
  [(name) => scene.changeKey(namespace, name, { allowedSources: ['10.0.0.0/8'] }), ({ sources }) => sources],
];

beforeAll(async () => {
  await scene.prepare();
  namespace = await plane.kube.createNamespace('slow');
  vault = await FaultProxy.start(openbao.address);
  await scene.declareVault('slow-vault', vault.address, openbao.rootToken);
  const { url } = await postgres.createDatabase();
  database = new pg.Client({ connectionString: url });
  await database.connect();
  options = {
    databaseUrl: url,
    peppersFile: makePeppersFile(),
    kubeconfig: plane.kube.kubeconfig(),
    env: { KEYWRIGHT_NAMESPACES: namespace },
  };
  operator = await startOperator(options);
  for (const name of names) await scene.createKey(namespace, name, [{ name: 'vault', destination: 'slow-vault' }]);
  await until(async () => (await Promise.all(names.map((name) => scene.isReady(namespace, name)))).every(Boolean), {
    what: 'all keys Ready',
    deadlineMs: 120_000,
    everyMs: 500,
  });
});

afterAll(async () => {
  await operator.stop();
  await standby?.stop();
  await database.end();
  await vault.stop();
  await plane.kube.close();
  await plane.stop();
});

describe('a Vault that answers reads and hangs on writes, with sixty keys on it', () => {
  it('[S4-10] holds up no revocation, of a key that hangs in it or of another: all are committed while the same calls still hang', async () => {
    await hangInWrites(names.slice(0, 48));
    const before = vault.hanging;
    // Of the first keys of the queue, which hang, and of the last, which nobody works on.
    const picked = [...names.slice(0, 6), ...names.slice(-6)];
    const taken = picked.map((name, at) => ({ name, way: ways[at % ways.length] ?? fail() }));
    await Promise.all(taken.map(({ name, way: [take] }) => take(name)));
    const wanting = new Set(taken);
    await until(
      async () => {
        for (const one of wanting) {
          const found = await committed(one.name);
          if (found !== undefined && one.way[1](found)) wanting.delete(one);
        }
        return wanting.size === 0;
      },
      { what: 'the commits', deadlineMs: 9_000, everyMs: 5 },
    );
    const still = vault.hanging.filter((call) => before.includes(call));
    expect(still.length).toBeGreaterThan(0);

    // And what hung is given up, told, and delivered or emptied when the server answers again.
    await until(
      async () =>
        (await scene.destinationStatus('slow-vault')).conditions?.some((one) =>
          one.message.includes('writes have had no answer'),
        ),
      {
        what: 'a KeyDestination that says so',
        deadlineMs: 45_000,
      },
    );
    const withdrawn = `secret/metadata/keywright/slow-vault/${namespace}/${picked[0] ?? ''}`;
    expect(await openbao.call('GET', withdrawn)).toBeDefined();
    await vault.become({ kind: 'well' });
    await until(async () => (await openbao.call('GET', withdrawn)) === undefined, {
      what: 'the emptied place',
      deadlineMs: 60_000,
      everyMs: 500,
    });
  });

  it('holds up no revocation while an operator with calls that hang ends, and the next one begins to lead', async () => {
    const others = names.slice(6, 54);
    await until(async () => (await Promise.all(others.map((name) => scene.isReady(namespace, name)))).every(Boolean), {
      what: 'all other keys Ready',
      deadlineMs: 60_000,
      everyMs: 500,
    });
    standby = await startOperator(options);
    const [draining = '', between = ''] = others;
    // These have not been rotated lately.
    await hangInWrites(others.slice(-6));
    operator.signal('SIGTERM');
    await revoke(draining, 3_000);
    expect(operator.log()).not.toMatch(/drained/);
    await until(() => operator.log().includes('not drained in time'), { what: 'the end', deadlineMs: 5_000, everyMs: 5 });
    // The next one looks every two seconds whether somebody leads.
    await revoke(between, 6_000);
  });
});

/** Rotates keys, which then hang in the writes of their new versions. */
async function hangInWrites(rotated: readonly string[]): Promise<void> {
  await vault.become({ kind: 'silent' }, ({ method, path: at }) => method !== 'GET' && at.startsWith('/v1/secret/'));
  await Promise.all(rotated.map((name) => scene.annotate(namespace, name, { 'keywright.dev/rotate': 'now' })));
  // As many as KEYWRIGHT_CONCURRENCY lets call one destination.
  const hanging = Math.min(rotated.length, 8);
  await until(() => vault.hanging.length >= hanging, { what: 'writes that hang', deadlineMs: 30_000, everyMs: 5 });
}

/** Revokes a key, and waits for the commit. */
async function revoke(name: string, deadlineMs: number): Promise<void> {
  await scene.changeKey(namespace, name, { revoked: { reason: 'KeyCompromise' } });
  await until(async () => (await committed(name))?.live === 0, { what: `the revocation of ${name}`, deadlineMs, everyMs: 5 });
}

function fail(): never {
  throw new Error('there is no such way');
}
