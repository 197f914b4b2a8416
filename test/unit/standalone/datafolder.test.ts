import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PepperRing } from '../../../operator/src/keys/pepper.ts';
import { readCredentials } from '../../../operator/src/standalone/credentials.ts';
import { openDataFolder } from '../../../operator/src/standalone/datafolder.ts';
import type { DataFolder } from '../../../operator/src/standalone/datafolder.ts';
import { StandaloneFault } from '../../../operator/src/standalone/fault.ts';
import { ensurePepperFile } from '../../../operator/src/standalone/pepper.ts';
import { isAlive, nameProcess } from '../../../operator/src/standalone/process.ts';

let base = '';
let open: DataFolder[] = [];

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'keywright-data-'));
  open = [];
});

afterEach(async () => {
  for (const data of open) await data.release();
  await rm(base, { recursive: true, force: true });
});

async function take(folder = join(base, 'data')): Promise<DataFolder> {
  const data = await openDataFolder(folder);
  open.push(data);
  return data;
}

describe('the data folder', () => {
  it('belongs to one at a time, also under another name, until it is released', async () => {
    const data = await take();
    await expect(take(join(base, '.', 'data', '..', 'data'))).rejects.toThrow(StandaloneFault);
    await expect(take()).rejects.toThrow(`process ${process.pid} already runs on the data folder ${data.path}`);
    await data.release();
    await data.release();
    await take();
  });

  it('is refused while the process that the lock file names lives, and taken when only its id does', async () => {
    await (await take()).release();
    const parent = await nameProcess(process.ppid);
    if (parent === undefined) throw new Error('no parent');
    const lock = join(base, 'data', 'up.lock');
    await writeFile(lock, JSON.stringify(parent));
    await expect(take()).rejects.toThrow(`process ${process.ppid} already runs`);
    await writeFile(lock, JSON.stringify({ ...parent, startTicks: '1' }));
    await take();
  });

  it('is refused while another user holds the name of its lock, and names no process that has ended', async () => {
    await (await take()).release();
    const [data, stranger] = [join(base, 'data'), createServer()];
    const { dev, ino } = await stat(data, { bigint: true });
    await new Promise<void>((resolve) => stranger.listen(`\0keywright-up-${dev}-${ino}`, resolve));
    await writeFile(join(data, 'up.lock'), JSON.stringify({ pid: process.pid, startTicks: '1', bootId: 'earlier' }));
    await expect(take()).rejects.toThrow('an unknown process holds the lock of the data folder');
    await new Promise((resolve) => stranger.close(resolve));
    await take();
  });

  it('is taken over a lock file that says nothing', async () => {
    await (await take()).release();
    await writeFile(join(base, 'data', 'up.lock'), '{"pid":');
    await take();
  });
});

describe('a data folder that is not ours alone', () => {
  const inData = (name: string): string => join(base, 'data', name);

  it('is refused while its group or others can write to it, with the command that closes it', async () => {
    await mkdir(join(base, 'data'));
    for (const mode of [0o770, 0o707, 0o1777]) {
      await chmod(join(base, 'data'), mode);
      await expect(take()).rejects.toThrow(/^other users can write to the data folder (\S+); .* "chmod go-w \1"/);
    }
    await chmod(join(base, 'data'), 0o755);
    await take();
  });

  it('is refused in a folder where every user can replace it, but not in one such as /tmp', async () => {
    await mkdir(join(base, 'open', 'between'), { recursive: true });
    await chmod(join(base, 'open'), 0o777);
    await expect(take(join(base, 'open', 'between', 'data'))).rejects.toThrow(`run "chmod o-w ${join(base, 'open')}"`);
    await chmod(join(base, 'open'), 0o1777);
    await take(join(base, 'open', 'between', 'data'));
  });

  it('is refused with a database.json or a pepper.json that others can write, or that is a link', async () => {
    const data = await take();
    for (const [name, read] of [
      ['database.json', () => readCredentials(data)],
      ['pepper.json', () => ensurePepperFile(data)],
    ] as const) {
      await writeFile(join(base, 'elsewhere'), '{"password":"theirs"}', { mode: 0o600 });
      await symlink(join(base, 'elsewhere'), inData(name));
      await expect(read()).rejects.toThrow(`${name} is not a file that only you can write`);
      await rm(inData(name));
      await writeFile(inData(name), '{"password":"theirs"}');
      await chmod(inData(name), 0o620);
      await expect(read()).rejects.toThrow(`${name} is not a file that only you can write`);
      await chmod(inData(name), 0o600);
      await read();
    }
  });

  it.runIf(process.getuid?.() === 0)('is refused when another user made it, or one of the two files', async () => {
    const data = await take();
    for (const [name, read] of [
      ['database.json', () => readCredentials(data)],
      ['pepper.json', () => ensurePepperFile(data)],
    ] as const) {
      await writeFile(inData(name), '{"password":"theirs"}', { mode: 0o600 });
      await chown(inData(name), 12_345, 12_345);
      await expect(read()).rejects.toThrow(`${name} is not a file that only you can write`);
    }
    await data.release();
    await chown(join(base, 'data'), 12_345, 12_345);
    await expect(take()).rejects.toThrow('belongs to the user 12345; start as that user, or choose another folder with --data');
  });
});

describe('a process name', () => {
  it('is alive only for the process that began then', async () => {
    const self = await nameProcess(process.pid);
    if (self === undefined) throw new Error('no process');
    expect(await isAlive(self)).toBe(true);
    expect(await isAlive({ ...self, startTicks: String(Number(self.startTicks) + 1) })).toBe(false);
    expect(await isAlive({ ...self, bootId: 'before the last start of the machine' })).toBe(false);
  });
});

describe('the pepper file', () => {
  it('is made once, closed to others, in the form that the pepper ring reads', async () => {
    const data = await take();
    const path = await ensurePepperFile(data);
    const text = await readFile(path, 'utf8');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(PepperRing.parse(text).checks()).toHaveLength(1);
    await ensurePepperFile(data);
    expect(await readFile(path, 'utf8')).toBe(text);
  });

  it('is never made anew over a broken one, because hashes depend on it', async () => {
    const data = await take();
    await writeFile(join(data.path, 'pepper.json'), '');
    await ensurePepperFile(data);
    expect(await readFile(join(data.path, 'pepper.json'), 'utf8')).toBe('');
  });
});
