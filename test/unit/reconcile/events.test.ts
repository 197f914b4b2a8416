import { describe, expect, it } from 'vitest';
import type { ApiKeyStatus, Condition } from '../../../operator/src/api/kinds.ts';
import { durationMs } from '../../../operator/src/domain/duration.ts';
import { waiting } from '../../../operator/src/domain/failure.ts';
import { reasons } from '../../../operator/src/domain/reason.ts';
import { newsOf, storyOf } from '../../../operator/src/reconcile/events.ts';
import { observed } from '../../builders/observed.ts';
import { vaultPath, World } from '../../builders/world.ts';

/** A world whose authorizer has reported all use until now. */
async function readyWorld(changes: Parameters<World['createKey']>[0] = {}): Promise<World> {
  const world = await World.open();
  await report(world);
  world.createKey(changes);
  await world.pass();
  expect(world.condition('Ready')).toBe('True Available');
  return world;
}

async function report(world: World): Promise<void> {
  await world.store.reportReplica({ id: 'authorizer', flushedThrough: world.clock.now(), dropped: 0 });
}

/** So much later, looked at as a controller would: more than once. */
async function later(world: World, time: string): Promise<void> {
  await world.clock.advance(durationMs(time));
  await report(world);
  await world.pass();
  await world.pass();
}

async function use(world: World, keyId: string, by = 'billing'): Promise<void> {
  await world.store.recordUse([{ keyId, ageMs: 0, by }]);
}

async function ask(world: World, annotation: 'rotate' | 'compromised', value: string): Promise<void> {
  world.resources.annotate('ApiKey', world.name, { [`keywright.dev/${annotation}`]: value });
  await world.pass();
}

function currentKey(world: World): string {
  return world.status().currentKey?.id ?? '';
}

/** What a person reads since the last call: reasons in their order, each told once. */
function toldSince(world: World, from = 0): readonly string[] {
  return world.resources.events.slice(from).map(({ reason, count, message }) => {
    expect(count, `${reason}: ${message}`).toBe(1);
    return reason;
  });
}

function messageOf(world: World, reason: string): string {
  return world.resources.events.findLast((event) => event.reason === reason)?.message ?? '';
}

describe('the story of a key', () => {
  it('begins with its first version, delivered and used', async () => {
    const world = await readyWorld();
    await use(world, currentKey(world));
    await later(world, '1m');
    expect(toldSince(world)).toEqual(['Minted', 'Current', 'Available', 'SeenInUse']);
    expect(messageOf(world, 'Minted')).toContain('version 1');
  });

  it('tells a rotation in order and in few words: minted and why, delivered, in use, the old one ended and why', async () => {
    const world = await readyWorld();
    const first = currentKey(world);
    await use(world, first);
    await later(world, '48h');
    const before = world.resources.events.length;
    await ask(world, 'rotate', 'now');
    await later(world, '1h');
    await use(world, currentKey(world));
    await later(world, '1h');
    await later(world, '24h');
    await later(world, '1m');
    expect(toldSince(world, before)).toEqual(['Minted', 'Current', 'SeenInUse', 'Retired']);
    expect(messageOf(world, 'Minted')).toMatch(/version 2, .*Requested.*somebody asked/);
    expect(messageOf(world, 'Current')).toContain(`The old version ${first} is valid until`);
    expect(messageOf(world, 'Retired')).toMatch(/not used any more; last used at 2026-01-01T00:00:00Z by billing/);
    expect(world.resources.events.slice(before).map(({ type }) => type)).toEqual(['Normal', 'Normal', 'Normal', 'Normal']);
  });

  it.each([
    ['the overlap was over', { retireOldKey: 'AfterOverlap', overlap: '24h' }, 'Normal'],
    ['spec.rotation.maxOverlap was over', { overlap: '1h', maxOverlap: '24h' }, 'Warning'],
  ])('says why an old version ended, and warns when it was used until then: %s', async (why, rotation, type) => {
    const world = await readyWorld({ rotation });
    const first = currentKey(world);
    await ask(world, 'rotate', 'now');
    if (type === 'Warning') {
      await world.clock.advance(durationMs('23h'));
      await use(world, first, 'the forgotten job');
    }
    await later(world, '24h');
    expect(messageOf(world, 'Retired')).toContain(why);
    expect(world.resources.events.at(-1)).toMatchObject({ type, reason: 'Retired' });
    if (type === 'Warning') expect(messageOf(world, 'Retired')).toContain('by the forgotten job');
  });

  it('gives notice of an expiry three times, then tells the end, and names the contact [S0-7] [S0-22] [S1-15]', async () => {
    const world = await readyWorld({ expiry: { at: '2026-06-01T00:00:00Z' } });
    const before = world.resources.events.length;
    for (let day = 0; day < 152; day += 1) await later(world, '24h');
    expect(toldSince(world, before)).toEqual(['Expiring', 'Expiring', 'Expiring', 'Expired']);
    const notices = world.resources.events.slice(before);
    expect(notices.map(({ type }) => type)).toEqual(['Warning', 'Warning', 'Warning', 'Warning']);
    for (const { message } of notices) expect(message).toContain('Contact: payments@example.com.');
    expect(notices.map(({ message }) => /in ([0-9]+[dh]) or less/.exec(message)?.[1])).toEqual(['30d', '7d', '24h', undefined]);
  });

  it('tells which versions a report of compromise ended, and which names it did not know', async () => {
    const world = await readyWorld();
    const first = currentKey(world);
    const before = world.resources.events.length;
    await ask(world, 'compromised', `${first},K9K9K9K9K9K9,what`);
    await later(world, '1m');
    const told = toldSince(world, before);
    expect(told.slice(0, 3)).toEqual(['Compromised', 'Minted', 'Current']);
    expect(messageOf(world, 'Compromised')).toContain(first);
    expect(messageOf(world, 'Compromised')).toContain('no live version of this key: K9K9K9K9K9K9');
    expect(messageOf(world, 'Minted')).toContain('Compromise');
    // What was typed is never quoted: it may be the key itself.
    expect(JSON.stringify([world.resources.events, world.status().conditions])).not.toContain('mistyped');
    expect(world.condition('Rotating')).toBe('False InvalidSpec');
    expect(told.slice(3)).toEqual(['InvalidSpec']);
  });

  it('tells a suspension and its end, and a revocation once', async () => {
    const world = await readyWorld();
    const before = world.resources.events.length;
    for (const suspend of [true, false]) {
      world.updateKey({ suspend });
      await later(world, '1m');
    }
    world.updateKey({ revoked: { reason: 'KeyCompromise' } });
    await later(world, '1m');
    expect(world.resources.events.slice(before).map(({ reason }) => reason)).toEqual([
      'Suspended',
      // The fake folds a second Available into the first.
      'Revoked',
      'Withdrawn',
      'Withdrawn',
    ]);
    expect(world.resources.events.find(({ reason }) => reason === 'Available')?.count).toBe(2);
  });

  it('tells a loss and its repair, and where', async () => {
    const world = await readyWorld();
    const before = world.resources.events.length;
    world.vault.lose(vaultPath);
    await world.pass({ drift: true });
    await world.pass({ drift: true });
    expect(toldSince(world, before)).toEqual(['DestinationDrift']);
    expect(messageOf(world, 'DestinationDrift')).toContain('written again to vault');
  });

  it('warns of a destination that holds up a rotation, although the key is Ready, and tells when it is mended', async () => {
    const world = await readyWorld();
    const before = world.resources.events.length;
    world.vault.failNext({ count: 1_000, error: waiting('DestinationUnavailable', 'it does not answer') });
    await ask(world, 'rotate', 'now');
    await later(world, '1m');
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.condition('Rotating')).toBe('True Requested');
    expect(toldSince(world, before)).toEqual(['Minted', 'DestinationUnavailable']);
    world.vault.heal();
    await later(world, '1m');
    expect(toldSince(world, before)).toEqual(['Minted', 'DestinationUnavailable', 'Current']);
  });

  it('tells nothing at passes that find nothing new, nor after a restart', async () => {
    const world = await readyWorld();
    await use(world, currentKey(world));
    await ask(world, 'rotate', 'now');
    await later(world, '1m');
    const before = world.resources.events.length;
    for (let hour = 0; hour < 20; hour += 1) await later(world, '1h');
    expect(toldSince(world, before)).toEqual([]);
  });

  it('speaks the one vocabulary, in sentences', async () => {
    const world = await readyWorld();
    await ask(world, 'rotate', 'now');
    await later(world, '48h');
    for (const { reason, message } of world.resources.events) {
      expect(Object.keys(reasons)).toContain(reason);
      expect(message).toMatch(/^[A-Za-z].*\.$/);
      expect(message).not.toContain('undefined');
    }
  });
});

describe('a step that another writer made sooner', () => {
  it('is not told', () => {
    const o = observed({ versions: [{ epoch: 1, state: 'pending' }] });
    const [version] = o.store.versions;
    if (version === undefined) throw new Error('no version');
    const steps = [
      { kind: 'activate', version, oldNotAfter: undefined },
      { kind: 'endVersions', keyIds: ['K1'], reason: 'revoked' },
      { kind: 'revokeAll', detail: 'the ApiKey was deleted' },
    ] as const;
    for (const action of steps) expect(storyOf({ before: o, action, after: o })).toEqual([]);
  });
});

describe('what no pass could tell', () => {
  function status(key: string, previous?: string, more: Partial<ApiKeyStatus> = {}): ApiKeyStatus {
    const ready: Condition = {
      type: 'Ready',
      status: 'True',
      reason: 'Available',
      message: reasons.Available,
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    return {
      conditions: [ready],
      currentKey: {
        id: key,
        display: `acme_live_${key}`,
        epoch: 1,
        issuedAt: '2026-01-01T00:00:00Z',
        activatedAt: '2026-01-01T00:00:00Z',
      },
      ...(previous === undefined ? {} : { previousKey: { id: previous, epoch: 1 } }),
      ...more,
    };
  }

  it('because it ended after an activation, is told by the status of the next one', () => {
    expect(newsOf(status('K1'), status('K2', 'K1'), []).map(({ reason }) => reason)).toEqual(['Current']);
    expect(newsOf(status('K2', 'K1'), status('K2'), []).map(({ reason }) => reason)).toEqual(['Retired']);
  });

  it('because somebody else revoked in the store, is told as a revocation', () => {
    const [event] = newsOf(status('K2', 'K1'), status('K2', undefined, { revokedKeyIds: ['K1'] }), []);
    expect(event).toMatchObject({ type: 'Warning', reason: 'Revoked', message: expect.stringContaining('K1') as string });
  });

  it('and what a step has told is not told again', () => {
    const told = [{ type: 'Normal', reason: 'Current', message: 'K2 is delivered.' }] as const;
    expect(newsOf(status('K1'), status('K2', 'K1'), told)).toEqual([]);
  });
});
