import { rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keyText, messagesOf, refOf, useFolder, type Running } from '../../../builders/manifestfolder.ts';

const folder = useFolder();
const { run, put } = folder;
const at = (name: string) => join(folder.manifests, name);
const namesOf = ({ files }: Running) => files.list('ApiKey').map(({ name }) => name);
const looks = async ({ pass }: Running, count: number): Promise<void> => {
  for (let look = 0; look < count; look += 1) await pass(520);
};

describe('a document that is not valid', () => {
  const invalid = keyText('one').replace(/^ {2}owner: .*\n/m, '');

  it('stops no edit of a valid one of its name, whichever comes first', async () => {
    await put('b.yaml', keyText('one'));
    const running = await run();
    await put('a.yaml', invalid);
    await put('b.yaml', keyText('one', '  suspend: true\n'));
    await looks(running, 2);
    expect((await running.files.readLive('ApiKey', refOf('one')))?.spec.suspend).toBe(true);
  });

  it('keeps what it names as it was when nothing else declares it, and says so', async () => {
    await put('b.yaml', keyText('one'));
    const running = await run();
    await put('a.yaml', invalid);
    await rm(at('b.yaml'));
    await looks(running, 3);
    expect(namesOf(running)).toEqual(['one']);
    expect(messagesOf(running.files)).toEqual([
      expect.stringMatching(
        /^a\.yaml:\d+ spec\.owner: is required; until this is repaired, ApiKey default\/one stays as it was$/,
      ),
    ]);
    await rm(at('a.yaml'));
    await looks(running, 3);
    expect(namesOf(running)).toEqual([]);
  });
});

describe('a file that cannot be read', () => {
  const broken = keyText('other').replace('owner: ana', 'owner: [ana');

  it.each(['api', 'owner', 'the', 'othe', 'key'])('keeps no key from its deletion that it does not name: %s', async (name) => {
    await put('one.yaml', keyText(name));
    const running = await run();
    await put('broken.yaml', broken);
    await rm(at('one.yaml'));
    await looks(running, 25);
    expect(namesOf(running)).toEqual([]);
  });

  it.each([
    ['as a value', 'name: "one"\n'],
    ['in JSON', '{"metadata":{"name":"one","namespace":'],
    ['at its end', '- [\n- one'],
    ['beyond the first piece', `${'# 0123456789abcdef\n'.repeat(4_000)}name: one\n`],
  ])('keeps a key that it names: %s', async (_, text) => {
    await put('one.yaml', keyText('one'));
    const running = await run();
    await put('broken.yaml', `${text}\n}`);
    await rm(at('one.yaml'));
    await looks(running, 25);
    expect(namesOf(running)).toEqual(['one']);
  });

  it('is named when it changes whenever it is read, and is waited for no longer', async () => {
    await put('one.yaml', keyText('one'));
    // Its size is 0, and it has content.
    await symlink('/proc/version', at('kernel.yaml'));
    const running = await run();
    await looks(running, 12);
    expect(messagesOf(running.files)).toEqual(['kernel.yaml: the file changes whenever it is read']);
  });
});

it('a link into the data folder declares nothing: what the program wrote itself is no manifest', async () => {
  await put('one.yaml', keyText('one'));
  const running = await run();
  await symlink(join(folder.data, 'status', 'ApiKey', 'default', 'one.yaml'), at('status.yaml'));
  await looks(running, 2);
  expect(messagesOf(running.files)).toEqual([`${at('status.yaml')}: the link leads into the data folder, and is left out`]);
  await rm(at('one.yaml'));
  await looks(running, 3);
  expect(namesOf(running)).toEqual([]);
});
