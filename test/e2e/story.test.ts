import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ownControlPlane, usePostgres } from '../harness/parts.ts';
import { makePeppersFile, startAuthorizer, startOperator, verify } from '../harness/program.ts';
import type { AuthorizerProgram, Program } from '../harness/program.ts';
import { StatusRecorder } from '../harness/recorder.ts';
import { Scene } from '../harness/scene.ts';
import { until } from '../harness/until.ts';
import { Watched } from '../harness/watched.ts';

const plane = await ownControlPlane({ controllers: false });
const postgres = await usePostgres();
const { kube } = plane;
const scene = new Scene(kube);
const peppersFile = makePeppersFile();
const started: Program[] = [];
let authorizer: AuthorizerProgram;
let recorder: StatusRecorder;
const comes = { deadlineMs: 90_000, everyMs: 200 };

/** What a team keeps in Git. */
const manifest = scene.key('payments', 'billing', [{ name: 'local', secret: { name: 'billing' } }], {
  catalog: 'brisk',
  owner: 'brisk',
  rotation: { overlap: '2s', quietPeriod: '2s', maxOverlap: '1h' },
});
const gitOps = ['--server-side', '--field-manager=gitops', '-f', '-'];

beforeAll(async () => {
  recorder = await StatusRecorder.start(kube);
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
  await kube.kubectl(['create', 'namespace', 'payments']);
  const { url: databaseUrl } = await postgres.createDatabase();
  authorizer = await startAuthorizer({ databaseUrl, peppersFile, env: { KEYWRIGHT_USAGE_FLUSH: '1s' } });
  started.push(authorizer);
  const env = { KEYWRIGHT_LEADER_ELECTION: 'off', KEYWRIGHT_NAMESPACES: 'payments' };
  started.push(await startOperator({ databaseUrl, peppersFile, kubeconfig: kube.kubeconfig(), env }));
});

afterAll(async () => {
  await Promise.all(started.map((one) => one.stop()));
  await recorder.stop();
  await kube.close();
  await plane.stop();
});

async function says(type: string, wanted: string): Promise<void> {
  await until(async () => (await scene.condition('payments', 'billing', type))?.status === wanted, {
    what: `${type}=${wanted}`,
    ...comes,
  });
}

/** Uses the value that the Secret holds, as its workload would. */
async function use(): Promise<void> {
  const value = (await scene.readSecret('payments', 'billing'))?.['api-key'] ?? '';
  expect((await verify(authorizer.url, value, { host: 'brisk.example.com' })).allowed).toBe(true);
}

/** The events of `kubectl describe`, line by line: its columns are Type, Reason, Age, From and Message. */
async function describedEvents(): Promise<readonly { readonly reason: string; readonly line: string }[]> {
  const { stdout } = await kube.kubectl(['describe', 'apikey', 'billing', '-n', 'payments']);
  const lines = stdout.slice(stdout.indexOf('\nEvents:')).split('\n').slice(4);
  return lines.flatMap((line) => {
    const [, reason] = line.trim().split(/\s+/);
    return reason === undefined ? [] : [{ reason, line }];
  });
}

/** What a GitOps tool would change now. */
async function difference(): Promise<string> {
  const { stdout, stderr, code } = await kube.kubectl(['diff', ...gitOps], { input: manifest, allowFailure: true });
  return code === 0 ? stdout : `${stdout}${stderr}`;
}

describe('a key that is rotated on request', () => {
  it('tells its story in kubectl describe, in order and without noise, and a GitOps diff stays empty [S4-6] [S0-22]', async () => {
    await kube.kubectl(['apply', ...gitOps], { input: manifest });
    await says('Ready', 'True');
    await use();
    await says('Adopted', 'True');
    const first = (await scene.readKey('payments', 'billing'))?.status?.currentKey?.id ?? '';
    expect(await difference()).toBe('');

    await kube.kubectl(['annotate', 'apikey', 'billing', '-n', 'payments', 'keywright.dev/rotate=monday']);
    await says('Rotating', 'True');
    expect(await difference()).toBe('');
    await use();
    await says('Rotating', 'False');
    await says('Adopted', 'True');
    expect(await difference()).toBe('');

    const events = await until(
      async () => {
        const found = await describedEvents();
        return found.some(({ reason }) => reason === 'Retired') && found;
      },
      { what: 'the event of the end', ...comes },
    );
    expect(events.map(({ reason }) => reason)).toEqual([
      ...['Minted', 'Current', 'Available', 'SeenInUse'],
      ...['Minted', 'Current', 'SeenInUse', 'Retired'],
    ]);
    expect(events[4]?.line).toContain('version 2');
    expect(events[4]?.line).toContain('somebody asked');
    expect(events[7]?.line).toContain(first);
    expect(events[7]?.line).toContain('not used any more');

    const { stdout } = await kube.kubectl(['get', 'apikey', 'billing', '-n', 'payments', '-o', 'wide', '--no-headers']);
    expect(stdout).toContain('Every destination holds a live version');
    expect((await scene.readKey('payments', 'billing'))?.status).toMatchObject({
      currentKey: { epoch: 2 },
      lastHandledRotation: 'monday',
      nextRotationAt: expect.any(String) as string,
    });
    // Nobody who waits for the key by kstatus noticed that it was rotated.
    expect(new Watched(recorder, 'ApiKey', { namespace: 'payments', name: 'billing' }).changes()).toEqual([
      'InProgress',
      'Current',
    ]);
  });
});
