import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { manifestAnnotation } from '../../../../operator/src/resources/files/takeover.ts';
import { keyText, messagesOf, refOf, useFolder, type Running } from '../../../builders/manifestfolder.ts';

const folder = useFolder();
const { run } = folder;
const namesOf = ({ files }: Running) => files.list('ApiKey').map(({ name }) => name);
const current = () => join(folder.base, 'current');

/** A release with these manifests, by file. */
async function release(name: string, texts: Readonly<Record<string, string>>): Promise<void> {
  const place = join(folder.base, 'releases', name, 'manifests');
  await mkdir(place, { recursive: true });
  for (const [file, text] of Object.entries(texts)) await writeFile(join(place, file), text);
}

/** Makes `current` lead there, in one step, as git-sync does. */
async function switchTo(name: string): Promise<void> {
  await symlink(join('releases', name), `${current()}.next`);
  await rename(`${current()}.next`, current());
}

const open = () => run({ folder: join(current(), 'manifests') });
const looks = async ({ pass }: Running, count: number): Promise<void> => {
  for (let look = 0; look < count; look += 1) await pass(520);
};

describe('a manifests folder behind a link', () => {
  it('is followed when the link is switched: an edit counts, and so does a deletion', async () => {
    await release('a', { 'one.yaml': keyText('one'), 'two.yaml': keyText('two') });
    await release('b', { 'one.yaml': keyText('one', '  suspend: true\n') });
    await switchTo('a');
    const running = await open();
    expect(namesOf(running)).toEqual(['one', 'two']);
    const before = await running.files.readLive('ApiKey', refOf('one'));
    await switchTo('b');
    await looks(running, 1);
    const after = await running.files.readLive('ApiKey', refOf('one'));
    expect(after?.spec.suspend).toBe(true);
    expect(after?.metadata).toMatchObject({
      uid: before?.metadata.uid,
      annotations: { [manifestAnnotation]: join(current(), 'manifests', 'one.yaml') },
    });
    await looks(running, 2);
    expect(namesOf(running)).toEqual(['one']);
  });

  it('is the same folder after a restart, wherever the link leads by then', async () => {
    await release('a', { 'one.yaml': keyText('one'), 'two.yaml': keyText('two') });
    await release('b', { 'two.yaml': keyText('two') });
    await switchTo('a');
    await (await open()).stop();
    await switchTo('b');
    await rm(join(folder.base, 'releases', 'a'), { recursive: true });
    const running = await open();
    await looks(running, 2);
    expect([namesOf(running), messagesOf(running.files)]).toEqual([['two'], []]);
  });

  it('deletes nothing while the link leads nowhere, and goes on with where it leads next', async () => {
    await release('a', { 'one.yaml': keyText('one') });
    await release('b', { 'two.yaml': keyText('two') });
    await switchTo('a');
    const running = await open();
    await rm(current());
    await looks(running, 25);
    expect(namesOf(running)).toEqual(['one']);
    expect(messagesOf(running.files)).toEqual([`${join(current(), 'manifests')}: the folder is not there`]);
    await switchTo('b');
    await looks(running, 3);
    expect(namesOf(running)).toEqual(['two']);
  });

  it('is confined to where the link leads: a link in it may lead inside of that release, and not into another', async () => {
    await release('a', { 'one.yaml': keyText('one') });
    await release('b', { 'two.yaml': keyText('two') });
    const place = join(folder.base, 'releases', 'a', 'manifests');
    await mkdir(join(place, '.real'));
    await writeFile(join(place, '.real', 'three.yaml'), keyText('three'));
    await symlink('.real', join(place, 'inside'));
    await symlink('../../b/manifests', join(place, 'outside'));
    await switchTo('a');
    const running = await open();
    expect(namesOf(running)).toEqual(['one', 'three']);
    expect(messagesOf(running.files)).toEqual([
      `${join(current(), 'manifests', 'outside')}: the link leads out of the manifests folder, and is left out`,
    ]);
  });

  it('still knows objects by the real path that an earlier version wrote down', async () => {
    await release('a', { 'one.yaml': keyText('one') });
    await switchTo('a');
    const real = join(folder.base, 'releases', 'a', 'manifests');
    await (await run({ folder: real })).stop();
    await writeFile(join(real, 'one.yaml'), '{');
    const running = await open();
    await looks(running, 25);
    expect(namesOf(running)).toEqual(['one']);
    await rm(join(real, 'one.yaml'));
    await looks(running, 3);
    expect([namesOf(running), messagesOf(running.files)]).toEqual([[], []]);
  });
});
