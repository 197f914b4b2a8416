import { execFileSync } from 'node:child_process';
import { mkdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LogFields } from '../../../../operator/src/telemetry/log.ts';
import { silentLog } from '../../../../operator/src/telemetry/log.ts';
import { keyText, messagesOf, refOf, useFolder, type Running } from '../../../builders/manifestfolder.ts';

const folder = useFolder();
const { run, put } = folder;
const at = (name: string) => join(folder.manifests, name);
const namesOf = ({ files }: Running) => files.list('ApiKey').map(({ name }) => name);
const irregular = 'is not a regular file: what a FIFO, a socket or a device gives is not read';

describe('what is not a regular file', () => {
  it('is named and never opened: a FIFO, a socket, a device, a link to one, links in a circle and into nothing', async () => {
    await put('key.yaml', keyText('one'));
    execFileSync('mkfifo', [at('fifo.yaml')]);
    await symlink('/dev/zero', at('zero.yaml'));
    await symlink('fifo.yaml', at('link.yaml'));
    await symlink('circle-b.yaml', at('circle-a.yaml'));
    await symlink('circle-a.yaml', at('circle-b.yaml'));
    await symlink('nowhere', at('nowhere.yaml'));
    await mkdir(at('folder.yaml'));
    await put('folder.yaml/two.yaml', keyText('two'));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(at('socket.yaml'), resolve));
    const running = await run();
    await running.pass(520);
    server.close();
    expect(messagesOf(running.files)).toEqual([
      'circle-a.yaml: the link leads in a circle',
      'circle-b.yaml: the link leads in a circle',
      `fifo.yaml: ${irregular}`,
      `link.yaml: ${irregular}`,
      "nowhere.yaml: the link's target does not exist",
      `socket.yaml: ${irregular}`,
      `zero.yaml: ${irregular}`,
    ]);
    expect(namesOf(running)).toEqual(['one', 'two']);
  });

  it('does not delete what the file declared before, and holds up no deletion of another', async () => {
    await put('one.yaml', keyText('one'));
    await put('two.yaml', keyText('two'));
    const running = await run();
    await rm(at('one.yaml'));
    execFileSync('mkfifo', [at('one.yaml')]);
    await rm(at('two.yaml'));
    await running.pass(520);
    await running.pass(520);
    expect(namesOf(running)).toEqual(['one']);
    for (let look = 0; look < 30; look += 1) await running.pass(520);
    expect(namesOf(running)).toEqual(['one']);
  });

  it('may be a file of /proc, which says a size of 0 and gives more: it never counts as empty', async () => {
    await symlink('/proc/self/status', at('proc.yaml'));
    await put('one.yaml', keyText('one'));
    const running = await run();
    for (let look = 0; look < 4; look += 1) await running.pass(520);
    expect(namesOf(running)).toEqual(['one']);
  });
});

describe('a deletion beside a file that cannot be read', () => {
  it('counts after ten seconds, so that no such file keeps a key alive', async () => {
    await put('one.yaml', keyText('one'));
    await put('broken.yaml', '{');
    const running = await run();
    await rm(at('one.yaml'));
    for (let look = 0; look < 19; look += 1) await running.pass(520);
    expect(namesOf(running)).toEqual(['one']);
    for (let look = 0; look < 3; look += 1) await running.pass(520);
    expect(namesOf(running)).toEqual([]);
  });

  it('waits for the repair of a file that names the object, and says so: somebody moved it there', async () => {
    await put('one.yaml', keyText('one'));
    const running = await run();
    await rm(at('one.yaml'));
    await put('moved.yaml', keyText('one').replace('owner: ana', 'owner: [ana'));
    for (let look = 0; look < 40; look += 1) await running.pass(520);
    expect(namesOf(running)).toEqual(['one']);
    expect(messagesOf(running.files)).toContain(
      'moved.yaml: ApiKey default/one was removed from the folder, but this unreadable file mentions it: it stays until the file is repaired or removed',
    );
    const before = await running.files.readLive('ApiKey', refOf('one'));
    await put('moved.yaml', keyText('one'));
    await running.pass(520);
    expect((await running.files.readLive('ApiKey', refOf('one')))?.metadata.uid).toBe(before?.metadata.uid);
  });

  it('waits likewise for a file that is too large to be read, which is searched in pieces', async () => {
    await put('one.yaml', keyText('one'));
    await put('two.yaml', keyText('two'));
    const running = await run();
    await rm(at('one.yaml'));
    await rm(at('two.yaml'));
    await put('large.yaml', `${'# 0123456789abcdef\n'.repeat(300_000)}${keyText('one')}`);
    for (let look = 0; look < 25; look += 1) await running.pass(520);
    expect(namesOf(running)).toEqual(['one']);
    expect(messagesOf(running.files)).toContain('large.yaml: the file is larger than 4 MB');
  });

  it('is not held up by a file that somebody writes again and again', async () => {
    await put('one.yaml', keyText('one'));
    const running = await run();
    await rm(at('one.yaml'));
    for (let look = 0; look < 25; look += 1) {
      await put('log.yaml', `# ${look}\n${'{'.repeat(look + 1)}`);
      await running.pass(520);
    }
    expect(namesOf(running)).toEqual([]);
  });
});

describe('what a folder may cost', () => {
  it('is 64 MB of manifests: what lies beyond is named, and deletes nothing', async () => {
    await put('z.yaml', keyText('one'));
    const running = await run();
    for (let file = 0; file < 17; file += 1) {
      await writeFile(at(`a${file}.yaml`), '');
      await truncate(at(`a${file}.yaml`), 3_999_999);
    }
    for (let look = 0; look < 25; look += 1) await running.pass(520);
    expect(namesOf(running)).toEqual(['one']);
    expect(messagesOf(running.files)).toContain('z.yaml: is not read: the manifests are larger than 64 MB in all');
  });

  it('is twenty messages a file and a count of the rest', async () => {
    await put('a.yaml', keyText('one', Array.from({ length: 16_000 }, (_, field) => `  field${field}: 1\n`).join('')));
    const { files } = await run();
    const messages = messagesOf(files);
    expect(messages).toHaveLength(21);
    expect(messages[0]).toBe('a.yaml:14 spec.field0: is no known field');
    expect(messages[20]).toBe('a.yaml: and 15,980 more');
  });

  it('is two hundred messages in all, each bounded, and two hundred lines of the log a minute', async () => {
    const logged: LogFields[] = [];
    const note = (_event: string, fields: LogFields = {}): void => void logged.push(fields);
    for (let file = 0; file < 30; file += 1)
      await put(
        `${String(file).padStart(2, '0')}.yaml`,
        keyText(`k${file}`, Array.from({ length: 30 }, (_, field) => `  ${'x'.repeat(500)}${field}: 1\n`).join('')),
      );
    const running = await run({ log: { ...silentLog, warn: note, info: note } });
    const messages = messagesOf(running.files);
    expect(messages).toHaveLength(201);
    expect(messages[200]).toBe('manifests: 430 more problems are not shown');
    expect(Math.max(...messages.map(({ length }) => length))).toBeLessThan(320);
    for (let look = 0; look < 10; look += 1) {
      await put('00.yaml', keyText('k0', Array.from({ length: 30 }, (_, field) => `  a${look}b${field}: 1\n`).join('')));
      await running.pass(520);
    }
    expect(logged.filter(({ file }) => file !== undefined).length).toBeLessThanOrEqual(200);
    expect(logged).toContainEqual({ message: 'more than 200 faults within a minute: the others are not logged' });
  });

  it('is a hundred objects taken over in one look, so that a deletion waits for no file of thousands', async () => {
    await put('one.yaml', keyText('one'));
    const running = await run();
    const namespaces = Array.from({ length: 250 }, (_, n) => `---\napiVersion: v1\nkind: Namespace\nmetadata: { name: n${n} }\n`);
    await put('many.yaml', namespaces.join(''));
    await rm(at('one.yaml'));
    const count = () => running.files.objects('Namespace').filter(({ metadata }) => metadata.name !== 'default').length;
    await running.pass(520);
    expect([count(), namesOf(running)]).toEqual([100, ['one']]);
    await running.pass(520);
    expect([count() > 100, namesOf(running)]).toEqual([true, []]);
    for (let look = 0; look < 3; look += 1) await running.pass(520);
    expect(count()).toBe(250);
  });

  it('does not compare again what it has taken over', async () => {
    await put('one.yaml', keyText('one'));
    const running = await run();
    await running.pass(520);
    const object = await running.files.readLive('ApiKey', refOf('one'));
    if (object === undefined) throw new Error('no object');
    let reads = 0;
    Object.defineProperty(object.spec, 'displayName', { enumerable: true, get: () => ((reads += 1), 'one') });
    await running.pass(520);
    await running.pass(520);
    expect(reads).toBe(0);
  });
});
