import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { beforeAll, describe, expect, it } from 'vitest';
import { privateDir } from '../harness/process.ts';
import { checkout } from '../harness/standalone.ts';

const run = promisify(execFile);
const workspace = join(checkout, 'pulumi');
const modules = join(checkout, 'node_modules');
const pages = ['pulumi/README.md', 'docs/how-to/pulumi.md'].map((path) => readFileSync(join(checkout, path), 'utf8'));
const examples = pages.flatMap((page) =>
  [...page.matchAll(/^```ts ([\w-]+)\n(.*?)^```$/gms)].map(([, name = '', text = '']) => ({ name, text })),
);

/** A project that has installed the packed package, and beside it what the package depends on. */
let project = '';

beforeAll(async () => {
  project = privateDir('consumer');
  const installed = join(project, 'node_modules', '@keywright', 'pulumi');
  mkdirSync(installed, { recursive: true });
  // The bootstrap has built it: what is packed is what a release would be.
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', `--pack-destination=${project}`], {
    cwd: workspace,
  });
  const [{ filename } = { filename: '' }] = JSON.parse(stdout) as { filename: string }[];
  await run('tar', ['-xzf', join(project, filename), '--strip-components=1', '-C', installed]);
  for (const name of ['@pulumi', '@types']) symlinkSync(join(modules, name), join(project, 'node_modules', name));
});

/** Type-checks files of the project as a strict program would. */
async function typesOf(files: Readonly<Record<string, string>>, options: object): Promise<string> {
  const folder = privateDir('types');
  symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const compilerOptions = { strict: true, noEmit: true, skipLibCheck: false, types: ['node'], target: 'es2022', ...options };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: Object.keys(files) }));
  const tsc = join(modules, 'typescript', 'bin', 'tsc');
  return await run(process.execPath, [tsc, '--project', folder], { maxBuffer: 1e7 }).then(
    () => '',
    (error: unknown) => (error as { stdout: string }).stdout,
  );
}

/** What a plain Node says, in the project. */
async function node(args: readonly string[]): Promise<string> {
  return (await run(process.execPath, args, { cwd: project })).stdout.trim();
}

describe('the package, as it is packed', () => {
  it('holds what its users need and nothing of ours', () => {
    const files = readdirSync(join(project, 'node_modules', '@keywright', 'pulumi'), { recursive: true, encoding: 'utf8' });
    for (const name of ['LICENSE', 'README.md', 'dist/index.cjs', 'dist/index.d.ts', 'dist/index.d.cts', 'dist/chart/Chart.yaml'])
      expect(files).toContain(name);
    const own = files.filter((name) => !name.startsWith('dist/chart/'));
    expect(own.filter((name) => /stamp|src|\.test\.|tsconfig|operator/.test(name))).toEqual([]);
  });

  it('has nothing that publint finds', async () => {
    const pkgDir = join(project, 'node_modules', '@keywright', 'pulumi');
    const { messages, pkg } = await publint({ pkgDir, pack: false, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  it('gives the same classes to import and to require', async () => {
    const both = `import { createRequire } from 'node:module';
      import * as imported from '@keywright/pulumi';
      const required = createRequire(import.meta.url)('@keywright/pulumi');
      const names = Object.keys(required);
      console.log(names.length > 10 && names.every((name) => imported[name] === required[name]), imported.ApiKey.name);`;
    writeFileSync(join(project, 'both.mjs'), both);
    expect(await node(['both.mjs'])).toBe('true ApiKey');
  });

  it('has types for programs of both module systems, and of older resolution', async () => {
    const program = `import { ApiKey, Replacement } from '@keywright/pulumi';
      const key = ApiKey.get('x', 'a/b');
      const replace: Replacement = 'DeleteFirst';
      key.status.apply((status) => status?.currentKey?.display.toUpperCase());
      // @ts-expect-error: no such access to the value
      key.value;
      // @ts-expect-error: a misspelt word
      new ApiKey('y', { spec: { displayName: 'Y', catalog: 'c', owner: 'o', accessType: 'T', deliverTo: [], rotation: { onExpiry: 'Rotat' } } });
      export { replace };`;
    expect(await typesOf({ 'a.mts': program, 'b.cts': program }, { module: 'nodenext' })).toBe('');
    expect(
      await typesOf({ 'a.ts': program }, { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0' }),
    ).toBe('');
  });
});

describe('the examples of its README and its guide', () => {
  it('are there', () => {
    expect(examples.map(({ name }) => name)).toEqual([
      ...['workload', 'resources', 'replace', 'install'],
      ...['two-stacks', 'overlap', 'unit-test'],
    ]);
  });

  it('compile', async () => {
    const files = Object.fromEntries(examples.map(({ name, text }) => [`${name}.mts`, text]));
    expect(await typesOf(files, { module: 'nodenext' })).toBe('');
  });

  it.each(examples)('run: $name', async ({ name, text }) => {
    const mocks = `import * as pulumi from '@pulumi/pulumi';
      pulumi.runtime.setAllConfig({ 'project:databaseUrl': 'postgres://u:p@h/d', 'project:kubeconfig': '{}' });
      await pulumi.runtime.setMocks({
        newResource: ({ type, name, inputs }) => (console.log(type, name), { id: name, state: inputs }),
        call: ({ inputs }) => inputs,
      });`;
    writeFileSync(join(project, 'mocks.mjs'), mocks);
    writeFileSync(join(project, `${name}.mts`), text);
    const said = await node(['--import', './mocks.mjs', `${name}.mts`]);
    // A unit test has mocks of its own, and says nothing.
    if (text.includes('setMocks')) return;
    for (const [, kind] of text.matchAll(/new (ApiKey|ApiCatalog|KeyOwner|KeyDestination)\(/g))
      expect(said).toContain(`kubernetes:keywright.dev/v1alpha1:${kind} `);
    for (const [, component] of text.matchAll(/new (WorkloadKey|Keywright)\(/g))
      expect(said).toContain(`keywright:index:${component} `);
  });
});
