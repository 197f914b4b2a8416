import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { toCrd } from '../operator/src/api/crd.ts';
import { toEditorSchema } from '../operator/src/api/editor.ts';
import { apiKinds, kindTable } from '../operator/src/api/kinds.ts';
import { group } from '../operator/src/api/meta.ts';
import { openApiDocument } from '../operator/src/server/openapi.ts';
import { chartFiles, chartPage, chartTemplateFolder } from './chart/chart.ts';
import { configurationPage, verdictsPage } from './configreference.ts';
import { permissionsPage } from './permissions.ts';
import { pulumiFiles, pulumiFolder } from './pulumi/kinds.ts';
import { conditionsPage, indexPage, kindPage } from './reference.ts';
import { verifyPage } from './verifyreference.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = 'Made by `npm run generate` from operator/src: edit there.';

/** Every generated file: path from the root → content. The same input gives the same bytes. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const kind of apiKinds) {
    files.set(`crds/${group}_${kindTable[kind].plural}.yaml`, toYaml(toCrd(kind)));
    files.set(`docs/reference/schemas/${kind.toLowerCase()}.json`, `${JSON.stringify(toEditorSchema(kind), null, 2)}\n`);
    files.set(`docs/reference/${kind.toLowerCase()}.md`, toMarkdown(kindPage(kind)));
  }
  files.set('docs/reference/conditions.md', toMarkdown(conditionsPage()));
  files.set('docs/reference/configuration.md', toMarkdown(configurationPage()));
  files.set('docs/reference/verdicts.md', toMarkdown(verdictsPage()));
  files.set('docs/reference/verify.md', toMarkdown(verifyPage()));
  files.set('docs/reference/openapi.json', `${JSON.stringify(openApiDocument(), null, 2)}\n`);
  files.set('docs/reference/permissions.md', toMarkdown(permissionsPage()));
  files.set('docs/reference/README.md', toMarkdown(indexPage()));
  files.set('docs/reference/chart.md', toMarkdown(chartPage()));
  return new Map([...files, ...chartFiles(source), ...pulumiFiles(source)]);
}

function toYaml(document: unknown): string {
  return `# ${source}\n${stringify(document, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

function toMarkdown(page: string): string {
  return `<!-- ${source} -->\n\n${page}`;
}

/** Folders whose files of this ending are all generated: one that nothing makes any more is drift, too. */
const ownedFolders = [
  { folder: 'crds', ending: '.yaml' },
  { folder: chartTemplateFolder, ending: '.yaml' },
  { folder: pulumiFolder, ending: '.ts' },
  { folder: 'docs/reference', ending: '.md' },
  { folder: 'docs/reference', ending: '.json' },
  { folder: 'docs/reference/schemas', ending: '.json' },
] as const;

/** What differs between the generated files and those on disk, one sentence each; empty = no drift. */
export async function drift(): Promise<readonly string[]> {
  const expected = generatedFiles();
  const changed = await Promise.all(
    [...expected].map(async ([path, content]) => {
      const present = await readFile(join(root, path), 'utf8').catch(() => undefined);
      return present === content ? [] : [`${path} is ${present === undefined ? 'missing' : 'out of date'}`];
    }),
  );
  const orphans = await Promise.all(
    ownedFolders.map(async ({ folder, ending }) => {
      const names = await readdir(join(root, folder)).catch(() => []);
      return names
        .filter((name) => name.endsWith(ending) && !expected.has(`${folder}/${name}`))
        .map((name) => `${folder}/${name} is made by nothing`);
    }),
  );
  return [...changed, ...orphans].flat();
}

async function write(): Promise<void> {
  for (const [path, content] of generatedFiles()) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
}

if (import.meta.main) {
  if (!process.argv.includes('--check')) await write();
  const left = await drift();
  for (const line of left) console.error(line);
  if (left.length > 0) {
    console.error('Run `npm run generate` and commit what it writes.');
    process.exitCode = 1;
  }
}
