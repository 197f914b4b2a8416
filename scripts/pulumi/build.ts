import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build, type BuildOptions } from 'esbuild';
import ts from 'typescript';

const root = join(import.meta.dirname, '..', '..');
const workspace = join(root, 'pulumi');
const dist = join(workspace, 'dist');
const chart = join(root, 'charts', 'keywright');
const sourceEnding = /\.ts(?=['"])/g;

/** What the built package was made of; the bootstrap compares it before each command (scripts/run.mjs). */
interface Stamp {
  /** From the root. */
  readonly inputs: readonly string[];
  readonly hash: string;
}

/**
 * Builds `pulumi/dist`: one implementation as a CommonJS bundle with the operator's schemas inside, a wrapper for `import`, so
 * that no program ever has two copies of a class, the declarations of what is public for both, and the chart. The old one
 * stays until the new one is whole.
 */
async function main(): Promise<void> {
  const next = `${dist}.building-${process.pid}`;
  mkdirSync(next, { recursive: true });
  try {
    const shared: BuildOptions = {
      entryPoints: [join(workspace, 'src', 'index.ts')],
      absWorkingDir: root,
      bundle: true,
      platform: 'node',
      target: 'node22',
      external: ['@pulumi/*'],
      logLevel: 'error',
      metafile: true,
      // A class is called in errors and stacks what it is called in the sources.
      keepNames: true,
    };
    const implementation = {
      ...shared,
      format: 'cjs',
      outfile: join(next, 'index.cjs'),
      sourcemap: true,
      legalComments: 'linked',
    } as const;
    const { metafile } = await build(implementation);
    writeFileSync(join(next, 'index.js'), await wrapper(shared));
    const declared = writeDeclarations(next);
    cpSync(chart, join(next, 'chart'), { recursive: true });
    const inputs = [
      ...new Set([
        ...Object.keys(metafile?.inputs ?? {}).filter((path) => !path.includes('node_modules')),
        ...declared,
        ...filesBelow(chart),
        relative(root, import.meta.filename),
        // With what it is built.
        'package-lock.json',
      ]),
    ].sort();
    writeFileSync(join(next, 'stamp.json'), JSON.stringify({ inputs, hash: hashOf(inputs) } satisfies Stamp));
    rmSync(dist, { recursive: true, force: true });
    renameSync(next, dist);
  } finally {
    rmSync(next, { recursive: true, force: true });
  }
}

/** `import { ApiKey } from '@keywright/pulumi'`: the same classes as `require` gives. */
async function wrapper(shared: BuildOptions): Promise<string> {
  const { metafile } = await build({ ...shared, format: 'esm', write: false, outfile: join(dist, 'unused.js') });
  const names = Object.values(metafile?.outputs ?? {}).flatMap(({ exports }) => exports);
  return `import all from './index.cjs';\nexport const { ${names.join(', ')} } = all;\n`;
}

/** The declarations of the entry and of all that it refers to; returns their sources. */
function writeDeclarations(folder: string): readonly string[] {
  const waiting = [join(workspace, 'src', 'index.ts')];
  const done = new Set<string>();
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (done.has(path)) continue;
    done.add(path);
    const text = declarationOf(path);
    const own = ts.preProcessFile(text).importedFiles.filter(({ fileName }) => fileName.startsWith('.'));
    for (const { fileName } of own) waiting.push(join(dirname(path), fileName));
    const place = join(folder, relative(join(workspace, 'src'), path));
    if (relative(folder, place).startsWith('..'))
      throw new Error(`${relative(root, path)} is private, and a public type refers to it`);
    mkdirSync(dirname(place), { recursive: true });
    for (const [from, to] of [
      ['.d.ts', '.js'],
      ['.d.cts', '.cjs'],
    ] as const)
      writeFileSync(place.replace(/\.ts$/, from), text.replace(sourceEnding, to));
  }
  return [...done].map((path) => relative(root, path));
}

function declarationOf(path: string): string {
  const { outputText, diagnostics = [] } = ts.transpileDeclaration(readFileSync(path, 'utf8'), {
    fileName: path,
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.NodeNext,
      isolatedDeclarations: true,
      declaration: true,
    },
  });
  const [first] = diagnostics;
  if (first !== undefined)
    throw new Error(`${relative(root, path)}: ${ts.flattenDiagnosticMessageText(first.messageText, '\n')}`);
  return outputText;
}

function filesBelow(folder: string): readonly string[] {
  const entries = existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }) : [];
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

/** As scripts/run.mjs computes it. */
function hashOf(inputs: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of inputs) hash.update(path).update(readFileSync(join(root, path)));
  return hash.digest('hex');
}

await main();
