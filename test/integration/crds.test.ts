import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiKind } from '../../operator/src/api/kinds.ts';
import { apiKinds, kindTable } from '../../operator/src/api/kinds.ts';
import { apiVersion } from '../../operator/src/api/meta.ts';
import { parseManifestObject, validateUpdate } from '../../operator/src/api/parse.ts';
import { useKube } from '../harness/parts.ts';
import type { Edits } from '../unit/api/cases.ts';
import { cases, changeCases, manifest } from '../unit/api/cases.ts';

const root = join(import.meta.dirname, '..', '..');
const kube = await useKube();
afterAll(() => kube.close());

let namespace = '';
beforeAll(async () => {
  namespace = await kube.createNamespace('crds');
});

/** What a refusal looks like: the causes name fields, strict decoding names them in its message. */
interface Refusal {
  readonly message: string;
  readonly details?: { readonly causes?: readonly { readonly field: string; readonly message: string }[] };
}

interface Manifest {
  readonly kind: ApiKind;
  readonly metadata: { readonly namespace?: string };
}

function collection(kind: ApiKind): string {
  const { plural, scope } = kindTable[kind];
  return `/apis/${apiVersion}/${scope === 'Namespaced' ? `namespaces/${namespace}/` : ''}${plural}`;
}

const create = (kind: ApiKind, body: unknown, query: string) =>
  kube.request('POST', `${collection(kind)}?fieldValidation=Strict${query}`, { body });

/** The fields that a refusal speaks of. */
function fieldsOf(refusal: Refusal): readonly string[] {
  const causes = (refusal.details?.causes ?? []).map(({ field }) => field);
  const unknown = [...refusal.message.matchAll(/unknown field "([^"]+)"/g)].map(([, field = '']) => field);
  return [...causes, ...unknown];
}

const own = (kind: ApiKind, edits: Edits, name = 'sample') => manifest(kind, edits, name, namespace);

describe('the API server', () => {
  it.each(cases.filter(({ refuses }) => refuses === undefined))('takes $kind: $title', async ({ kind, edits }) => {
    const { status, body } = await create(kind, own(kind, edits), '&dryRun=All');
    expect({ status, body }).toMatchObject({ status: 201 });
    // What it hands out is what the parser hands out: the same defaults.
    const parsed = parseManifestObject(kind, own(kind, edits));
    expect(parsed.ok && parsed.object.spec).toEqual((body as { spec: unknown }).spec);
  });

  it.each(cases.filter(({ refuses }) => refuses !== undefined))(
    'refuses $kind: $title, and names $refuses',
    async ({ kind, edits, refuses }) => {
      const { status, body } = await create(kind, own(kind, edits), '&dryRun=All');
      expect(status).toBeGreaterThanOrEqual(400);
      const fields = fieldsOf(body as Refusal);
      expect(
        fields.some((field) => field.startsWith(refuses ?? '-')),
        JSON.stringify(body),
      ).toBe(true);
    },
  );

  it.each(changeCases)('$kind, changed: $title', async (one) => {
    const name = `change-${changeCases.indexOf(one)}`;
    const before = own(one.kind, one.before, name);
    const after = own(one.kind, one.after, name);
    const created = await create(one.kind, before, '');
    expect(created.status).toBe(201);
    const { resourceVersion } = (created.body as { metadata: { resourceVersion: string } }).metadata;
    const body = { ...after, metadata: { ...(after['metadata'] as object), resourceVersion } };
    const answer = await kube.request('PUT', `${collection(one.kind)}/${name}?fieldValidation=Strict`, { body });
    await kube.request('DELETE', `${collection(one.kind)}/${name}`);
    if (one.refuses === undefined) {
      expect(answer).toMatchObject({ status: 200 });
      return;
    }
    expect(answer.status).toBe(422);
    expect(fieldsOf(answer.body as Refusal)).toContain(one.refuses);
    const [old, next] = [parseManifestObject(one.kind, before), parseManifestObject(one.kind, after)];
    if (!old.ok || !next.ok) throw new Error('both manifests are fine by themselves');
    for (const { message } of validateUpdate(one.kind, old.object.spec, next.object.spec)) {
      expect((answer.body as Refusal).message).toContain(message);
    }
  });

  it.each(['crds/samples', 'examples/quickstart'])('takes every manifest in %s', async (folder) => {
    const documents = readdirSync(join(root, folder))
      .filter((file) => file.endsWith('.yaml'))
      .flatMap((file) => parseAllDocuments(readFileSync(join(root, folder, file), 'utf8')).map((one) => one.toJS() as Manifest));
    for (const document of documents) {
      // The namespace that a sample names need not exist here.
      const metadata = { ...document.metadata, ...(document.metadata.namespace === undefined ? {} : { namespace }) };
      const { status, body } = await create(document.kind, { ...document, metadata }, '&dryRun=All');
      expect({ status, body }).toMatchObject({ status: 201 });
    }
    if (folder === 'crds/samples') expect(documents.map(({ kind }) => kind).sort()).toEqual([...apiKinds].sort());
  });

  it('shows an object that nobody has looked at as Ready=Unknown, so that a wait has a condition to wait on', async () => {
    const { body } = await create('ApiKey', own('ApiKey', {}, 'untouched'), '');
    expect(body).toMatchObject({
      status: {
        conditions: [{ type: 'Ready', status: 'Unknown', reason: 'Pending', lastTransitionTime: '1970-01-01T00:00:00Z' }],
      },
    });
  });

  it('[S0-21] finds keys by owner, access type, catalog and application', async () => {
    await create('ApiKey', own('ApiKey', { 'spec.owner': 'ana', 'spec.clientApplication': 'shop' }, 'found'), '');
    await create('ApiKey', own('ApiKey', { 'spec.owner': 'ben', 'spec.clientApplication': 'shop' }, 'not-found'), '');
    const selector = 'spec.owner=ana,spec.accessType=Integrations,spec.catalog=default,spec.clientApplication=shop';
    const { stdout } = await kube.kubectl(['get', 'ak', '-n', namespace, '--field-selector', selector, '-o', 'name']);
    expect(stdout.trim()).toBe('apikey.keywright.dev/found');
  });

  it('prints the columns that people ask for', async () => {
    await create('ApiKey', own('ApiKey', {}, 'printed'), '');
    const { stdout } = await kube.kubectl(['get', 'ak', '-n', namespace, 'printed', '-o', 'wide']);
    const [head = '', line = ''] = stdout.split('\n');
    expect(head.trim().split(/\s{2,}/)).toEqual([
      'NAME',
      'READY',
      'REASON',
      'OWNER',
      'ACCESS',
      'KEY',
      'EXPIRES',
      'LAST USED',
      'AGE',
      'ROTATED',
      'NEXT ROTATION',
      'MESSAGE',
    ]);
    expect(line).toContain('Waiting for the operator.');
  });

  it('keeps a status with All as well as one with a list', async () => {
    await create('ApiKey', own('ApiKey', {}, 'status'), '');
    const lastTransitionTime = '2026-11-21T00:00:00Z';
    const conditions = [
      { type: 'Ready', status: 'True', reason: 'Available', message: '', observedGeneration: 1, lastTransitionTime },
    ];
    for (const channels of ['All', ['email'], []]) {
      const status = { observedGeneration: 1, conditions, effective: { endpoints: 1, channels, applications: 'All' } };
      const { status: code, body } = await kube.request(
        'PATCH',
        `${collection('ApiKey')}/status/status?fieldManager=test&force=true&fieldValidation=Strict`,
        {
          body: { apiVersion, kind: 'ApiKey', metadata: { name: 'status', namespace }, status },
          contentType: 'application/apply-patch+yaml',
        },
      );
      expect({ code, body }).toMatchObject({ code: 200, body: { status } });
    }
  });

  it('explains each field', async () => {
    const { stdout } = await kube.kubectl(['explain', 'apikey.spec.rotation.overlap']);
    expect(stdout).toContain('default 24h');
  });
});
