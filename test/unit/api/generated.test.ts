import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { describe, expect, it } from 'vitest';
import { isApiKind } from '../../../operator/src/api/kinds.ts';
import { parseManifestObject } from '../../../operator/src/api/parse.ts';
import { drift, generatedFiles } from '../../../scripts/generate.ts';

const root = join(import.meta.dirname, '..', '..', '..');

describe('the generated files', () => {
  it('are what the schemas say now (else: npm run generate)', async () => {
    expect(await drift()).toEqual([]);
  });

  it('are the same each time', () => {
    expect([...generatedFiles()]).toEqual([...generatedFiles()]);
  });

  it('are the CRD, the editor schema and the page of each kind', () => {
    expect([...generatedFiles().keys()]).toEqual(
      expect.arrayContaining([
        'crds/keywright.dev_apikeys.yaml',
        'docs/reference/schemas/apikey.json',
        'docs/reference/apikey.md',
      ]),
    );
  });
});

describe.each(['crds/samples', 'examples/quickstart'])('the manifests in %s', (folder) => {
  const files = readdirSync(join(root, folder)).filter((name) => name.endsWith('.yaml'));

  it('exist', () => {
    expect(files.length).toBeGreaterThan(2);
  });

  it.each(files)('%s is without fault', (file) => {
    for (const document of parseAllDocuments(readFileSync(join(root, folder, file), 'utf8'))) {
      const raw = document.toJS() as { kind: string };
      expect(isApiKind(raw.kind) ? parseManifestObject(raw.kind, raw) : raw).toMatchObject({ ok: true });
    }
  });
});
