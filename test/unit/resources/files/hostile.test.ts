import { execFileSync } from 'node:child_process';
import { mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ManifestFolder } from '../../../../operator/src/resources/files/folder.ts';
import { Mentions } from '../../../../operator/src/resources/files/mentions.ts';
import type { ManifestParser } from '../../../../operator/src/resources/files/parser.ts';
import type { LogFields } from '../../../../operator/src/telemetry/log.ts';
import { silentLog } from '../../../../operator/src/telemetry/log.ts';
import { keyText, later, messagesOf, refOf, useFolder, type Running } from '../../../builders/manifestfolder.ts';
import { FakeClock } from '../../../harness/fakes/clock.ts';
import { directParser } from '../../../harness/fakes/parser.ts';

const folder = useFolder();
const { run, put } = folder;
const at = (name: string) => join(folder.manifests, name);
const namesOf = ({ files }: Running) => files.list('ApiKey').map(({ name }) => name);
/** A clock by which a list of more than one folder takes too long. */
class SlowClock extends FakeClock {
  slow = false;
  #asked = 0;

  constructor() {
    super(later);
  }

  override monotonicMs(): number {
    this.#asked += this.slow ? 2_100 : 0;
    return super.monotonicMs() + this.#asked;
  }
}

const irregular = 'is not a regular file: FIFOs, sockets and devices are not read';

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

describe('a link to a folder', () => {
  it('is followed only inside of the manifests folder: not to /, not beside it, and not in a circle', async () => {
    await put('key.yaml', keyText('one'));
    await mkdir(join(folder.base, 'elsewhere'));
    await writeFile(join(folder.base, 'elsewhere', 'stranger.yaml'), keyText('stranger'));
    await symlink('/', at('all'));
    await symlink('../elsewhere', at('beside'));
    await symlink('.', at('circle'));
    const running = await run();
    await running.pass(520);
    expect(namesOf(running)).toEqual(['one']);
    const message = 'the link leads out of the manifests folder, and is left out';
    expect(messagesOf(running.files)).toEqual([`${at('all')}: ${message}`, `${at('beside')}: ${message}`]);
  });

  it('deletes nothing that came from a folder that became such a link', async () => {
    await put('team/key.yaml', keyText('one'));
    const running = await run();
    await rename(at('team'), join(folder.base, 'team'));
    await symlink(join(folder.base, 'team'), at('team'));
    for (let look = 0; look < 25; look += 1) await running.pass(520);
    expect(namesOf(running)).toEqual(['one']);
  });

  it('works as Kubernetes makes it in a mounted volume, even when Kubernetes switches it', async () => {
    await put('..2026_1/team/key.yaml', keyText('one'));
    await put('..2026_2/team/key.yaml', keyText('two'));
    await symlink('..2026_1', at('..data'));
    await symlink('..data/team', at('team'));
    const running = await run();
    expect(namesOf(running)).toEqual(['one']);
    await symlink('..2026_2', at('..data_tmp'));
    await rename(at('..data_tmp'), at('..data'));
    for (let look = 0; look < 3; look += 1) await running.pass(520);
    expect(namesOf(running)).toEqual(['two']);
  });

  it('is left out alone if its real path is too long, and hides no file beside it', async () => {
    const name = 'd'.repeat(250);
    const deep = Array.from({ length: 10 }, () => name).join('/');
    await put('a.yaml', keyText('one'));
    await mkdir(join(folder.base, 'elsewhere'));
    // No path of more than 4,096 bytes can be named at once, but links lead there in two steps.
    const halves = `mkdir -p ${deep} && cd ${deep} && mkdir -p ${deep}`;
    execFileSync('sh', ['-c', halves], { cwd: join(folder.base, 'elsewhere') });
    await symlink(deep, join(folder.base, 'elsewhere', 'half'));
    await symlink(`../elsewhere/half/${deep}`, at('long'));
    await put('z.yaml', keyText('two'));
    const running = await run();
    expect(namesOf(running)).toEqual(['one', 'two']);
    expect(messagesOf(running.files)).toEqual([`${at('long')}: the link cannot be followed, and is left out`]);
    await running.stop();
    execFileSync('rm', ['-r', join(folder.base, 'elsewhere')]);
  });

  it('lies at most sixteen folders deep', async () => {
    await put(`${'d/'.repeat(16)}key.yaml`, keyText('one'));
    await put(`${'d/'.repeat(17)}key.yaml`, keyText('two'));
    const running = await run();
    expect(namesOf(running)).toEqual(['one']);
    expect(messagesOf(running.files)).toEqual([expect.stringContaining('deeper than 16 folders, and is left out')]);
  });
});

describe('a glance at what objects came from', () => {
  it('sees a change without a list of the folder, and nothing else', async () => {
    for (const name of ['one', 'two']) await put(`${name}.yaml`, keyText(name));
    const clock = new FakeClock(later);
    const found = new ManifestFolder({ root: folder.manifests, skipped: folder.data, clock, parser: directParser });
    const sources = new Set([at('one.yaml'), at('two.yaml')]);
    expect(await found.glance(sources)).toBeUndefined();
    await found.look(sources);
    expect(await found.glance(sources)).toBeUndefined();
    await put('two.yaml', keyText('two', '  suspend: true\n'));
    await put('three.yaml', keyText('three'));
    await rm(at('one.yaml'));
    const glance = await found.glance(sources);
    expect([...(glance?.changed ?? [])]).toEqual([at('two.yaml')]);
    expect(glance?.look.files.map(({ path }) => path)).toEqual([at('one.yaml'), at('two.yaml')]);
    expect(JSON.stringify(glance?.look.files[1])).toContain('"suspend":true');
  });
});

describe('a folder that is not listed to its end', () => {
  it('still has its known files read, and says that the list is cut', async () => {
    await put('a/one.yaml', keyText('one'));
    await put('b/two.yaml', keyText('two'));
    const clock = new SlowClock();
    const running = await run({ clock });
    clock.slow = true;
    await put('b/two.yaml', keyText('two', '  suspend: true\n'));
    await put('a/one.yaml', keyText('one', '  suspend: true\n'));
    await running.pass(520);
    const isSuspended = async (name: string) => (await running.files.readLive('ApiKey', refOf(name)))?.spec.suspend;
    expect([await isSuspended('one'), await isSuspended('two')]).toEqual([true, true]);
    expect(messagesOf(running.files)).toEqual(['manifests: takes longer than 2 s to list: the rest is not listed']);
    await rm(at('b/two.yaml'));
    for (let look = 0; look < 22; look += 1) await running.pass(520);
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
  const large = async (name: string): Promise<void> => {
    await writeFile(at(name), '');
    await truncate(at(name), 3_999_999);
  };
  /** Does not waste seconds on what is only large. */
  const parser: ManifestParser = {
    ...directParser,
    parse: (bytes) =>
      bytes.length > 1_000_000 ? Promise.resolve({ ok: false, fault: { message: 'is junk' } }) : directParser.parse(bytes),
  };
  const suspended = async ({ files }: Running, name: string) => (await files.readLive('ApiKey', refOf(name)))?.spec.suspend;

  it('is 64 MB of manifests: files that are added later are left out, named once, and delay no change', async () => {
    await put('z.yaml', keyText('one'));
    await put('y.yaml', keyText('two'));
    let running = await run({ parser });
    for (let file = 10; file < 28; file += 1) await large(`a${file}.yaml`);
    for (let look = 0; look < 3; look += 1) await running.pass(520);
    expect(messagesOf(running.files)).toContainEqual(
      expect.stringMatching(/^a25\.yaml: is not read, the first of 3 such files: at most/),
    );
    await put('z.yaml', keyText('one', '  suspend: true\n'));
    await running.pass(520);
    expect(await suspended(running, 'one')).toBe(true);
    await running.stop();
    // A start finds all of it at once: what objects came from is read first.
    await put('z.yaml', keyText('one'));
    running = await run({ parser });
    expect(await suspended(running, 'one')).toBe(false);
    await rm(at('y.yaml'));
    for (let look = 0; look < 22; look += 1) await running.pass(520);
    expect(namesOf(running)).toEqual(['one']);
  });

  it('keeps what a file declared that has grown beyond the 64 MB, and leaves all others as they are', async () => {
    for (let file = 10; file < 25; file += 1) await large(`a${file}.yaml`);
    await put('one.yaml', keyText('one'));
    await put('two.yaml', keyText('two'));
    const running = await run({ parser });
    await put('two.yaml', `${keyText('two', '  suspend: true\n')}${'# 0123456789abcdef\n'.repeat(210_000)}`);
    await put('one.yaml', keyText('one', '  suspend: true\n'));
    await large('a25.yaml');
    for (let look = 0; look < 23; look += 1) await running.pass(520);
    expect([await suspended(running, 'one'), namesOf(running)]).toEqual([true, ['one', 'two']]);
  });

  it(
    'is 10,000 files: more of them hold up no change and no deletion, and what is left out is named',
    { timeout: 180_000 },
    async () => {
      for (const name of ['one', 'two', 'moved']) await put(`z/${name}.yaml`, keyText(name));
      const running = await run();
      const files = Array.from({ length: 10_400 }, (_, file) => `a${file}.yaml`);
      for (let from = 0; from < files.length; from += 400)
        await Promise.all(files.slice(from, from + 400).map((file) => writeFile(at(file), 'a: 1')));
      await put('z/one.yaml', keyText('one', '  suspend: true\n'));
      await rm(at('z/two.yaml'));
      await rm(at('z/moved.yaml'));
      await put('z/left-out.yaml', keyText('moved', '  suspend: true\n'));
      await running.pass(520);
      expect(await suspended(running, 'one')).toBe(true);
      for (let look = 0; look < 13; look += 1) await running.pass(1_000);
      expect(namesOf(running)).toEqual(['moved', 'one']);
      expect(await suspended(running, 'moved')).toBe(false);
      const messages = messagesOf(running.files);
      expect(messages).toContainEqual(
        expect.stringMatching(/^a\d+\.yaml: is not read, the first of 40\d such files: at most 10,000 files/),
      );
      expect(messages).toContain(
        'z/left-out.yaml: ApiKey default/moved was removed from the folder, but this unreadable file mentions it: it stays until the file is repaired or removed',
      );
      const before = performance.now();
      await put('z/one.yaml', keyText('one'));
      await running.pass(520);
      expect(await suspended(running, 'one')).toBe(false);
      console.log(`a change among 10,000 files: ${String(Math.round(performance.now() - before))} ms`);
    },
  );

  it('never costs a file its first turn, however many others cannot be read', async () => {
    for (let file = 0; file < 1_000; file += 1) await symlink('/proc/version', at(`a${file}.yaml`));
    await put('z.yaml', keyText('one'));
    const running = await run();
    await running.pass(520);
    expect(namesOf(running)).toEqual(['one']);
  });

  it('is two seconds and 256 MB of search for the names of what was removed', async () => {
    const searched = (path: string) => ({ path, real: at(path), stamp: path });
    await put('one.yaml', keyText('one'));
    const clock = new SlowClock();
    expect(await new Mentions(clock).search([searched('one.yaml')], ['one'])).toEqual(new Map([['one', 'one.yaml']]));
    clock.slow = true;
    expect(await new Mentions(clock).search([searched('one.yaml')], ['one'])).toEqual(new Map());
    clock.slow = false;
    const names = Array.from({ length: 60 }, (_, file) => `a${file}.yaml`);
    for (const name of names) {
      await writeFile(at(name), '');
      await truncate(at(name), 16_000_000);
    }
    const files = [...names, 'one.yaml'].map(searched);
    expect(await new Mentions(clock).search(files, ['one'])).toEqual(new Map());
  });

  it('is 20,000 objects: files that name more of them are left out, until there is room, and delay no change', async () => {
    const names = (first: number, count: number) =>
      Array.from({ length: count }, (_, n) => `- metadata: { name: n${first + n} }\n`).join('');
    const listed = (first: number, count: number) => `apiVersion: x\nkind: ApiKeyList\nitems:\n${names(first, count)}`;
    const isLeftOut = ({ files }: Running) =>
      messagesOf(files).some((text) => /^c\.yaml: is not read, the first of 1 such/.test(text));
    await put('a.yaml', listed(0, 9_000));
    await put('z.yaml', keyText('one'));
    const running = await run();
    await put('b.yaml', listed(9_000, 9_000));
    await running.pass(520);
    await put('c.yaml', `${listed(18_000, 3_000)}---\n${keyText('two')}`);
    await running.pass(520);
    expect([isLeftOut(running), namesOf(running)]).toEqual([true, ['one']]);
    await put('z.yaml', keyText('one', '  suspend: true\n'));
    await running.pass(520);
    expect([isLeftOut(running), await suspended(running, 'one')]).toEqual([true, true]);
    await rm(at('a.yaml'));
    for (let look = 0; look < 4; look += 1) await running.pass(520);
    expect([isLeftOut(running), namesOf(running)]).toEqual([false, ['one', 'two']]);
    await put('d.yaml', listed(30_000, 10_001));
    await running.pass(520);
    expect(messagesOf(running.files)).toContain('d.yaml: the file names more than 10,000 objects');
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
