import { describe, expect, it } from 'vitest';
import { annotations } from '../../../operator/src/api/meta.ts';
import { catalogSpec, World } from '../../builders/world.ts';

/**
 * A Ready key whose catalog was deleted, and created again with keys of another format, which avoids the immutability of `key`.
 */
async function replaced(key: object = { prefix: 'other', environment: 'live' }): Promise<World> {
  const world = await World.open();
  world.createKey();
  await world.pass();
  expect(world.condition('Ready')).toBe('True Available');
  replace(world, key);
  await world.pass();
  return world;
}

function replace(world: World, key: object): void {
  world.resources.delete('ApiCatalog', { name: 'default' });
  world.resources.create('ApiCatalog', { metadata: { name: 'default' }, spec: catalogSpec({ key }) });
}

describe('a key whose catalog was replaced by one with another format', () => {
  it.each([
    { prefix: 'other', environment: 'live' },
    { prefix: 'acme', environment: 'test' },
  ])('is not Ready, says why and what to do, and is not minted automatically: %s', async (key) => {
    const world = await replaced(key);
    expect(world.condition('Ready')).toBe('False CatalogReplaced');
    expect(world.condition('Stalled')).toBe('True CatalogReplaced');
    const ready = world.status().conditions.find(({ type }) => type === 'Ready');
    expect(ready?.message).toContain(annotations.rotate);
    expect(world.status().currentKey?.epoch).toBe(1);
  });

  it('is Ready again by a rotation, whose readers wait for no activation', async () => {
    const world = await replaced();
    world.resources.annotate('ApiKey', world.name, { [annotations.rotate]: 'now' });
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.condition('Stalled')).toBe('False Steady');
    expect(world.status().currentKey).toMatchObject({ epoch: 2, display: expect.stringMatching(/^other_live_/) as string });
  });

  it('is Ready again when the catalog has its format again', async () => {
    const world = await replaced();
    replace(world, { prefix: 'acme', environment: 'live' });
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    expect(world.status().currentKey?.epoch).toBe(1);
  });
});
