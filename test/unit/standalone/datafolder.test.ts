import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PepperRing } from '../../../operator/src/keys/pepper.ts';
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

  it('is taken over a lock file that says nothing', async () => {
    await (await take()).release();
    await writeFile(join(base, 'data', 'up.lock'), '{"pid":');
    await take();
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
