import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startContainer } from '../harness/container.ts';
import { imageConfig, programImage } from '../harness/image.ts';
import { privateDir } from '../harness/process.ts';

const root = join(import.meta.dirname, '..', '..');
const dist = join(root, 'dist');
const read = (name: string) => readFileSync(join(dist, name), 'utf8');

/** The bundle alone in a folder, as somebody has it who was handed the file. */
function emptyFolder(): string {
  const folder = privateDir('bundle');
  for (const name of ['keywright.mjs', 'keywright.mjs.map']) cpSync(join(dist, name), join(folder, name));
  return folder;
}

function run(args: readonly string[], folder: string, env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, env: { ...env }, encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** Tells what a process cost. */
const meter = `data:text/javascript,process.on('exit',()=>{const {user,system}=process.cpuUsage();console.error('cost',user+system)})`;

/** Processor time of a run, which other processes of the machine change little; the least of some runs. */
function leastCost(args: readonly string[], folder: string): number {
  const costs = Array.from({ length: 7 }, () => {
    const { stderr } = run(['--import', meter, ...args], folder);
    return Number(/^cost (\d+)$/m.exec(stderr)?.[1]);
  });
  return Math.min(...costs);
}

describe('the bundle', () => {
  it('starts in an empty folder, at the cost of some twenty starts of bare Node', () => {
    const folder = emptyFolder();
    expect(run(['keywright.mjs', '--version'], folder)).toEqual({
      status: 0,
      stdout: `${(JSON.parse(readFileSync(join(root, 'operator', 'package.json'), 'utf8')) as { version: string }).version}\n`,
      stderr: '',
    });
    const floor = leastCost(['-e', '0'], folder);
    // 15 when this was written, which is 0.4 s where Node itself takes 0.04 s, and 0.2 s where it takes 0.02 s.
    expect(leastCost(['--enable-source-maps', 'keywright.mjs', '--help'], folder) / floor).toBeLessThan(23);
  });

  it('prints the same CRDs and policies as the sources', () => {
    const folder = emptyFolder();
    for (const command of ['crds', 'policies']) {
      const { status, stdout } = run(['keywright.mjs', command], folder);
      expect([status, stdout]).toEqual([0, run([join(root, 'operator/src/main.ts'), command], folder).stdout]);
    }
  });

  it('names the place in the sources when a defect ends it', () => {
    const breaks = "process.stdout.write = () => { throw new TypeError('secret text') }";
    const early = `data:text/javascript;base64,${Buffer.from(breaks).toString('base64')}`;
    const { status, stderr } = run(['--enable-source-maps', '--import', early, 'keywright.mjs', 'crds'], emptyFolder());
    expect(status).toBe(1);
    expect(stderr).toMatch(/a defect ended the process: TypeError\n[^]*operator\/src\/commands\/crds\.ts:\d+/);
    expect(stderr).not.toContain('secret text');
  });

  it('says no more when the defect is in what nobody waits for', () => {
    // As soon as the program listens for such.
    const breaks =
      "process.on('newListener', (name) => { if (name === 'uncaughtException') setImmediate(() => { throw new TypeError('secret text'); }); })";
    const early = `data:text/javascript;base64,${Buffer.from(breaks).toString('base64')}`;
    const { status, stderr } = run(['--import', early, 'keywright.mjs', 'crds'], emptyFolder());
    expect(status).toBe(1);
    expect(stderr).toMatch(/a defect ended the process: TypeError\n/);
    expect(stderr).not.toContain('secret text');
  });

  it('says what it cannot do without a checkout around it', () => {
    const folder = emptyFolder();
    mkdirSync(join(folder, 'manifests'));
    expect(run(['keywright.mjs', 'up'], folder)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--manifests') as string,
    });
    const without = run(['keywright.mjs', 'up', '--manifests', 'manifests', '--once'], folder, {
      PATH: process.env['PATH'] ?? '',
    });
    expect(without).toMatchObject({ status: 2, stderr: expect.stringContaining('set KEYWRIGHT_DATABASE_URL') as string });
  });

  it('names every package that is in it, with its licence, and no other', () => {
    const { sources } = JSON.parse(read('keywright.mjs.map')) as { sources: readonly string[] };
    const folders = sources.flatMap((source) => /node_modules\/(?:.*node_modules\/)?(?:@[^/]+\/)?[^/]+/.exec(source)?.[0] ?? []);
    const inside = [...new Set(folders)].map((folder) => {
      const { name, version } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Record<string, string>;
      return `${name} ${version}`;
    });
    const materials = JSON.parse(read('sbom.cdx.json')) as { components: readonly { name: string; version: string }[] };
    const { components } = materials;
    expect(components.map(({ name, version }) => `${name} ${version}`).sort()).toEqual([...new Set(inside)].sort());
    for (const one of inside) expect(read('LICENSES.txt')).toContain(`\n${one} (`);
    for (const one of components) expect(one).toHaveProperty('licenses');
    // The same sources give the same document.
    for (const name of ['serialNumber', 'metadata.timestamp']) expect(materials).not.toHaveProperty(name);
  });
});

describe('the image, as far as its Containerfile can be followed without an engine', () => {
  it('runs as nobody in particular, on a read-only root without a home, and reads its compile cache there', async () => {
    const { uid, gid } = imageConfig();
    expect([uid, gid]).toEqual([65532, 65532]);
    const dir = privateDir('image');
    const cache = join(dir, 'cache');
    const image = programImage(cache);
    const [node = '', ...rest] = image.entrypoint;
    const container = async (mounts: typeof image.mounts, more: Readonly<Record<string, string>> = {}) => {
      const own = privateDir('container');
      const started = await startContainer({
        ...{ name: 'image', dir: own, uid, gid, mounts },
        command: [node, ...rest, 'crds'],
        env: { ...image.env, ...more },
        ready: () => Promise.resolve(true),
      });
      return { code: await started.exited, log: started.logTail(100_000) };
    };
    // The build fills the cache under the same user; the image has it read-only.
    const fill = spawnSync('chown', [`${uid}:${gid}`, cache]);
    expect(fill.status).toBe(0);
    const filling = image.mounts.map((mount) => (mount.source === cache ? { ...mount, readOnly: false } : mount));
    expect((await container(filling)).code).toBe(0);
    expect(readdirSync(cache)).toHaveLength(1);
    const { code, log } = await container(image.mounts, { NODE_DEBUG_NATIVE: 'COMPILE_CACHE' });
    expect(code).toBe(0);
    expect(log).toContain('kind: CustomResourceDefinition');
    expect(log).toMatch(/keywright\.mjs.*(success|accepted)/);
  });
});
