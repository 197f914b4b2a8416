import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { licenceTexts } from './bundle/licences.ts';
import { materials } from './bundle/materials.ts';
import { bundledPackages } from './bundle/packages.ts';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');
/** The program as one file. */
export const bundlePath = join(dist, 'keywright.mjs');

/**
 * client-node defines classes and does nothing else when it is loaded, but does not say so: with the models of the whole
 * Kubernetes API, of which none is used here, it would be 16 MB of the file.
 */
const unusedModels: Plugin = {
  name: 'unused-models',
  setup: (bundler) => {
    bundler.onResolve({ filter: /^\./ }, async ({ path, importer, pluginData, ...rest }) => {
      if (pluginData === 'resolved' || !importer.includes('/@kubernetes/client-node/')) return undefined;
      const found = await bundler.resolve(path, { ...rest, importer, pluginData: 'resolved' });
      return { ...found, sideEffects: false };
    });
  },
};

/**
 * `npm run build`: the program as one file that runs in an empty folder, its source map, the licences of what is inside, and
 * what it is made of (CycloneDX). The same sources give the same bytes. The last build stays until this one is whole.
 */
export async function buildBundle(): Promise<void> {
  const next = `${dist}.building-${process.pid}`;
  mkdirSync(next, { recursive: true });
  try {
    const { metafile } = await build({
      absWorkingDir: root,
      entryPoints: ['operator/src/main.ts'],
      outfile: join(next, 'keywright.mjs'),
      bundle: true,
      platform: 'node',
      target: 'node24',
      format: 'esm',
      // What is loaded late in the sources is initialised late in the file.
      splitting: false,
      keepNames: true,
      minifySyntax: true,
      minifyWhitespace: true,
      sourcemap: 'linked',
      // Places are all that a stack needs.
      sourcesContent: false,
      metafile: true,
      legalComments: 'none',
      // Optional parts of others that nobody here uses: pg asks for its native client, ws for quicker buffers.
      plugins: [unusedModels],
      external: ['pg-native', 'bufferutil', 'utf-8-validate'],
      // Packages of the old module system ask for modules of Node.
      banner: {
        js: "import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);",
      },
      logLevel: 'error',
    });
    const packages = bundledPackages(root, metafile);
    writeFileSync(join(next, 'LICENSES.txt'), licenceTexts(root, packages));
    writeFileSync(join(next, 'sbom.cdx.json'), `${JSON.stringify(await materials(root, packages), null, 2)}\n`);
    rmSync(dist, { recursive: true, force: true });
    renameSync(next, dist);
  } finally {
    rmSync(next, { recursive: true, force: true });
  }
}

if (import.meta.main) await buildBundle();
