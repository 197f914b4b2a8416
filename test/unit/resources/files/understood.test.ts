import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keyText, messagesOf, useFolder, type Running } from '../../../builders/manifestfolder.ts';

const folder = useFolder();
const { run, put } = folder;
const namesOf = ({ files }: Running) => files.list('ApiKey').map(({ name }) => name);
/** Longer than any deletion waits. */
const long = async ({ pass }: Running): Promise<void> => {
  for (let look = 0; look < 25; look += 1) await pass(520);
};
/** As an item of a list, or inside of something else. */
const nested = (text: string, by = 2): string => text.trimEnd().replaceAll(/^/gm, ' '.repeat(by));
const listOf = (...texts: readonly string[]): string =>
  `apiVersion: v1\nitems:\n${texts.map((text) => `-\n${nested(text)}\n`).join('')}kind: List\nmetadata:\n  resourceVersion: ""\n`;

describe('a list', () => {
  it('declares its items: what kubectl get -o yaml writes over a manifest changes nothing', async () => {
    await put('a.yaml', `${keyText('one')}---\n${keyText('two')}`);
    const running = await run();
    const before = running.files.objects('ApiKey');
    await put('a.yaml', listOf(keyText('one'), keyText('two')));
    await long(running);
    expect(running.files.objects('ApiKey')).toEqual(before);
    expect(running.files.faults()).toEqual([]);
  });

  it('names the line of a fault in an item, and keeps the other items', async () => {
    await put('a.yaml', listOf(keyText('one'), keyText('two', '  channels: []\n')));
    const running = await run();
    expect(namesOf(running)).toEqual(['one']);
    expect(messagesOf(running.files)).toEqual([expect.stringMatching(/^a\.yaml:31 spec\.channels: must not be empty/)]);
  });

  it('declares items of its kind', async () => {
    await put(
      'a.yaml',
      listOf(keyText('one').replace(/^apiVersion.*\nkind.*\n/, ''))
        .replace('v1', 'keywright.dev/v1alpha1')
        .replace('kind: List', 'kind: ApiKeyList'),
    );
    const running = await run();
    expect(namesOf(running)).toEqual(['one']);
  });

  it('deletes what it lacks, but nothing when it has become empty', async () => {
    await put('a.yaml', listOf(keyText('one'), keyText('two')));
    const running = await run();
    await put('a.yaml', listOf(keyText('two')));
    await long(running);
    expect(namesOf(running)).toEqual(['two']);
    await put('a.yaml', 'apiVersion: v1\nkind: List\nitems: []\n');
    await long(running);
    expect(namesOf(running)).toEqual(['two']);
    expect(messagesOf(running.files)).toEqual([expect.stringContaining('the file is empty, which deletes nothing')]);
  });

  it('tells once of each foreign kind that is skipped', async () => {
    const deployment = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\n';
    await put('a.yaml', listOf(...Array.from({ length: 30 }, () => deployment), keyText('one')));
    const running = await run();
    expect(namesOf(running)).toEqual(['one']);
    expect(messagesOf(running.files)).toEqual(['a.yaml:4 the kind Deployment (apps/v1) is skipped: it is not known here']);
  });
});

describe('what is not understood', () => {
  const one = keyText('one');
  it.each([
    ['a slip in apiVersion', one.replace('keywright.dev', 'keywrite.dev'), /so this ApiKey is not read; ours is keywright\.dev/],
    ['another group', one.replace('keywright.dev/', ''), /so this ApiKey is not read/],
    ['a slip in kind', one.replace('ApiKey', 'APIKeys'), /has no kind "APIKeys"; did you mean ApiKey\?/],
    ['no apiVersion', one.replace(/^apiVersion.*\n/, ''), /apiVersion is missing; ours is keywright/],
    ['no kind', one.replace('kind: ApiKey\n', ''), /kind: is required: one of/],
    ['a List in a List', listOf(listOf(one)), /inside of another one, which is not read/],
    ['a template', `apiVersion: template.openshift.io/v1\nkind: Template\nobjects:\n-\n${nested(one)}\n`, /which is not read/],
    [
      'an array',
      JSON.stringify([{ apiVersion: 'keywright.dev/v1alpha1', kind: 'ApiKey', metadata: { name: 'one' } }]),
      /is not read/,
    ],
    [
      'a text in a ConfigMap',
      `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: x }\ndata:\n  one.yaml: |\n${nested(one, 4)}\n`,
      /is not read/,
    ],
    ['a list without items', 'apiVersion: v1\nkind: List\n', /items: is required in a list/],
    ['a list of texts', 'apiVersion: v1\nkind: List\nitems: [one]\n', /items\[0\]: must be a Kubernetes resource/],
    [
      'values that were written over it',
      'name: one\n',
      /is not a Kubernetes resource, which deletes nothing: ApiKey default\/one/,
    ],
    ['the beginning of a document', 'apiVer', /is not a Kubernetes resource, which deletes nothing/],
  ])('is no deletion, and is named: %s', async (_title, text, message) => {
    await put('a.yaml', one);
    const running = await run();
    const before = running.files.objects('ApiKey');
    await put('a.yaml', text);
    await long(running);
    expect(running.files.objects('ApiKey')).toEqual(before);
    expect(messagesOf(running.files)).toEqual([expect.stringMatching(message)]);
    expect(messagesOf(running.files)[0]).toMatch(/^a\.yaml:\d+ /);
  });

  it('does not take the name of one of ours', async () => {
    await put('a.yaml', 'apiVersion: gateway.example.com/v1\nkind: APIKey\nmetadata: { name: one }\n');
    await put('b.yaml', keyText('one'));
    const running = await run();
    expect(namesOf(running)).toEqual(['one']);
  });
});

describe('what is no Kubernetes resource', () => {
  it('is ignored, without a word, and delays no deletion', async () => {
    await put('keys/one.yaml', keyText('one'));
    const strays = {
      'values.yaml': 'name: one\nreplicas: 2\n',
      'package.json': '{ "name": "one", "private": true }',
      'compose.yaml': 'services: { one: { image: one } }\n',
      'mkdocs.yml': '- one\n',
    };
    for (const [name, text] of Object.entries(strays)) await put(name, text);
    const running = await run();
    expect(running.files.faults()).toEqual([]);
    await rm(join(folder.manifests, 'keys/one.yaml'));
    await running.pass(520);
    await running.pass(520);
    expect(namesOf(running)).toEqual([]);
  });

  it('is named when it says half of what it is', async () => {
    await put('Chart.yaml', 'apiVersion: v2\nname: one\n');
    const running = await run();
    expect(messagesOf(running.files)).toEqual(['Chart.yaml:1 is not a Kubernetes resource: kind is missing']);
    expect(running.files.faults()[0]?.level).toBe('notice');
  });
});
