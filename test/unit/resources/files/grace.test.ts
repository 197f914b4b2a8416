import { execFileSync } from 'node:child_process';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readConfig } from '../../../../operator/src/config.ts';
import type { LogFields } from '../../../../operator/src/telemetry/log.ts';
import { silentLog } from '../../../../operator/src/telemetry/log.ts';
import { keyText, messagesOf, refOf, useFolder, type Running } from '../../../builders/manifestfolder.ts';

const folder = useFolder();
const { run, put } = folder;
const deletionGraceMs = 5_000;
const namesOf = ({ files }: Running) => files.list('ApiKey').map(({ name }) => name);
const looks = async ({ pass }: Running, count: number): Promise<void> => {
  for (let look = 0; look < count; look += 1) await pass(520);
};

const isReplaced = /: the folder contains no manifest, and is not the one that manifests were read from before/;

describe('a manifest that is absent', () => {
  it('is deleted when it was absent for the grace, which is told meanwhile: which, and when', async () => {
    const logged: LogFields[] = [];
    const info = (event: string, fields: LogFields = {}): void => void (event === 'manifest' && logged.push(fields));
    await put('a.yaml', keyText('one'));
    const running = await run({ deletionGraceMs, log: { ...silentLog, info } });
    await rm(join(folder.manifests, 'a.yaml'));
    const message =
      'ApiKey default/one is not in the folder any more: it will be deleted at 2100-01-01T00:00:05Z unless it comes back';
    for (let look = 0; look < 10; look += 1) {
      await running.pass(520);
      expect([namesOf(running), messagesOf(running.files)]).toEqual([['one'], [`a.yaml: ${message}`]]);
      expect(running.files.deletionsWaiting()).toBe(1);
    }
    await running.pass(520);
    expect([namesOf(running), messagesOf(running.files)]).toEqual([[], []]);
    expect(running.files.deletionsWaiting()).toBe(0);
    expect(logged).toEqual([{ file: 'a.yaml', message }]);
  });

  it('is not deleted when it comes back within the grace, and the next absence has all of it again', async () => {
    await put('a.yaml', keyText('one'));
    const running = await run({ deletionGraceMs });
    const before = running.files.objects('ApiKey');
    const away = join(folder.base, 'away.yaml');
    for (let checkout = 0; checkout < 4; checkout += 1) {
      await rename(join(folder.manifests, 'a.yaml'), away);
      await looks(running, 8);
      await rename(away, join(folder.manifests, 'a.yaml'));
      await looks(running, 1);
      expect([running.files.objects('ApiKey'), messagesOf(running.files)]).toEqual([before, []]);
    }
  });

  it('stays while an empty folder is in the place of the one that was read, across a restart too, unless --prune is given', async () => {
    await put('a.yaml', keyText('one'));
    const first = await run();
    await rename(folder.manifests, `${folder.manifests}.away`);
    await mkdir(folder.manifests);
    const isKept = [['one'], [expect.stringMatching(isReplaced)]];
    await looks(first, 25);
    expect([namesOf(first), messagesOf(first.files)]).toEqual(isKept);
    await first.stop();
    const second = await run();
    await looks(second, 25);
    expect([namesOf(second), messagesOf(second.files)]).toEqual(isKept);
    await second.stop();
    const third = await run({ prune: true });
    await looks(third, 3);
    expect([namesOf(third), messagesOf(third.files)]).toEqual([[], []]);
  });

  it.each<[what: string, put: (folder: string) => Promise<unknown>]>([
    ['a link that leads out of it', (at) => symlink('/', join(at, 'lost+found'))],
    ['a folder that lies too deep', (at) => mkdir(join(at, ...Array.from({ length: 17 }, () => 'deep')), { recursive: true })],
    ['files that are no manifests', (at) => writeFile(join(at, 'values.yaml'), 'a: 1')],
    ['a broken file', (at) => writeFile(join(at, 'x.yaml'), '{')],
    ['a FIFO', (at) => Promise.resolve(execFileSync('mkfifo', [join(at, 'x.yaml')]))],
  ])('stays while a folder with nothing but %s is in the place of the one that was read', async (_what, make) => {
    await put('a.yaml', keyText('one'));
    await put('b.yaml', keyText('two'));
    const running = await run();
    await rename(folder.manifests, `${folder.manifests}.away`);
    await mkdir(folder.manifests);
    await make(folder.manifests);
    await looks(running, 25);
    expect(namesOf(running)).toEqual(['one', 'two']);
    expect(messagesOf(running.files)).toContainEqual(expect.stringMatching(isReplaced));
    await put('b.yaml', keyText('two'));
    await looks(running, 25);
    expect(namesOf(running)).toEqual(['two']);
  });

  it('stays while an empty folder is in the place of one in the manifests folder, across a restart too', async () => {
    await put('team/a/one.yaml', keyText('one'));
    await put('two.yaml', keyText('two'));
    const first = await run();
    await rename(join(folder.manifests, 'team'), `${folder.manifests}.away`);
    await mkdir(join(folder.manifests, 'team'));
    await rm(join(folder.manifests, 'two.yaml'));
    await looks(first, 25);
    const isKept = [['one'], [expect.stringMatching(/^.*\/team: the folder contains no manifest.*ApiKey default\/one stays/)]];
    expect([namesOf(first), messagesOf(first.files)]).toEqual(isKept);
    await first.stop();
    const second = await run();
    await looks(second, 25);
    expect([namesOf(second), messagesOf(second.files)]).toEqual(isKept);
    await rm(join(folder.manifests, 'team'), { recursive: true });
    await looks(second, 3);
    expect([namesOf(second), messagesOf(second.files)]).toEqual([[], []]);
  });

  it('is deleted when its folder is still the same, and empty', async () => {
    await put('team/one.yaml', keyText('one'));
    const running = await run();
    await rm(join(folder.manifests, 'team/one.yaml'));
    await looks(running, 3);
    expect([namesOf(running), messagesOf(running.files)]).toEqual([[], []]);
  });

  it('is deleted after a start when the folder is still the same, and empty', async () => {
    await put('a.yaml', keyText('one'));
    await (await run()).stop();
    await rm(join(folder.manifests, 'a.yaml'));
    const running = await run();
    await looks(running, 3);
    expect([namesOf(running), messagesOf(running.files)]).toEqual([[], []]);
  });

  it('counts from the first look that read the folder again', async () => {
    await put('a.yaml', keyText('one'));
    const running = await run({ deletionGraceMs });
    await rename(folder.manifests, `${folder.manifests}.away`);
    await looks(running, 20);
    await rm(`${folder.manifests}.away/a.yaml`);
    await rename(`${folder.manifests}.away`, folder.manifests);
    await looks(running, 10);
    expect(namesOf(running)).toEqual(['one']);
    await looks(running, 2);
    expect(namesOf(running)).toEqual([]);
  });

  it('has the grace also when it went while nothing ran', async () => {
    await put('a.yaml', keyText('one'));
    await (await run()).stop();
    await rm(join(folder.manifests, 'a.yaml'));
    const running = await run({ deletionGraceMs });
    await looks(running, 9);
    expect(namesOf(running)).toEqual(['one']);
    await looks(running, 2);
    expect(namesOf(running)).toEqual([]);
  });

  it('delays no edit of another, nor a revocation', async () => {
    await put('a.yaml', keyText('one'));
    await put('b.yaml', keyText('two'));
    const running = await run({ deletionGraceMs });
    await rm(join(folder.manifests, 'a.yaml'));
    await put('b.yaml', keyText('two', '  revoked: {}\n  suspend: true\n'));
    await looks(running, 1);
    expect((await running.files.readLive('ApiKey', refOf('two')))?.spec).toMatchObject({
      revoked: { reason: 'Unspecified' },
      suspend: true,
    });
  });

  it('may be a Secret, whose credential stays as long, also while its file is empty', async () => {
    const ref = { namespace: 'keywright-system', name: 'vault' };
    const text =
      'apiVersion: v1\nkind: Secret\nmetadata: { name: vault, namespace: keywright-system }\nstringData: { token: x }\n';
    await put('s.yaml', text);
    const running = await run({ deletionGraceMs });
    await put('s.yaml', '');
    await looks(running, 12);
    expect(await running.files.secrets.read(ref)).toBeDefined();
    expect(messagesOf(running.files)).toEqual([
      's.yaml: the file is empty, which deletes nothing: Secret keywright-system/vault stays; delete the file to delete it',
    ]);
    await rm(join(folder.manifests, 's.yaml'));
    await looks(running, 9);
    expect(await running.files.secrets.read(ref)).toBeDefined();
    await looks(running, 2);
    expect(await running.files.secrets.read(ref)).toBeUndefined();
  });
});

describe('a deletion that is held', () => {
  it('says by which file it waits longer', async () => {
    await put('a.yaml', keyText('one'));
    await put('broken.yaml', '{');
    const running = await run();
    await rm(join(folder.manifests, 'a.yaml'));
    await looks(running, 1);
    expect(messagesOf(running.files)).toEqual([
      'a.yaml: ApiKey default/one is not in the folder any more: it will be deleted at 2100-01-01T00:00:10Z unless it comes back; this waits because broken.yaml cannot be read, and may contain it now',
      expect.stringMatching(/^broken\.yaml:1 is not valid YAML/),
    ]);
  });

  it('is shown however many other problems there are', async () => {
    for (let file = 10; file < 22; file += 1)
      await put(`${file}.yaml`, keyText(`k${file}`, Array.from({ length: 25 }, (_, field) => `  x${field}: 1\n`).join('')));
    await put('a.yaml', keyText('one'));
    const running = await run({ deletionGraceMs });
    await rm(join(folder.manifests, 'a.yaml'));
    await looks(running, 1);
    const messages = messagesOf(running.files);
    expect(messages).toHaveLength(201);
    expect(messages[0]).toMatch(/^a\.yaml: ApiKey default\/one is not in the folder any more/);
  });

  it('says what an unreadable file keeps', async () => {
    const names = ['one', 'two', 'three', 'four', 'five'];
    await put('a.yaml', names.map((name) => keyText(name)).join('---\n'));
    const running = await run();
    await writeFile(join(folder.manifests, 'a.yaml'), '{');
    await looks(running, 1);
    expect(messagesOf(running.files)).toEqual([
      expect.stringMatching(
        /^a\.yaml:1 is not valid YAML: .*; until this is repaired, ApiKey default\/one, ApiKey default\/two, ApiKey default\/three and 2 more stay as they were$/,
      ),
    ]);
  });
});

describe('KEYWRIGHT_DELETION_GRACE', () => {
  it('is five seconds, may be none, and no more than an hour', () => {
    expect(readConfig({}).deletionGraceMs).toBe(5_000);
    expect(readConfig({ KEYWRIGHT_DELETION_GRACE: '0s' }).deletionGraceMs).toBe(0);
    expect(readConfig({ KEYWRIGHT_DELETION_GRACE: '1h' }).deletionGraceMs).toBe(3_600_000);
    for (const text of ['5', '2h', '-1s', 'soon'])
      expect(() => readConfig({ KEYWRIGHT_DELETION_GRACE: text })).toThrow(
        'KEYWRIGHT_DELETION_GRACE: must be a duration, 0s to 1h',
      );
  });
});
