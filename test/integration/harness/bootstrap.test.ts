import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { privateDir } from '../../harness/process.ts';

/** A repository with our bootstrap, a program that tells what it was started with, and an npm that only notes its calls. */
const npm = `
  const { appendFileSync, mkdirSync } = require('node:fs');
  appendFileSync('npm.log', JSON.stringify({ args: process.argv.slice(2), nodeEnv: process.env.NODE_ENV, omit: process.env.npm_config_omit }) + '\\n');
  setTimeout(() => {
    if (process.env.BREAK_NPM) process.exit(1);
    mkdirSync('node_modules', { recursive: true });
  });
`;
const program = `
  if (process.argv.includes('--wait')) {
    process.on('SIGTERM', () => process.exit(7));
    setInterval(() => undefined, 1000);
  }
  console.log(JSON.stringify({ args: process.argv.slice(2), from: process.env.INIT_CWD, at: process.cwd() }));
`;

/** A build of the Pulumi package of one source, which only notes its calls. */
const build = `
  import { createHash } from 'node:crypto';
  import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
  appendFileSync('builds.log', 'x');
  await new Promise((resolve) => setTimeout(resolve, 300));
  const source = readFileSync('pulumi/source', 'utf8');
  if (source === 'broken') process.exit(1);
  mkdirSync('pulumi/dist', { recursive: true });
  const hash = createHash('sha256').update('pulumi/source').update(source).digest('hex');
  writeFileSync('pulumi/dist/stamp.json', JSON.stringify({ inputs: ['pulumi/source'], hash }));
`;

let root: string;

beforeEach(() => {
  root = privateDir('bootstrap');
  for (const dir of ['scripts/pulumi', 'operator/src', 'npm', 'pulumi']) mkdirSync(join(root, dir), { recursive: true });
  copyFileSync(join(import.meta.dirname, '..', '..', '..', 'scripts', 'run.mjs'), join(root, 'scripts', 'run.mjs'));
  writeFileSync(join(root, 'package-lock.json'), '{}');
  writeFileSync(join(root, 'npm', 'npm-cli.js'), npm);
  writeFileSync(join(root, 'operator', 'src', 'main.ts'), program);
  writeFileSync(join(root, 'scripts', 'test.ts'), program);
  writeFileSync(join(root, 'scripts', 'pulumi', 'build.ts'), build);
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(root, 'npm', 'package.json'), '{ "type": "commonjs" }');
  changePulumi('one');
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  onOutput?: (kill: (signal: NodeJS.Signals) => void) => void,
): Promise<Ended> {
  const child = spawn(process.execPath, [join(root, 'scripts', 'run.mjs'), ...args], {
    cwd: join(root, 'npm'),
    env: { PATH: process.env['PATH'], npm_execpath: join(root, 'npm', 'npm-cli.js'), ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    onOutput?.((signal) => child.kill(signal));
  });
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}

function npmCalls(): unknown[] {
  const log = join(root, 'npm.log');
  if (!existsSync(log)) return [];
  return readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

const changePulumi = (source: string): void => writeFileSync(join(root, 'pulumi', 'source'), source);

function builds(): number {
  const log = join(root, 'builds.log');
  return existsSync(log) ? readFileSync(log, 'utf8').length : 0;
}

test('installs before the first start only, and hands the arguments on', async () => {
  const first = await start(['up', '--port', '0']);
  expect(JSON.parse(first.stdout)).toEqual({ args: ['up', '--port', '0'], from: join(root, 'npm'), at: root });
  await start(['up']);
  expect(npmCalls()).toHaveLength(1);
});

test('installs again when the lock file changed', async () => {
  await start(['up']);
  writeFileSync(join(root, 'package-lock.json'), '{"lockfileVersion":3}');
  await start(['up']);
  expect(npmCalls()).toHaveLength(2);
});

test('two starts at once install once, and both run', async () => {
  const [one, two] = await Promise.all([start(['up', 'one']), start(['up', 'two'])]);
  expect([one.code, two.code]).toEqual([0, 0]);
  expect(npmCalls()).toHaveLength(1);
});

test('a dead start leaves no lock that counts', async () => {
  mkdirSync(join(root, '.keywright'));
  // No process has this id: the kernel's ids end at 2^22.
  writeFileSync(join(root, '.keywright', 'install.lock'), '4194305');
  expect((await start(['up'])).code).toBe(0);
});

test('installs everything, whatever the environment asks to leave out', async () => {
  await start(['up'], { NODE_ENV: 'production', npm_config_omit: 'dev optional' });
  expect(npmCalls()).toEqual([{ args: expect.arrayContaining(['ci', '--include=dev', '--include=optional']) as unknown }]);
});

test('an install that fails is said, and tried again by the next start', async () => {
  const broken = await start(['up'], { BREAK_NPM: 'yes' });
  expect(broken).toMatchObject({ code: 1, stdout: '' });
  expect(broken.stderr).toContain('npm ci failed');
  expect((await start(['up'])).code).toBe(0);
});

test('leaves the data folder closed to others, if it is the first to make it', async () => {
  await start(['up']);
  // Root's database runs as another user, who passes through.
  const mode = process.getuid?.() === 0 ? 0o711 : 0o700;
  expect(statSync(join(root, '.keywright')).mode & 0o777).toBe(mode);
});

test('hands a signal to the program, and returns its exit code', async () => {
  const ended = await start(['up', '--wait'], {}, (kill) => kill('SIGTERM'));
  expect(ended.code).toBe(7);
});

test('an unknown command is bad usage and installs nothing', async () => {
  const ended = await start(['down']);
  expect(ended.code).toBe(2);
  expect(ended.stderr).toContain('usage:');
  expect(npmCalls()).toEqual([]);
});

test('builds the Pulumi package before the first start, and again when a source of it changed', async () => {
  await start(['up']);
  await start(['up']);
  expect(builds()).toBe(1);
  changePulumi('two');
  await start(['up']);
  expect(builds()).toBe(2);
});

test('two starts at once build the Pulumi package once', async () => {
  await start(['up']);
  changePulumi('two');
  const both = await Promise.all([start(['up']), start(['up'])]);
  expect(both.map(({ code }) => code)).toEqual([0, 0]);
  expect(builds()).toBe(2);
});

test('a Pulumi package that cannot be built is said, and stops only what would be wrong without it', async () => {
  changePulumi('broken');
  const up = await start(['up']);
  expect(JSON.parse(up.stdout)).toMatchObject({ args: ['up'] });
  expect(up.stderr).toContain('the package @keywright/pulumi could not be built');
  for (const command of ['test', 'build-pulumi']) {
    expect(await start([command])).toMatchObject({ code: 1, stdout: '' });
  }
  changePulumi('mended');
  expect(await start(['build-pulumi'])).toMatchObject({ code: 0, stdout: '' });
});
