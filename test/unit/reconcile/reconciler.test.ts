import { describe, expect, it } from 'vitest';
import { policyAway, secretPath, vaultPath, World } from '../../builders/world.ts';
import { isLive } from '../../../operator/src/domain/version.ts';

async function readyWorld(): Promise<World> {
  const world = await World.open();
  world.createKey();
  await world.pass();
  expect(world.condition('Ready')).toBe('True Available');
  return world;
}

async function state(world: World) {
  return world.store.readKey(world.key()?.metadata.uid ?? '');
}

describe('a new key', () => {
  it('is minted, delivered everywhere with one value, activated and reported Ready in one pass [S0-10] [S2-14]', async () => {
    const world = await readyWorld();
    const value = world.vault.value(vaultPath);
    expect(value).toMatch(/^acme_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}$/);
    expect(world.secret.value(secretPath)).toBe(value);
    const { versions } = await state(world);
    expect(versions.map((version) => [version.state, version.epoch])).toEqual([['active', 1]]);
    expect(world.status().currentKey?.display).toBe(value?.slice(0, 'acme_live_'.length + 12));
    expect(world.condition('Delivered')).toBe('True Current');
    expect(world.condition('Reconciling')).toBe('False Steady');
    expect(world.status().binding).toEqual({ name: 'billing-api-key' });
  });

  it('expires one year after its mint by default [S1-11]', async () => {
    const world = await readyWorld();
    const [version] = (await state(world)).versions;
    expect(version?.expiresAt).toBe((version?.issuedAt ?? 0) + 8760 * 3_600_000);
  });

  it.each([
    ['catalog', 'CatalogNotFound'],
    ['owner', 'OwnerNotFound'],
  ] as const)('waits for a missing %s, whatever the order of applying', async (missing, reason) => {
    const world = await World.open({ without: [missing] });
    world.createKey();
    await world.pass();
    expect(world.condition('Ready')).toBe(`False ${reason}`);
    expect(world.condition('Stalled')).toMatch(/^False/);
    expect((await state(world)).versions).toEqual([]);
    if (missing === 'catalog') world.createCatalog();
    else world.createOwner();
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('is delivered where it can be while another destination is missing, and is not Ready before all hold it', async () => {
    const world = await World.open({ without: ['destination'] });
    world.createKey();
    await world.pass();
    expect(world.condition('Ready')).toBe('False DestinationNotFound');
    const value = world.secret.value(secretPath);
    expect(value).toBeDefined();
    world.createDestination();
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.vault.value(vaultPath)).toBe(value);
  });

  it('costs no version while no destination can be read', async () => {
    const world = await World.open();
    world.createKey();
    world.vault.failNext();
    world.secret.failNext();
    await world.pass();
    expect((await state(world)).versions).toEqual([]);
    expect(world.condition('Ready')).toBe('False DestinationUnavailable');
    expect(world.condition('Reconciling')).toMatch(/^True/);
    world.vault.heal();
    world.secret.heal();
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('never overwrites a value of somebody else', async () => {
    const world = await World.open();
    world.createKey();
    world.secret.putForeign(secretPath, { password: 'theirs' });
    await world.pass();
    expect(world.condition('Ready')).toBe('False ForeignValue');
    expect(world.condition('Stalled')).toBe('True ForeignValue');
    expect(world.secret.entries(secretPath)).toEqual({ password: 'theirs' });
    expect((await state(world)).versions).toEqual([]);
  });

  it('is delivered within a minute after a foreign value is gone, before and after its first mint', async () => {
    const world = await World.open();
    world.createKey();
    for (const other of [false, true]) {
      world.secret.lose(secretPath);
      world.secret.putForeign(secretPath);
      const next = await world.pass({ drift: other });
      expect(world.condition('Stalled')).toBe('True ForeignValue');
      expect(next).toEqual({ kind: 'at', at: world.clock.now() + 60_000 });
      world.secret.lose(secretPath);
      await world.clock.advance(60_000);
      await world.pass();
      expect(world.condition('Ready')).toBe('True Available');
      expect(world.condition('Delivered')).toBe('True Current');
    }
  });

  it('is stalled as InvalidSpec, naming the field, when the overlap is longer than half of the lifetime', async () => {
    const world = await World.open();
    world.createKey({ expiry: { after: '30h' } });
    await world.pass();
    expect(world.condition('Stalled')).toBe('True InvalidSpec');
    expect(world.status().conditions.find(({ type }) => type === 'Ready')?.message).toContain('spec.rotation.overlap');
  });

  it('mints nothing while the required admission policy is missing', async () => {
    const world = await World.open();
    world.admission = policyAway;
    world.createKey();
    await world.pass();
    expect(world.condition('Ready')).toBe('False AdmissionPolicyMissing');
    expect((await state(world)).versions).toEqual([]);
  });
});

describe('a key that is Ready', () => {
  it('is left alone by a resync: no API, store or destination write, and no read of a destination', async () => {
    const world = await readyWorld();
    const calls = { ...world.vault.calls };
    const effects = world.resources.effects.length;
    const writes = world.store.writes;
    await world.pass();
    await world.pass();
    expect(world.vault.calls).toEqual(calls);
    expect(world.resources.effects.length).toBe(effects);
    expect(world.store.writes).toBe(writes);
  });

  it('gets a lost value back from the sibling, without a new version', async () => {
    const world = await readyWorld();
    const value = world.vault.value(vaultPath);
    world.vault.lose(vaultPath);
    await world.pass({ drift: true });
    expect(world.vault.value(vaultPath)).toBe(value);
    expect((await state(world)).highestEpoch).toBe(1);
    expect(world.resources.events.some((event) => event.reason === 'DestinationDrift')).toBe(true);
  });

  it.each([
    ['changed', { header: 'Authorization: Bearer somebody-elses' }],
    ['removed', { header: undefined }],
    ['added', { password: 'somebody-elses' }],
  ])('gets its entries back when one of them was %s, without a new version', async (_how, change) => {
    const world = await readyWorld();
    const entries = world.secret.entries(secretPath);
    world.secret.alter(secretPath, change);
    await world.pass({ drift: true });
    expect(world.secret.entries(secretPath)).toEqual(entries);
    expect((await state(world)).highestEpoch).toBe(1);
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.condition('Delivered')).toBe('True Current');
    expect(world.resources.events.some((event) => event.reason === 'DestinationDrift')).toBe(true);
  });

  it.each<[string, (world: World, path: string) => void, string]>([
    ['an entry', (world, path) => world.secret.alter(path, { password: 'of the webhook' }), 'False DestinationDrift'],
    ['the epoch of the mark', (world, path) => world.secret.changeMark(path, { epoch: 700 }), 'True Current'],
    ['the key id of the mark', (world, path) => world.secret.changeMark(path, { keyId: 'AAAAAAAAAAAA' }), 'True Current'],
  ])(
    'is delivered and rotated, and restored ever more rarely, where a webhook changes %s of each write',
    async (_, change, delivered) => {
      const world = await World.open();
      world.secret.onStep = ({ operation, phase, path }) => {
        if (operation === 'write' && phase === 'after') change(world, path);
      };
      world.createKey();
      await world.pass();
      expect([world.condition('Ready'), world.condition('Delivered')]).toEqual(['True Available', delivered]);
      expect(world.condition('Reconciling')).toBe('True DestinationDrift');
      expect(world.secret.calls.write).toBeLessThanOrEqual(2);
      const before = world.secret.calls.write;
      for (let minute = 0; minute < 240; minute += 1) {
        await world.clock.advance(60_000);
        await world.pass({ drift: true });
      }
      expect(world.secret.calls.write - before).toBeLessThanOrEqual(12);
      expect((await state(world)).highestEpoch).toBe(1);

      world.resources.annotate('ApiKey', world.name, { 'keywright.dev/rotate': 'now' });
      await world.pass();
      const { currentKey } = world.status();
      expect([world.condition('Ready'), world.condition('Reconciling')]).toEqual(['True Available', 'True DestinationDrift']);
      expect([currentKey?.id, currentKey?.epoch]).toEqual([
        (await state(world)).versions.find((one) => one.state === 'active')?.keyId,
        (await state(world)).highestEpoch,
      ]);
      expect(currentKey?.epoch).toBeGreaterThan(1);

      world.secret.onStep = undefined;
      await world.clock.advance(3_600_000);
      await world.pass({ drift: true });
      expect([world.condition('Delivered'), world.condition('Reconciling')]).toEqual(['True Current', 'False Steady']);
    },
  );

  it('gets a value that was changed by hand under an intact mark replaced by the right one', async () => {
    const world = await readyWorld();
    const value = world.vault.value(vaultPath);
    world.vault.changeValue(vaultPath, 'somebody typed here');
    await world.pass({ drift: true });
    expect(world.vault.value(vaultPath)).toBe(value);
  });

  it('gets a new version when its value is nowhere any more, and the old one stays valid for an overlap', async () => {
    const world = await readyWorld();
    world.vault.lose(vaultPath);
    world.secret.lose(secretPath);
    await world.pass({ drift: true });
    const { versions } = await state(world);
    expect(versions.map((version) => [version.epoch, version.state, version.cause])).toEqual([
      [1, 'retiring', 'Initial'],
      [2, 'active', 'ValueLost'],
    ]);
    expect(versions.every((version) => isLive(version, world.clock.now()))).toBe(true);
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('is minted for a lost value at most once in ten minutes when somebody deletes it in a loop', async () => {
    const world = await readyWorld();
    for (let round = 0; round < 5; round += 1) {
      world.vault.lose(vaultPath);
      world.secret.lose(secretPath);
      await world.pass({ drift: true });
    }
    expect((await state(world)).highestEpoch).toBe(2);
    await world.clock.advance(10 * 60_000);
    await world.pass({ drift: true });
    expect((await state(world)).highestEpoch).toBe(3);
  });

  it('is not called Ready while its value is gone and minting is slowed down, and gets it when that is over', async () => {
    const world = await readyWorld();
    for (let round = 0; round < 2; round += 1) {
      world.vault.lose(vaultPath);
      world.secret.lose(secretPath);
      await world.pass({ drift: true });
    }
    expect(world.condition('Ready')).toBe('False DestinationDrift');
    // These look at nothing of their own accord: what was seen must not be forgotten.
    await world.pass();
    expect(world.condition('Ready')).toBe('False DestinationDrift');
    world.updateKey({ accessType: 'NoSuchType' });
    await world.pass();
    world.updateKey({ accessType: 'Integrations' });
    await world.pass();
    expect(world.condition('Ready')).toBe('False DestinationDrift');
    await world.clock.advance(10 * 60_000);
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.vault.value(vaultPath)).toBeDefined();
  });

  it('remembers a foreign value over a pause', async () => {
    const world = await readyWorld();
    world.vault.lose(vaultPath);
    world.vault.putForeign(vaultPath, { password: 'theirs' });
    await world.pass({ drift: true });
    expect(world.condition('Ready')).toBe('False ForeignValue');
    world.resources.annotate('ApiKey', world.name, { 'keywright.dev/paused': 'true' });
    await world.pass();
    expect(world.condition('Ready')).toBe('False ForeignValue');
    world.resources.annotate('ApiKey', world.name, { 'keywright.dev/paused': undefined });
    await world.pass();
    expect(world.condition('Ready')).toBe('False ForeignValue');
    expect(world.condition('Stalled')).toBe('True ForeignValue');
  });

  it('is suspended and resumed by one store row, with no new secret', async () => {
    const world = await readyWorld();
    const value = world.vault.value(vaultPath);
    world.updateKey({ suspend: true });
    await world.pass();
    expect((await state(world)).key?.settings.suspended).toBe(true);
    expect(world.condition('Ready')).toBe('False Suspended');
    expect(world.condition('Delivered')).toBe('True Current');
    expect(world.condition('Stalled')).toMatch(/^False/);
    expect(world.condition('Reconciling')).toMatch(/^False/);
    world.updateKey({ suspend: false });
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.vault.value(vaultPath)).toBe(value);
  });

  it('narrows by edited selections at once, also while another field is invalid [S3-10]', async () => {
    const world = await readyWorld();
    world.updateKey({ channels: ['email'], accessType: 'NoSuchType' });
    await world.pass();
    expect((await state(world)).key?.proposed?.selections.channels).toEqual(['email']);
    expect(world.condition('Stalled')).toBe('True InvalidSpec');
  });

  it('keeps its value when a location moves: the new one is written before the old one is emptied', async () => {
    const world = await readyWorld();
    const value = world.vault.value(vaultPath);
    world.updateKey({ deliverTo: [{ name: 'vault', destination: 'prod-vault', path: 'moved' }] });
    await world.pass();
    expect(world.vault.value('secret/keywright/payments/moved')).toBe(value);
    expect(world.vault.value(vaultPath)).toBeUndefined();
    expect(world.secret.value(secretPath)).toBeUndefined();
    expect((await state(world)).highestEpoch).toBe(1);
  });

  it('keeps the old location while the new one does not answer', async () => {
    const world = await readyWorld();
    const value = world.vault.value(vaultPath);
    world.updateKey({ deliverTo: [{ name: 'local', secret: { name: 'elsewhere' } }] });
    world.secret.failNext();
    await world.pass();
    expect(world.vault.value(vaultPath)).toBe(value);
    world.secret.heal();
    await world.pass();
    expect(world.secret.value('payments/elsewhere')).toBe(value);
    expect(world.vault.value(vaultPath)).toBeUndefined();
  });

  it('gets its records written again when the envelope changes, with the same value', async () => {
    const world = await readyWorld();
    const value = world.vault.value(vaultPath);
    world.resources.update('ApiCatalog', { name: 'default' }, (catalog) => ({
      ...catalog,
      spec: { ...catalog.spec, credentials: { ...catalog.spec.credentials, headers: [{ name: 'X-API-Key' }] } },
    }));
    await world.pass();
    expect(world.vault.entries(vaultPath)?.['header']).toBe(`X-API-Key: ${value ?? ''}`);
    expect(world.vault.value(vaultPath)).toBe(value);
  });

  it('does nothing new while paused, but is still revoked', async () => {
    const world = await readyWorld();
    world.resources.annotate('ApiKey', world.name, { 'keywright.dev/paused': 'true' });
    world.vault.lose(vaultPath);
    await world.pass({ drift: true });
    expect(world.vault.value(vaultPath)).toBeUndefined();
    world.updateKey({ revoked: { reason: 'KeyCompromise' } });
    await world.pass();
    expect((await state(world)).versions).toEqual([]);
  });
});

describe('the end of a key', () => {
  it('revokes at once and for good, and empties every location [S4-10]', async () => {
    const world = await readyWorld();
    world.updateKey({ revoked: { reason: 'KeyCompromise' } });
    await world.pass();
    expect((await state(world)).versions).toEqual([]);
    expect(world.vault.paths()).toEqual([]);
    expect(world.condition('Ready')).toBe('False Revoked');
    expect(world.condition('Stalled')).toBe('True Revoked');
    expect(world.status().revokedKeyIds).toHaveLength(1);
    await world.pass();
    expect((await state(world)).highestEpoch).toBe(1);
  });

  it('revokes before it withdraws, and lets the resource go last [S2-16]', async () => {
    const world = await readyWorld();
    world.resources.delete('ApiKey', world.name);
    expect(world.key()).toBeDefined();
    await world.pass();
    expect(world.key()).toBeUndefined();
    expect(world.vault.paths()).toEqual([]);
    expect(world.secret.paths()).toEqual([]);
  });

  it('keeps the finalizer while a location does not answer, until the deadline; the key is dead at once [S2-17]', async () => {
    const world = await readyWorld();
    const { uid } = world.key()?.metadata ?? { uid: '' };
    world.vault.failNext({ count: 1000 });
    world.resources.delete('ApiKey', world.name);
    await world.pass();
    expect(world.key()).toBeDefined();
    expect((await world.store.readKey(uid)).versions).toEqual([]);
    await world.clock.advance(600_000);
    await world.pass();
    expect(world.key()).toBeUndefined();
    expect(await world.store.listWithdrawing(10)).toHaveLength(1);
  });

  it('deletes nothing that is not ours any more', async () => {
    const world = await readyWorld();
    world.vault.lose(vaultPath);
    world.vault.putForeign(vaultPath, { password: 'theirs' });
    world.resources.delete('ApiKey', world.name);
    await world.pass();
    expect(world.key()).toBeUndefined();
    expect(world.vault.entries(vaultPath)).toEqual({ password: 'theirs' });
  });

  it('expires at its instant, and mints anew unless the end was meant', async () => {
    const world = await World.open();
    world.createKey({
      expiry: { after: '48h' },
      rotation: { overlap: '1h', maxOverlap: '2h', onExpiry: 'Expire', retireOldKey: 'WhenUnused', quietPeriod: '10m' },
    });
    await world.pass();
    await world.clock.advance(48 * 3_600_000);
    await world.pass();
    expect(world.condition('Ready')).toBe('False Expired');
    expect(world.condition('Stalled')).toBe('True Expired');
    expect((await state(world)).versions).toEqual([]);
  });

  it('answers StoreUnavailable as unknown, keeps everything, and heals alone', async () => {
    const world = await readyWorld();
    world.store.failNext();
    await world.pass();
    expect(world.condition('Ready')).toBe('Unknown StoreUnavailable');
    expect(world.status().currentKey).toBeDefined();
    expect(world.status().failures?.count).toBe(1);
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.status().failures).toBeUndefined();
  });
});
