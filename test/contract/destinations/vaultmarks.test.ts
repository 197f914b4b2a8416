import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Destination } from '../../../operator/src/destinations/port.ts';
import { composeRecord } from '../../../operator/src/destinations/record.ts';
import { noExtraEndpoints } from '../../../operator/src/destinations/endpoint.ts';
import { openVaultDestination } from '../../../operator/src/destinations/vault/vault.ts';
import type { Location } from '../../../operator/src/domain/key.ts';
import { Plaintext } from '../../../operator/src/domain/plaintext.ts';
import { systemClock } from '../../../operator/src/domain/time.ts';
import { credentialOf } from '../../builders/credential.ts';
import { useOpenBao } from '../../harness/parts.ts';
import { until } from '../../harness/until.ts';

const openbao = await useOpenBao();
const base = openbao.uniquePath();
let count = 0;
let destination: Destination;

async function open(mount = 'secret'): Promise<Destination> {
  return openVaultDestination({
    spec: {
      address: openbao.address,
      mount,
      path: `${base}/{namespace}/{name}`,
      auth: { token: { secretRef: { name: 'vault-token' } } },
    },
    rules: noExtraEndpoints,
    readCredential: credentialOf(() => openbao.rootToken),
    clock: systemClock,
  });
}

const fresh = (): Location => ({ destinationUid: 'vault', path: `secret/${base}/payments/place-${(count += 1)}` });
const below = (location: Location) => location.path.slice('secret/'.length);
const recordOf = (keyId: string) =>
  composeRecord({ token: new Plaintext(`token-${keyId}`), keyId, expiresAt: undefined, headerName: 'X-API-Key' });
const markOf = (keyId: string) => ({
  installationId: 'i',
  namespace: 'payments',
  name: 'billing',
  uid: 'u',
  keyId,
  epoch: 1,
  envelope: 'e',
});

async function write(location: Location, keyId: string, to = destination): Promise<void> {
  const outcome = await to.write(location, recordOf(keyId), markOf(keyId), await to.readMark(location), 'a');
  expect(outcome.kind).toBe('written');
}

/** What a leader that stops after its announcement leaves. */
async function announce(location: Location, keyId: string, version: number): Promise<void> {
  const { installationId, namespace, name, uid, epoch, envelope } = markOf(keyId);
  const texts = {
    installation: installationId,
    namespace,
    name,
    uid,
    'key-id': keyId,
    epoch: String(epoch),
    envelope,
    announces: String(version),
  };
  const custom = Object.fromEntries(Object.entries(texts).map(([key, text]) => [`keywright-${key}`, text]));
  await openbao.call('POST', `secret/metadata/${below(location)}`, { custom_metadata: custom });
}

beforeAll(async () => {
  destination = await open();
});
afterAll(() => destination.close());

it('takes a first write that stopped after its announcement for a mark without a value', async () => {
  const location = fresh();
  await announce(location, 'k1', 1);
  expect(await destination.readMark(location)).toMatchObject({ kind: 'marked', carries: false, mark: { keyId: 'k1' } });
  expect(await destination.readValue(location)).toBeUndefined();
  await write(location, 'k2');
  expect(await destination.readMark(location)).toMatchObject({ carries: true, mark: { keyId: 'k2' } });
});

it('withdraws a mark without a value', async () => {
  const location = fresh();
  await announce(location, 'k1', 1);
  expect(await destination.withdraw(location, await destination.readMark(location))).toBe('withdrawn');
  expect(await openbao.call('GET', `secret/metadata/${below(location)}`)).toBeUndefined();
});

it('takes a later write that stopped after its announcement for a mark that does not carry', async () => {
  const location = fresh();
  await write(location, 'k1');
  await announce(location, 'k2', 2);
  expect(await destination.readMark(location)).toMatchObject({ kind: 'marked', carries: false });
  expect((await destination.readValue(location))?.apiKey?.reveal()).toBe('token-k1');
  await write(location, 'k2');
  expect(await destination.readMark(location)).toMatchObject({ carries: true, mark: { keyId: 'k2' } });
});

it("changes no value when a late leader's announcement has spoiled the mark", async () => {
  const location = fresh();
  await write(location, 'k1');
  await write(location, 'k2');
  await announce(location, 'klate', 2);
  expect(await destination.readMark(location)).toMatchObject({ carries: true, mark: { keyId: 'klate' } });
  expect((await destination.readValue(location))?.apiKey?.reveal()).toBe('token-k2');
});

it.each<[string, (path: string) => Promise<unknown>]>([
  ['deleted', (path) => openbao.call('DELETE', `secret/data/${path}`)],
  ['destroyed', (path) => openbao.call('POST', `secret/destroy/${path}`, { versions: [1] })],
])('shows a value that was %s under its mark, and writes it again', async (_what, remove) => {
  const location = fresh();
  await write(location, 'k1');
  await remove(below(location));
  expect(await destination.readMark(location)).toMatchObject({ kind: 'marked', carries: false });
  expect(await destination.readValue(location)).toBeUndefined();
  await write(location, 'k1');
  expect((await destination.readValue(location))?.apiKey?.reveal()).toBe('token-k1');
});

it("leaves a stranger's deleted value alone, because it can be restored", async () => {
  const location = fresh();
  await openbao.call('POST', `secret/data/${below(location)}`, { data: { password: 'not ours' } });
  await openbao.call('DELETE', `secret/data/${below(location)}`);
  expect((await destination.readMark(location)).kind).toBe('unmarked');
});

it('leaves metadata alone that somebody prepared', async () => {
  const location = fresh();
  await openbao.call('POST', `secret/metadata/${below(location)}`, { custom_metadata: { team: 'payments' } });
  expect((await destination.readMark(location)).kind).toBe('unmarked');
});

it('withdraws every version that it wrote', async () => {
  const location = fresh();
  await write(location, 'k1');
  await write(location, 'k2');
  expect(await destination.withdraw(location, await destination.readMark(location))).toBe('withdrawn');
  for (const version of [1, 2]) {
    expect(await openbao.call('GET', `secret/data/${below(location)}?version=${version}`)).toBeUndefined();
  }
});

it('needs no old version, and names the version that each write replaces: an engine may keep one and insist on the other', async () => {
  const mount = `kv-${base}`;
  await openbao.call('POST', `sys/mounts/${mount}`, { type: 'kv', options: { version: '2' } });
  // A new mount is being upgraded for a moment.
  await until(
    async () => (await openbao.call('POST', `${mount}/config`, { max_versions: 1, cas_required: true })) !== undefined,
    {
      what: 'the new mount',
    },
  );
  const strict = await open(mount);
  try {
    const location = { destinationUid: 'vault', path: `${mount}/${base}/payments/billing` };
    for (const keyId of ['k1', 'k2', 'k3']) await write(location, keyId, strict);
    expect((await strict.readValue(location))?.apiKey?.reveal()).toBe('token-k3');
    expect(await openbao.call('GET', `${mount}/data/${base}/payments/billing?version=2`)).toBeUndefined();
    expect(await strict.withdraw(location, await strict.readMark(location))).toBe('withdrawn');
  } finally {
    await strict.close();
    await openbao.call('DELETE', `sys/mounts/${mount}`);
  }
});
