import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { badManifests } from '../builders/badmanifests.ts';
import { playground, readEntry, startStandalone, type Standalone } from '../harness/standalone.ts';
import { until } from '../harness/until.ts';

/** How much longer than otherwise the slowest verdict may take while a manifest is read, in milliseconds; see docs/operations.md. */
const goalMs = 100;
const bytes = 1_000_000;
const everyMs = 5;
/** How long a manifest lies in the folder when the program has nothing to say about it. */
const longestMs = 12_000;

/**
 * How long the standalone program keeps a verdict waiting while the worst 1 MB of each kind lies in its manifests folder, beside
 * the time without. The real `npm start`, its own database, its verify API. Prints a table; `false` = a goal was missed.
 */
export async function benchManifests(print: (line: string) => void): Promise<boolean> {
  const place = playground();
  const program = startStandalone({ args: ['--manifests', place.manifests, '--data', place.data, '--port', '0'] });
  try {
    const url = await program.url();
    await program.says('default/billing-sync  READY=True');
    const key = readEntry(place.data, 'billing-api-key') ?? '';
    const idle = await measure(url, key, () => Promise.resolve(), 3_000);
    print(`the slowest verdict without a bad manifest: ${idle.toFixed(0)} ms; at most ${goalMs} ms more while one is read:`);
    let met = true;
    for (const [name, text] of Object.entries({ ...badManifests(bytes), 'a large catalog': largeCatalog() })) {
      const slowest = await measure(url, key, () => whileRead(program, place.manifests, text), 0);
      met &&= slowest <= idle + goalMs;
      print(`${name.padEnd(40)}${slowest.toFixed(0).padStart(6)} ms${slowest <= idle + goalMs ? '' : '  missed'}`);
    }
    print(`goal: ${met ? 'met' : 'missed'}`);
    return met;
  } finally {
    await program.killAll();
    await place.remove();
  }
}

/** Puts the manifest there until the program says something of it, and a moment longer: what it says is also worked off. */
async function whileRead(program: Standalone, folder: string, text: string): Promise<void> {
  const path = join(folder, 'bad.yaml');
  const from = program.output().length;
  writeFileSync(path, text);
  const said = () => program.output().slice(from).includes('bad.yaml');
  await until(said, { what: 'a word on the manifest', deadlineMs: longestMs, everyMs: 50 }).catch(() => {});
  await delay(1_000);
  rmSync(path);
  await delay(1_500);
}

/** A catalog of about 1 MB that is fine. */
function largeCatalog(): string {
  const endpoints = Array.from({ length: 2_000 }, (_, at) => ({
    name: `endpoint-${at}`,
    method: 'GET',
    path: `/v1/${'segment/'.repeat(20)}${at}/{id}`,
  }));
  const scopes = Array.from({ length: 2_000 }, (_, at) => ({
    name: `scope-${at}`,
    endpoints: Array.from({ length: 20 }, (_unused, of) => `endpoint-${(at + of) % 2_000}`),
  }));
  const spec = {
    key: { prefix: 'big', environment: 'live' },
    accessTypes: [{ name: 'All', endpoints: 'All' }],
    scopes,
    endpoints,
    requests: { hosts: ['big.example.com'] },
  };
  return JSON.stringify({ apiVersion: 'keywright.dev/v1alpha1', kind: 'ApiCatalog', metadata: { name: 'big' }, spec });
}

async function measure(url: string, key: string, during: () => Promise<void>, atLeastMs: number): Promise<number> {
  let slowest = 0;
  let done = false;
  const calls = (async () => {
    while (!done) {
      const startedAt = performance.now();
      const answer = await request(`${url}/v1/verify`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          key,
          request: { host: 'api.example.com', method: 'GET', path: '/v1/subscribers', scheme: 'https' },
        }),
      });
      await answer.body.dump();
      if (answer.statusCode !== 200) throw new Error(`a living key was answered with ${answer.statusCode}`);
      slowest = Math.max(slowest, performance.now() - startedAt);
      await delay(everyMs);
    }
  })();
  await Promise.all([during(), delay(atLeastMs)]);
  done = true;
  await calls;
  return slowest;
}
