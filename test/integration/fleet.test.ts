import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CommandContext } from '../../operator/src/commands/command.ts';
import { noAdmission } from '../../operator/src/commands/admission.ts';
import { createController, type Engine } from '../../operator/src/commands/engine.ts';
import { readConfig } from '../../operator/src/config.ts';
import type { Destinations } from '../../operator/src/destinations/port.ts';
import { openDestinations } from '../../operator/src/destinations/registry.ts';
import { systemClock } from '../../operator/src/domain/time.ts';
import { PepperRing } from '../../operator/src/keys/pepper.ts';
import type { Store } from '../../operator/src/store/port.ts';
import { openPostgresStore } from '../../operator/src/store/postgres/store.ts';
import { silentLog } from '../../operator/src/telemetry/log.ts';
import { silentMetrics } from '../../operator/src/telemetry/metrics.ts';
import { catalogSpec, destinationSpec, keySpec, ownerSpec } from '../builders/world.ts';
import { FakeClock } from '../harness/fakes/clock.ts';
import { FakeResources } from '../harness/fakes/resources.ts';
import { credentialMetadata } from '../builders/credential.ts';
import { FaultProxy } from '../harness/faultproxy.ts';
import { useOpenBao, usePostgres } from '../harness/parts.ts';
import { until } from '../harness/until.ts';

const fleetSize = 1_000;
const namespace = 'payments';

const openbao = await useOpenBao();
const postgres = await usePostgres();
const database = await postgres.createDatabase();
const base = openbao.uniquePath();
const names = Array.from({ length: fleetSize }, (_, at) => `key-${at}`);
const peppers = PepperRing.parse(JSON.stringify({ current: 'p1', peppers: { p1: randomBytes(32).toString('base64') } }));
/** Time goes on only when nothing is under way: what is counted by the second does not depend on the machine. */
const clock = new FakeClock();
const resources = new FakeResources(clock);
/** What the engine logged as an error. */
const faults: string[] = [];
let store: Store;
let vault: FaultProxy;
let destinations: Destinations;
let engine: Engine;

/** The program's own engine, with a real database and a real Vault, and nothing but what these and the statuses know. */
async function start(): Promise<void> {
  await store.takeFence();
  destinations = openDestinations({
    ...{ resources, clock: systemClock, mode: { kind: 'kubernetes' }, operatorNamespace: 'keywright-system' },
  });
  const log = { ...silentLog, error: (event: string) => void faults.push(event) };
  const context = { config: readConfig({}), clock, log } as unknown as CommandContext;
  engine = createController(context, {
    ...{ resources, store, destinations, peppers, metrics: silentMetrics, installationId: await store.installationId() },
    admission: noAdmission,
    clockIsRight: () => true,
    assertLeading: () => {},
    onFenceLost: () => {},
  });
  engine.listen();
  resources.resync();
  engine.start();
}

async function stop(): Promise<void> {
  await engine.drain(5_000);
  await destinations.close();
}

/** Until nothing is queued or in flight. */
async function quiet(): Promise<void> {
  let calm = 0;
  await until(() => (calm = engine.idle() ? calm + 1 : 0) > 3, { what: 'the end of the work', deadlineMs: 120_000, everyMs: 1 });
}

/** Time goes on by so many seconds, one after the other, each to the end of its work. */
async function live(seconds: number, each: (second: number) => void = () => {}): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    await clock.advance(1_000);
    await quiet();
    each(second);
  }
}

/** How many keys say this of Ready. */
function countOf(verdict: string): number {
  return names.filter((name) => {
    const status = resources.peek('ApiKey', { namespace, name })?.status;
    const ready = status?.conditions.find(({ type }) => type === 'Ready');
    return `${ready?.status ?? ''} ${ready?.reason ?? ''}` === verdict;
  }).length;
}

async function versions(): Promise<readonly object[]> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const found = await client.query<object>('select state, count(*)::int as count from keywright.version group by state');
    return found.rows;
  } finally {
    await client.end();
  }
}

beforeAll(async () => {
  store = openPostgresStore({ url: database.url, clock: systemClock, log: silentLog });
  vault = await FaultProxy.start(openbao.address);
  const token = Buffer.from(openbao.rootToken).toString('base64');
  resources.create('Namespace', { metadata: { name: namespace }, spec: {} });
  resources.putSecret(
    { namespace: 'keywright-system', name: 'vault-token' },
    { metadata: credentialMetadata('vault-token', vault.address), data: { token } },
  );
  resources.create('ApiCatalog', { metadata: { name: 'default' }, spec: catalogSpec() });
  resources.create('KeyOwner', { metadata: { name: 'payments-team' }, spec: ownerSpec() });
  const auth = { token: { secretRef: { name: 'vault-token', key: 'token' } } };
  resources.create('KeyDestination', {
    metadata: { name: 'prod-vault' },
    spec: destinationSpec({ vault: { address: vault.address, mount: 'secret', path: `${base}/{namespace}/{name}`, auth } }),
  });
  const spec = keySpec({ deliverTo: [{ name: 'vault', destination: 'prod-vault' }] });
  for (const name of names) resources.create('ApiKey', { metadata: { namespace, name }, spec });
  await resources.start(new AbortController().signal);
});

afterAll(async () => {
  await stop();
  await store.close();
  await vault.stop();
});

describe('a thousand keys on a Vault that is dead', () => {
  it(
    'ask it a few times a minute, also over a restart, and come back within a minute, spread',
    { timeout: 300_000 },
    async () => {
      await vault.become({ kind: 'reset' });
      await start();
      await quiet();
      expect(countOf('False DestinationUnavailable')).toBe(fleetSize);
      // The keys that were worked on when it showed, and the first probe; each call is repeated once.
      expect(vault.calls).toBeLessThanOrEqual(24);

      let asked = vault.calls;
      await live(60);
      // Four probes.
      expect(vault.calls - asked).toBeLessThanOrEqual(16);

      asked = vault.calls;
      await stop();
      await start();
      await quiet();
      expect(countOf('False DestinationUnavailable')).toBe(fleetSize);
      await live(60);
      expect(vault.calls - asked).toBeLessThanOrEqual(24 + 16);
      expect(await versions()).toEqual([]);

      await vault.become({ kind: 'well' });
      const ready: number[] = [];
      await live(60, () => {
        ready.push(countOf('True Available'));
      });
      const perSecond = ready.map((count, second) => count - (ready[second - 1] ?? 0));
      expect(ready.at(-1)).toBe(fleetSize);
      expect(Math.max(...perSecond)).toBeLessThanOrEqual(40);
      expect(await versions()).toEqual([{ state: 'active', count: fleetSize }]);
      expect(faults).toEqual([]);
    },
  );
});
