import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Destination } from '../../../operator/src/destinations/port.ts';
import { noExtraEndpoints } from '../../../operator/src/destinations/endpoint.ts';
import { openVaultDestination } from '../../../operator/src/destinations/vault/vault.ts';
import { credentialOf } from '../../builders/credential.ts';
import { guideNamespacePolicy, guidePolicy } from '../../builders/vaultguide.ts';
import { FakeClock } from '../../harness/fakes/clock.ts';
import { useOpenBao } from '../../harness/parts.ts';
import { put, version, written } from './version.ts';

const openbao = await useOpenBao();
const folder = openbao.uniquePath();
const mount = `approle-${folder}`;
const whole = guidePolicy(folder);
const owner = { namespace: 'payments', name: 'billing', uid: 'uid-1' };
let count = 0;

interface Login {
  readonly destination: Destination;
  readonly clock: FakeClock;
  /** Tokens with this policy that live now. */
  readonly tokens: () => Promise<number>;
}
const opened: Destination[] = [];

/** A destination that logs in by AppRole and has this policy alone. */
async function open(policy: string): Promise<Login> {
  const name = `policy-${folder}-${(count += 1)}`;
  await openbao.call('POST', `sys/policies/acl/${name}`, { policy });
  await openbao.call('POST', `auth/${mount}/role/${name}`, {
    token_policies: [name],
    token_no_default_policy: true,
    token_ttl: '1h',
  });
  const role = (await openbao.call('GET', `auth/${mount}/role/${name}/role-id`)) as { data: { role_id: string } };
  const secret = (await openbao.call('POST', `auth/${mount}/role/${name}/secret-id`)) as { data: { secret_id: string } };
  const clock = new FakeClock();
  const destination = await openVaultDestination({
    spec: {
      address: openbao.address,
      mount: 'secret',
      path: `${folder}/{namespace}/{name}`,
      auth: { appRole: { roleId: role.data.role_id, secretRef: { name: 'vault-approle' }, mount } },
    },
    rules: noExtraEndpoints,
    readCredential: credentialOf(() => secret.data.secret_id),
    // The pause before a second read takes no time.
    clock: Object.assign(clock, { sleep: async () => undefined }),
  });
  opened.push(destination);
  return { destination, clock, tokens: async () => (await accessors()).filter((one) => one.includes(name)).length };
}

/** The policies of each token that lives. */
async function accessors(): Promise<readonly (readonly string[])[]> {
  const listed = (await openbao.call('GET', 'auth/token/accessors?list=true')) as { data: { keys: string[] } };
  const found = listed.data.keys.map(async (accessor) => {
    // Another test's token may end meanwhile.
    const token = (await openbao.call('POST', 'auth/token/lookup-accessor', { accessor }).catch(() => undefined)) as
      { data: { policies: string[] } } | undefined;
    return token?.data.policies ?? [];
  });
  return Promise.all(found);
}

/** All that ever happens to a location. */
async function liveThrough(destination: Destination): Promise<void> {
  const location = { destinationUid: 'vault', path: `secret/${folder}/payments/place-${(count += 1)}` };
  const first = version(owner, 1);
  const reading = written(await put(destination, location, await destination.readMark(location), first));
  const next = written(await put(destination, location, reading, version(owner, 2)));
  expect((await destination.readValue(location))?.apiKey).toBeDefined();
  expect(await destination.withdraw(location, next)).toBe('withdrawn');
  expect((await destination.readMark(location)).kind).toBe('absent');
}

/** Every path and capability of the policy, with the policy that lacks it. */
const rights = [...whole.matchAll(/path "([^"]+)" \{\s*capabilities = \[([^\]]+)\]\s*\}/g)].flatMap(
  ([block, path = '', list = '']) => {
    const held = list.split(', ');
    return held.map((right) => {
      const left = held.filter((other) => other !== right);
      const rule = `path "${path}" { capabilities = [${left.length === 0 ? '"deny"' : left.join(', ')}] }`;
      return { path, right: right.replaceAll('"', ''), poorer: whole.replace(block, rule) };
    });
  },
);
const onValues = rights.filter(({ path }) => path.startsWith('secret/'));
const without = (path: string) => rights.find((one) => one.path === path)?.poorer ?? '';

beforeAll(async () => {
  await openbao.call('POST', `sys/auth/${mount}`, { type: 'approle' });
});
afterAll(async () => {
  for (const destination of opened) await destination.close();
  await openbao.call('DELETE', `sys/auth/${mount}`);
});

it('is enough for all that happens to a key, one login, its renewal and its end', async () => {
  const { destination, clock, tokens } = await open(whole);
  await destination.probe();
  await liveThrough(destination);
  await clock.advance(45 * 60_000);
  await destination.probe();
  expect(await tokens()).toBe(1);
  await destination.close();
  expect(await tokens()).toBe(0);
});

it('may be limited to one namespace: enough for the probe and for keys there, and for nobody else', async () => {
  const { destination } = await open(guideNamespacePolicy(folder));
  await destination.probe();
  await liveThrough(destination);
  await expect(destination.readMark({ destinationUid: 'vault', path: `secret/${folder}/other/place` })).rejects.toThrow(
    'denies us access (403)',
  );
});

it('gives seven rights on values, each of which the next tests take away', async () => {
  expect(onValues.map(({ right }) => right)).toHaveLength(7);
});

it.each(onValues)('is not enough without $right on $path, which the probe names', async ({ path, right, poorer }) => {
  const { destination } = await open(poorer);
  await expect(liveThrough(destination)).rejects.toThrow('denies us access (403)');
  const part = path.split('/')[1] ?? '';
  await expect(destination.probe()).rejects.toThrow(`the policy lacks ${right} on secret/${part}/`);
});

it('is not enough for the probe without the right to ask for rights', async () => {
  const { destination } = await open(without('sys/capabilities-self'));
  await expect(destination.probe()).rejects.toThrow('denies us access (403)');
});

it('is not enough for one login without the right to renew it', async () => {
  const { destination, clock, tokens } = await open(without('auth/token/renew-self'));
  await destination.probe();
  await clock.advance(45 * 60_000);
  await destination.probe();
  expect(await tokens()).toBe(2);
});

it('is not enough to leave no token behind without the right to revoke it', async () => {
  const { destination, tokens } = await open(without('auth/token/revoke-self'));
  await destination.probe();
  await destination.close();
  expect(await tokens()).toBe(1);
});

it('reaches no path beside the template, and no other mount', async () => {
  const { destination } = await open(whole);
  for (const path of [`${folder}-other/payments/billing`, folder, 'payments/billing']) {
    await expect(destination.readMark({ destinationUid: 'vault', path: `secret/${path}` })).rejects.toThrow('(403)');
  }
});
