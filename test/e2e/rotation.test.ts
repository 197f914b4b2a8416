import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownControlPlane, useOpenBao, usePostgres } from '../harness/parts.ts';
import { makePeppersFile, startAuthorizer, startOperator, verify } from '../harness/program.ts';
import type { AuthorizerProgram, Program } from '../harness/program.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import { createWorkload, readyPods, workloadPath } from '../harness/workloads.ts';

const plane = await ownControlPlane();
const openbao = await useOpenBao();
const postgres = await usePostgres();
const scene = new Scene(plane.kube);
const peppersFile = makePeppersFile();
const started: Program[] = [];
let authorizer: AuthorizerProgram;

const namespaces = ['asked', 'clock', 'lives', 'quiet', 'leaked', 'edited', 'rolling'] as const;
type Namespace = (typeof namespaces)[number];
const comes = { deadlineMs: 60_000, everyMs: 100 };

beforeAll(async () => {
  await scene.prepare();
  await scene.declare('ApiCatalog', 'brisk', {
    key: { prefix: 'acme', environment: 'test' },
    accessTypes: [{ name: 'Integrations', endpoints: 'All' }],
    endpoints: [{ name: 'list-campaigns', method: 'GET', path: '/v1/campaigns' }],
    requests: { hosts: ['brisk.example.com'] },
    policy: { minOverlap: '1s' },
  });
  await scene.declare('KeyOwner', 'brisk', {
    type: 'Team',
    displayName: 'Brisk',
    email: 'team@example.com',
    allowedNamespaces: { all: true },
    grants: [{ catalog: 'brisk', accessTypes: ['*'], endpoints: ['*'] }],
  });
  for (const name of namespaces) await plane.kube.request('POST', '/api/v1/namespaces', { body: { metadata: { name } } });
  await scene.declareVault('vault', openbao.address, openbao.rootToken);
  const { url: databaseUrl } = await postgres.createDatabase();
  const env = { KEYWRIGHT_LEADER_ELECTION: 'off', KEYWRIGHT_NAMESPACES: namespaces.join(','), KEYWRIGHT_CONSUMERS: 'on' };
  started.push(await startOperator({ databaseUrl, peppersFile, kubeconfig: plane.kube.kubeconfig(), env }));
  authorizer = await startAuthorizer({ databaseUrl, peppersFile, env: { KEYWRIGHT_USAGE_FLUSH: '1s' } });
  started.push(authorizer);
});

afterAll(async () => {
  await Promise.all(started.map((one) => one.stop()));
  await plane.kube.close();
  await plane.stop();
});

/** A key `key` in a Secret and in Vault. */
async function declare(namespace: Namespace, rotation: object, more: object = {}): Promise<void> {
  const targets = [
    { name: 'local', secret: { name: 'key' } },
    { name: 'vault', destination: 'vault' },
  ];
  await scene.createKey(namespace, 'key', targets, { catalog: 'brisk', owner: 'brisk', rotation, ...more });
  await until(() => scene.isReady(namespace, 'key'), { what: `${namespace}/key Ready`, ...comes });
}

async function inSecret(namespace: Namespace): Promise<string | undefined> {
  return (await scene.readSecret(namespace, 'key'))?.['api-key'];
}

async function inVault(namespace: Namespace): Promise<string | undefined> {
  const answer = (await openbao.call('GET', `secret/data/keywright/vault/${namespace}/key`)) as
    { data?: { data?: Record<string, string> } } | undefined;
  return answer?.data?.data?.['api-key'];
}

async function isAllowed(value: string): Promise<boolean> {
  return (await verify(authorizer.url, value, { host: 'brisk.example.com' })).allowed;
}

async function epoch(namespace: Namespace): Promise<number> {
  return (await scene.readKey(namespace, 'key'))?.status?.currentKey?.epoch ?? 0;
}

/** From the activation on. */
async function activeEpoch(namespace: Namespace, atLeast: number): Promise<void> {
  await until(
    async () => {
      const current = (await scene.readKey(namespace, 'key'))?.status?.currentKey;
      return current?.activatedAt !== undefined && current.epoch >= atLeast;
    },
    { what: `epoch ${atLeast} of ${namespace}/key`, ...comes },
  );
}

async function refused(value: string, what: string): Promise<void> {
  await until(async () => !(await isAllowed(value)), { what, ...comes });
}

/** By the status: whoever asks an authorizer uses the old version once more. */
async function oldEnded(namespace: Namespace): Promise<void> {
  await until(async () => (await scene.readKey(namespace, 'key'))?.status?.previousKey === undefined, {
    what: 'the end of the old version',
    ...comes,
    // A use is known to the minute.
    deadlineMs: 120_000,
  });
}

/** A workload that reads its key for each call, in the Secret and in Vault in turn; it counts the calls that were refused. */
class Reader {
  readonly #namespace: Namespace;
  #going = true;
  readonly #end: Promise<void>;
  calls = 0;
  refused = 0;

  constructor(namespace: Namespace) {
    this.#namespace = namespace;
    this.#end = this.#read();
  }

  async stop(): Promise<void> {
    this.#going = false;
    await this.#end;
  }

  async #read(): Promise<void> {
    for (const places = [inSecret, inVault]; this.#going; this.calls += 1) {
      const value = await places[this.calls % 2]?.(this.#namespace);
      if (value === undefined || !(await isAllowed(value))) this.refused += 1;
    }
  }
}

/** Runs something beside a {@link Reader}, which must never have been refused. */
async function unnoticed(namespace: Namespace, run: () => Promise<void>): Promise<void> {
  const reader = new Reader(namespace);
  try {
    await run();
  } finally {
    await reader.stop();
  }
  expect(reader.refused).toBe(0);
  expect(reader.calls).toBeGreaterThan(5);
}

const afterOverlap = { overlap: '3s', maxOverlap: '60s', retireOldKey: 'AfterOverlap' };

describe.concurrent('a key of a running operator', () => {
  it('is rotated once for a request, everywhere, and nobody who reads it is ever refused', async () => {
    await declare('asked', afterOverlap);
    const old = (await inSecret('asked')) ?? '';
    await unnoticed('asked', async () => {
      await scene.annotate('asked', 'key', { 'keywright.dev/rotate': 'monday' });
      await activeEpoch('asked', 2);
      expect(await isAllowed(old)).toBe(true);
      const value = await inSecret('asked');
      expect(value).not.toBe(old);
      expect((await inVault('asked')) === value).toBe(true);
      await refused(old, 'the end of the old version');
    });
    expect((await scene.readKey('asked', 'key'))?.status).toMatchObject({ lastHandledRotation: 'monday' });
    // Whatever makes it look again, it is not rotated for the same value.
    await scene.changeKey('asked', 'key', { displayName: 'another name' });
    await until(async () => (await scene.readKey('asked', 'key'))?.status?.observedGeneration === 2, {
      what: 'the edit',
      ...comes,
    });
    expect(await epoch('asked')).toBe(2);
  });

  it('is rotated by the clock again and again, and nobody who reads it is ever refused', async () => {
    await declare('clock', { every: '2s', overlap: '1s', maxOverlap: '30s', retireOldKey: 'AfterOverlap' });
    await unnoticed('clock', () => activeEpoch('clock', 4));
  });

  it('is replaced before it expires, and nobody who reads it is ever refused', async () => {
    const short = { overlap: '2s', maxOverlap: '10s', retireOldKey: 'AfterOverlap' };
    await declare('lives', short, { expiry: { after: '20s' } });
    const old = (await inSecret('lives')) ?? '';
    await unnoticed('lives', async () => {
      await refused(old, 'the end of the first version');
      expect(await epoch('lives')).toBeGreaterThanOrEqual(2);
    });
  });

  it('keeps its old version while somebody uses it, and ends it when nobody does', async () => {
    await declare('quiet', { overlap: '1s', quietPeriod: '5s', maxOverlap: '10m', retireOldKey: 'WhenUnused' });
    const old = (await inSecret('quiet')) ?? '';
    await scene.annotate('quiet', 'key', { 'keywright.dev/rotate': 'once' });
    await activeEpoch('quiet', 2);
    const value = (await inSecret('quiet')) ?? '';
    const usedUntil = performance.now() + 10_000;
    await until(
      async () => {
        expect(await isAllowed(value)).toBe(true);
        expect(await isAllowed(old)).toBe(true);
        return performance.now() > usedUntil;
      },
      { what: 'ten seconds of use', ...comes },
    );
    await oldEnded('quiet');
    expect(await isAllowed(old)).toBe(false);
    expect(await isAllowed(value)).toBe(true);
  });

  it('that was compromised is refused at once, and replaced everywhere', async () => {
    await declare('leaked', { overlap: '1h' });
    const old = (await inSecret('leaked')) ?? '';
    const keyId = (await scene.readKey('leaked', 'key'))?.status?.currentKey?.id ?? '';
    await scene.annotate('leaked', 'key', { 'keywright.dev/compromised': keyId });
    await refused(old, 'the end of the compromised version');
    await activeEpoch('leaked', 2);
    await until(() => scene.isReady('leaked', 'key'), { what: 'Ready', ...comes });
    const value = (await inSecret('leaked')) ?? '';
    expect(await isAllowed(value)).toBe(true);
    expect((await inVault('leaked')) === value).toBe(true);
    expect(await isAllowed(old)).toBe(false);
    expect((await scene.readKey('leaked', 'key'))?.status).toMatchObject({
      lastHandledCompromise: keyId,
      revokedKeyIds: [keyId],
    });
  });

  it('restarts its consumer once for each version, and ends the old one when that has rolled out', async () => {
    const workload = { kind: 'Deployment', namespace: 'rolling', name: 'app' } as const;
    const restarts = async (): Promise<{ readonly generation: number; readonly keyId: string | undefined }> => {
      const found = (await plane.kube.request('GET', workloadPath(workload))).body as {
        metadata: { generation: number };
        spec: { template: { metadata: { annotations?: Record<string, string> } } };
      };
      const keyId = found.spec.template.metadata.annotations?.['restarted-for.keywright.dev/key'];
      return { generation: found.metadata.generation, keyId };
    };
    const adopted = (count: number): Promise<unknown> =>
      until(
        async () => {
          await readyPods(plane.kube, workload);
          // Nobody uses the key: that is all that is missing.
          const { generation } = await restarts();
          return generation === 1 + count && (await scene.verdict('rolling', 'key', 'Adopted')) === 'False NotSeenYet';
        },
        { what: `the rollout for version ${count}`, ...comes },
      );
    await createWorkload(plane.kube, workload, { pods: 2 });
    const consumers = [{ kind: 'Deployment', name: 'app', restart: true }];
    await declare('rolling', { overlap: '1s', quietPeriod: '2s', maxOverlap: '10m', retireOldKey: 'WhenUnused' }, { consumers });
    await adopted(1);
    const old = (await inSecret('rolling')) ?? '';
    await scene.annotate('rolling', 'key', { 'keywright.dev/rotate': 'now' });
    await activeEpoch('rolling', 2);
    await adopted(2);
    expect((await restarts()).keyId).toBe((await scene.readKey('rolling', 'key'))?.status?.currentKey?.id);
    await oldEnded('rolling');
    expect(await isAllowed(old)).toBe(false);
    expect((await restarts()).generation).toBe(3);
  });

  it('ends when its expiry is moved into the past, and comes back when it is moved on', async () => {
    await declare('edited', { overlap: '1s' });
    const old = (await inSecret('edited')) ?? '';
    await scene.changeKey('edited', 'key', { expiry: { at: '2026-01-01T00:00:00Z' } });
    await refused(old, 'the end by the edit');
    await until(async () => (await scene.verdict('edited', 'key')) === 'False Expired', { what: 'Expired', ...comes });
    const nextYear = `${new Date().getUTCFullYear() + 1}-01-01T00:00:00Z`;
    await scene.changeKey('edited', 'key', { expiry: { at: nextYear } });
    await until(() => scene.isReady('edited', 'key'), { what: 'Ready', ...comes });
    expect(await isAllowed(old)).toBe(false);
    expect(await isAllowed((await inSecret('edited')) ?? '')).toBe(true);
  });
});
