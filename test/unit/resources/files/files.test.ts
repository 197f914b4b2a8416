import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ApiKeyStatus } from '../../../../operator/src/api/kinds.ts';
import { finalizer } from '../../../../operator/src/api/meta.ts';
import { manifestAnnotation } from '../../../../operator/src/resources/files/takeover.ts';
import { keyText, messagesOf, refOf, useFolder } from '../../../builders/manifestfolder.ts';
import { FakeClock } from '../../../harness/fakes/clock.ts';

const folder = useFolder();
const { run, put } = folder;
const emptyStatus = { observedGeneration: 1 } as ApiKeyStatus;

describe('a manifest', () => {
  it('becomes an object with an identity of its own, kept under status/ and over a restart', async () => {
    await put('a.yaml', keyText('one'));
    const first = await run();
    const key = await first.files.readLive('ApiKey', refOf('one'));
    expect(key?.metadata).toMatchObject({
      namespace: 'default',
      name: 'one',
      generation: 1,
      annotations: { [manifestAnnotation]: join(folder.manifests, 'a.yaml') },
    });
    expect(key?.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(first.events.filter(({ kind }) => kind === 'ApiKey')).toMatchObject([{ type: 'upsert', initial: true }]);
    expect(await readFile(join(folder.data, 'status/ApiKey/default/one.yaml'), 'utf8')).toContain(key?.metadata.uid);
    await first.stop();
    const second = await run();
    expect(await second.files.readLive('ApiKey', refOf('one'))).toEqual(key);
  });

  it('is found in subfolders and in JSON, and left alone in dot folders and in the data folder', async () => {
    folder.data = join(folder.manifests, 'data');
    await mkdir(folder.data);
    await put('deep/er/a.yml', keyText('one'));
    await put(
      'b.json',
      JSON.stringify(
        {
          apiVersion: 'keywright.dev/v1alpha1',
          kind: 'KeyOwner',
          metadata: { name: 'ana' },
          spec: { type: 'User', displayName: 'Ana' },
        },
        undefined,
        '\t',
      ),
    );
    await put('.git/c.yaml', keyText('hidden'));
    const { files, pass } = await run();
    await pass(520);
    expect(files.list('ApiKey').map(({ name }) => name)).toEqual(['one']);
    expect(files.get('KeyOwner', { name: 'ana' })?.spec.displayName).toBe('Ana');
    expect(files.faults()).toEqual([]);
  });

  it('changes the generation with its spec only, and the resourceVersion with every change', async () => {
    await put('a.yaml', keyText('one'));
    const { files, pass, events } = await run();
    const before = await files.readLive('ApiKey', refOf('one'));
    await put(
      'a.yaml',
      keyText('one').replace('name: one\nspec', 'name: one\n  annotations: { keywright.dev/rotate: "1" }\nspec'),
    );
    await pass(520);
    const annotated = await files.readLive('ApiKey', refOf('one'));
    expect(annotated?.metadata).toMatchObject({
      uid: before?.metadata.uid,
      generation: 1,
      annotations: { 'keywright.dev/rotate': '1' },
    });
    expect(annotated?.metadata.resourceVersion).not.toBe(before?.metadata.resourceVersion);
    await put('a.yaml', keyText('one', '  suspend: true\n'));
    await pass(520);
    expect((await files.readLive('ApiKey', refOf('one')))?.metadata.generation).toBe(2);
    const count = events.length;
    await pass(520);
    expect(events).toHaveLength(count);
  });

  it('is never written', async () => {
    await put('a.yaml', keyText('one'));
    const { files, pass } = await run();
    const key = await files.readLive('ApiKey', refOf('one'));
    if (key === undefined) throw new Error('no key');
    await files.setFinalizers('ApiKey', key.metadata, [finalizer]);
    await files.applyStatus('ApiKey', key.metadata, emptyStatus);
    await pass(520);
    expect(await readdir(folder.manifests)).toEqual(['a.yaml']);
    expect(await readFile(join(folder.manifests, 'a.yaml'), 'utf8')).toBe(keyText('one'));
  });
});

describe('a fault', () => {
  it('keeps the last good version of a broken manifest, and names file and line', async () => {
    await put('a.yaml', keyText('one'));
    const { files, pass } = await run();
    const good = await files.readLive('ApiKey', refOf('one'));
    await put('a.yaml', keyText('one').replace('  owner: ana', '  owner: [ana'));
    for (let look = 0; look < 4; look += 1) await pass(520);
    expect(await files.readLive('ApiKey', refOf('one'))).toEqual(good);
    expect(messagesOf(files)).toEqual([expect.stringMatching(/^a\.yaml:\d+ is not valid YAML: /)]);
    await put('a.yaml', keyText('one', '  suspend: true\n'));
    await pass(520);
    expect(files.faults()).toEqual([]);
    expect((await files.readLive('ApiKey', refOf('one')))?.spec.suspend).toBe(true);
  });

  it('names the field and its line where a value is wrong, and does not delete what the document names', async () => {
    await put('a.yaml', keyText('one'));
    const { files, pass } = await run();
    const good = await files.readLive('ApiKey', refOf('one'));
    await put('a.yaml', keyText('one', '  channels: []\n'));
    for (let look = 0; look < 4; look += 1) await pass(520);
    expect(messagesOf(files)).toEqual([expect.stringMatching(/^a\.yaml:14 spec\.channels: must not be empty/)]);
    expect(await files.readLive('ApiKey', refOf('one'))).toEqual(good);
  });

  it('refuses a change of an immutable field and keeps the last good version', async () => {
    await put('a.yaml', keyText('one'));
    const { files, pass } = await run();
    await put('a.yaml', keyText('one').replace('owner: ana', 'owner: eve'));
    await pass(520);
    expect((await files.readLive('ApiKey', refOf('one')))?.spec.owner).toBe('ana');
    expect(messagesOf(files)).toEqual([expect.stringMatching(/^a\.yaml:\d+ spec.*the last good version stays$/)]);
  });

  it('counts the first of two documents with one name, and names the other', async () => {
    await put('a.yaml', keyText('one'));
    await put('b.yaml', `${keyText('two')}---\n${keyText('one', '  suspend: true\n')}`);
    const { files } = await run();
    expect((await files.readLive('ApiKey', refOf('one')))?.spec.suspend).toBe(false);
    expect(messagesOf(files)).toEqual(['b.yaml:15 ApiKey default/one is already declared in a.yaml:1; this one is ignored']);
  });

  it('does not let the second document take over while the first one is being repaired', async () => {
    await put('a.yaml', keyText('one'));
    await put('b.yaml', keyText('one', '  suspend: true\n'));
    const { files, pass } = await run();
    await put('a.yaml', '{{{');
    await pass(520);
    await pass(520);
    expect((await files.readLive('ApiKey', refOf('one')))?.spec.suspend).toBe(false);
  });

  it('skips a kind that is not known, and says so without holding anything up', async () => {
    await put('a.yaml', `apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\n---\n${keyText('one')}`);
    const { files, pass } = await run();
    expect(files.faults()).toEqual([
      expect.objectContaining({
        file: 'a.yaml',
        line: 1,
        level: 'notice',
        message: 'the kind Deployment (apps/v1) is skipped: it is not known here',
      }),
    ]);
    await put('a.yaml', 'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\n');
    await pass(520);
    await pass(520);
    expect(files.list('ApiKey')).toEqual([]);
  });

  it('says of a consumer once that it is not restarted, and takes the ApiKey as it is', async () => {
    const consumers = '[{ kind: Deployment, name: shop }, { kind: DaemonSet, name: agent, restart: true }]';
    await put('a.yaml', `${keyText('one').trimEnd()}\n  consumers: ${consumers}\n`);
    const { files, pass } = await run();
    await pass(520);
    expect(files.faults()).toEqual([
      expect.objectContaining({
        file: 'a.yaml',
        level: 'notice',
        message: 'spec.consumers[1]: DaemonSet agent is not restarted: without a cluster there are no workloads',
      }),
    ]);
    expect(files.list('ApiKey').map(({ name }) => name)).toEqual(['one']);
    expect(files.workloads).toBeUndefined();
  });

  it('never quotes what stands in a manifest', async () => {
    await put(
      'a.yaml',
      'apiVersion: v1\nkind: Secret\nmetadata: { name: x, namespace: keywright-system }\nstringData: { token: "s3cret" "s3cret" }\n',
    );
    await put(
      'b.yaml',
      'apiVersion: v1\nkind: Secret\nmetadata: { name: z, namespace: keywright-system }\ndata: { token: s3cret! }\n',
    );
    const { files } = await run();
    expect(messagesOf(files)).toHaveLength(2);
    expect(JSON.stringify(files.faults())).not.toContain('s3cret');
  });
});

describe('a deletion', () => {
  it('counts after two looks 500 ms apart, and takes the file along', async () => {
    await put('a.yaml', `${keyText('one')}---\n${keyText('two')}`);
    const { files, pass, events } = await run();
    await put('a.yaml', keyText('one'));
    await pass(520);
    expect(await files.readLive('ApiKey', refOf('two'))).toBeDefined();
    await pass(520);
    expect(await files.readLive('ApiKey', refOf('two'))).toBeUndefined();
    expect(events.at(-1)).toMatchObject({ type: 'delete', metadata: { name: 'two' } });
    expect(await readdir(join(folder.data, 'status/ApiKey/default'))).toEqual(['one.yaml']);
  });

  it('waits for the finalizers, and makes the same name a new object afterwards', async () => {
    await put('a.yaml', keyText('one'));
    const { files, pass, events } = await run();
    const key = await files.readLive('ApiKey', refOf('one'));
    if (key === undefined) throw new Error('no key');
    expect(await files.setFinalizers('ApiKey', key.metadata, [finalizer])).toBe('written');
    await rm(join(folder.manifests, 'a.yaml'));
    await pass(520);
    await pass(520);
    const leaving = await files.readLive('ApiKey', refOf('one'));
    expect(leaving?.metadata).toMatchObject({ uid: key.metadata.uid, generation: 2, deletionTimestamp: '2100-01-01T00:00:01Z' });
    await put('a.yaml', keyText('one'));
    await pass(520);
    expect((await files.readLive('ApiKey', refOf('one')))?.metadata.uid).toBe(key.metadata.uid);
    if (leaving === undefined) throw new Error('no key');
    expect(await files.setFinalizers('ApiKey', leaving.metadata, [finalizer, 'example.com/late'])).toBe('lost');
    expect(await files.setFinalizers('ApiKey', leaving.metadata, [])).toBe('written');
    expect(events.at(-1)).toMatchObject({ type: 'delete', metadata: { uid: key.metadata.uid } });
    await pass(520);
    expect((await files.readLive('ApiKey', refOf('one')))?.metadata.uid).not.toBe(key.metadata.uid);
  });

  it('is not what an editor does that truncates the file while saving', async () => {
    await put('a.yaml', keyText('one'));
    const { files, pass } = await run();
    const uid = (await files.readLive('ApiKey', refOf('one')))?.metadata.uid;
    for (const half of [
      '',
      'apiVersion: keywright.dev/v1alpha1\nkind: Api',
      '# nothing\n',
      '---\n',
      'apiVersion: keywright.dev/v1alpha1\nkind: ApiKey\n',
    ]) {
      await put('a.yaml', half);
      for (let look = 0; look < 4; look += 1) await pass(520);
      expect((await files.readLive('ApiKey', refOf('one')))?.metadata, JSON.stringify(half)).toMatchObject({
        uid,
        generation: 1,
      });
      expect((await files.readLive('ApiKey', refOf('one')))?.metadata.deletionTimestamp).toBeUndefined();
    }
    await put('a.yaml', keyText('one'));
    await pass(520);
    expect(files.faults()).toEqual([]);
  });

  it('is not an empty file after a restart, nor a folder that is missing or cannot be read', async () => {
    await put('a.yaml', keyText('one'));
    const first = await run();
    await first.stop();
    await put('a.yaml', '');
    const second = await run();
    for (let look = 0; look < 3; look += 1) await second.pass(520);
    expect(second.files.list('ApiKey')).toHaveLength(1);
    expect(messagesOf(second.files)).toEqual([expect.stringContaining('the file is empty, which deletes nothing')]);
    await rename(folder.manifests, `${folder.manifests}.away`);
    for (let look = 0; look < 3; look += 1) await second.pass(520);
    expect(second.files.list('ApiKey')).toHaveLength(1);
    expect(messagesOf(second.files)).toContain(`${folder.manifests}: the folder is not there`);
  });

  it('is not counted while any other file is broken, and the count begins anew afterwards', async () => {
    await put('a.yaml', keyText('one'));
    await put('b.yaml', keyText('two'));
    const { files, pass } = await run();
    await rm(join(folder.manifests, 'a.yaml'));
    await pass(520);
    await put('b.yaml', '{');
    await pass(520);
    await put('b.yaml', keyText('two'));
    await pass(520);
    expect(files.list('ApiKey')).toHaveLength(2);
    await pass(520);
    expect(files.list('ApiKey').map(({ name }) => name)).toEqual(['two']);
  });

  it('happens also to what was deleted while nothing ran', async () => {
    await put('a.yaml', keyText('one'));
    await (await run()).stop();
    await rm(join(folder.manifests, 'a.yaml'));
    const { files, pass } = await run();
    await pass(520);
    expect(files.list('ApiKey')).toEqual([]);
  });
});

describe('another manifests folder', () => {
  it('keeps what it lacks, lists it, also at the next start, and deletes it with prune', async () => {
    await put('a.yaml', keyText('one'));
    await (await run()).stop();
    const other = join(folder.base, 'other');
    await mkdir(other);
    for (let start = 0; start < 2; start += 1) {
      const { files, pass, stop } = await run({ folder: other });
      for (let look = 0; look < 3; look += 1) await pass(520);
      expect(files.list('ApiKey')).toHaveLength(1);
      expect(messagesOf(files)).toEqual([
        expect.stringContaining('ApiKey default/one is not in this manifests folder, and kept; --prune deletes it'),
      ]);
      await stop();
    }
    const { files, pass } = await run({ folder: other, prune: true });
    await pass(520);
    expect(files.list('ApiKey')).toEqual([]);
  });
});

describe('a file that is being written', () => {
  it('counts when it has not changed for a look', async () => {
    await put('a.yaml', keyText('one'));
    // A clock at which every file is brand-new.
    const { files, pass } = await run({ clock: new FakeClock(Date.now() - 60_000) });
    await put('a.yaml', keyText('one', '  suspend: true\n'));
    const before = files.scansCompleted();
    await pass(520);
    expect(files.scansCompleted()).toBe(before);
    expect((await files.readLive('ApiKey', refOf('one')))?.spec.suspend).toBe(false);
    await pass(120);
    expect((await files.readLive('ApiKey', refOf('one')))?.spec.suspend).toBe(true);
  });
});

describe('the objects under status/', () => {
  it('take a finalizer or status only for the observed object', async () => {
    await put('a.yaml', keyText('one'));
    const { files } = await run();
    const key = await files.readLive('ApiKey', refOf('one'));
    if (key === undefined) throw new Error('no key');
    expect(await files.applyStatus('ApiKey', { ...key.metadata, uid: 'another' }, emptyStatus)).toBe('lost');
    expect(await files.applyStatus('ApiKey', key.metadata, emptyStatus)).not.toBe('lost');
    expect(await files.setFinalizers('ApiKey', key.metadata, [finalizer])).toBe('lost');
    const fresh = await files.readLive('ApiKey', refOf('one'));
    expect(fresh).toMatchObject({ status: emptyStatus, metadata: { generation: 1 } });
    expect(await files.applyStatus('ApiKey', key.metadata, emptyStatus)).not.toBe('lost');
    expect(await files.readLive('ApiKey', refOf('one'))).toBe(fresh);
  });

  it('keep their status over a restart', async () => {
    await put('a.yaml', keyText('one'));
    const first = await run();
    const metadata = (await first.files.readLive('ApiKey', refOf('one')))?.metadata;
    if (metadata === undefined) throw new Error('no key');
    await first.files.applyStatus('ApiKey', metadata, emptyStatus);
    const before = await first.files.readLive('ApiKey', refOf('one'));
    await first.stop();
    const second = await run();
    expect(await second.files.readLive('ApiKey', refOf('one'))).toEqual(before);
    expect(before?.status).toEqual(emptyStatus);
  });

  it('are readable by their owner alone', async () => {
    await put('a.yaml', keyText('one'));
    await run();
    expect((await stat(join(folder.data, 'status/ApiKey/default/one.yaml'))).mode & 0o777).toBe(0o600);
  });

  it('are not made anew when one cannot be read, and it is named', async () => {
    await put('a.yaml', keyText('one'));
    await (await run()).stop();
    const path = join(folder.data, 'status/ApiKey/default/one.yaml');
    await writeFile(path, '{{{');
    const { files, pass } = await run();
    await pass(520);
    expect(files.list('ApiKey')).toEqual([]);
    expect(await readFile(path, 'utf8')).toBe('{{{');
    expect(messagesOf(files)).toEqual([expect.stringContaining('ApiKey default/one is left alone')]);
  });
});

describe('namespaces and Secrets', () => {
  it('knows every namespace by its name, and by the labels of its document', async () => {
    await put(
      'a.yaml',
      `${keyText('one')}---\napiVersion: v1\nkind: Namespace\nmetadata: { name: payments, labels: { team: a } }\n`,
    );
    const { files, pass } = await run();
    expect(files.get('Namespace', { name: 'payments' })?.metadata.labels).toEqual({
      team: 'a',
      'kubernetes.io/metadata.name': 'payments',
    });
    expect(files.get('Namespace', { name: 'default' })?.metadata.labels).toEqual({ 'kubernetes.io/metadata.name': 'default' });
    expect(files.list('Namespace').map(({ name }) => name)).toEqual(['default', 'payments']);
    await put('a.yaml', keyText('one'));
    await pass(520);
    await pass(520);
    expect(files.get('Namespace', { name: 'payments' })?.metadata.labels).toEqual({ 'kubernetes.io/metadata.name': 'payments' });
  });

  it('reads Secrets of keywright-system, keeps them out of the data folder, and tells of changes', async () => {
    const secret = (value: string) =>
      `apiVersion: v1\nkind: Secret\nmetadata: { name: vault, namespace: keywright-system }\nstringData: { token: ${value} }\n`;
    await put('s.yaml', secret('t0ps3cret'));
    const { files, pass, events } = await run();
    const ref = { namespace: 'keywright-system', name: 'vault' };
    expect((await files.secrets.read(ref))?.data).toEqual({ token: Buffer.from('t0ps3cret').toString('base64') });
    expect(await files.secrets.readMetadata(ref)).not.toHaveProperty('data');
    await put('s.yaml', secret('n3xt'));
    await pass(520);
    expect(events.filter(({ kind }) => kind === 'Secret')).toHaveLength(2);
    for (const entry of await readdir(folder.data, { recursive: true, withFileTypes: true })) {
      if (entry.isFile())
        expect(await readFile(join(entry.parentPath, entry.name), 'utf8')).not.toMatch(/t0ps3cret|n3xt|dDBwczNjcmV0/);
    }
    await rm(join(folder.manifests, 's.yaml'));
    await pass(520);
    await pass(520);
    expect(await files.secrets.read(ref)).toBeUndefined();
  });

  it('keeps what a Secret is meant for, and tells when only that changes', async () => {
    const secret = (label: string) =>
      `apiVersion: v1\nkind: Secret\nmetadata:\n  name: vault\n  namespace: keywright-system\n  labels: { keywright.dev/credential: ${label} }\n  annotations: { keywright.dev/vault-address: 'https://vault' }\nstringData: { token: x }\n`;
    const ref = { namespace: 'keywright-system', name: 'vault' };
    await put('s.yaml', secret('aws'));
    const { files, pass, events } = await run();
    expect((await files.secrets.read(ref))?.metadata).toMatchObject({
      labels: { 'keywright.dev/credential': 'aws' },
      annotations: { 'keywright.dev/vault-address': 'https://vault' },
    });
    await put('s.yaml', secret('vault-token'));
    await pass(520);
    expect((await files.secrets.read(ref))?.metadata.labels).toEqual({ 'keywright.dev/credential': 'vault-token' });
    expect(events.filter(({ kind }) => kind === 'Secret')).toHaveLength(2);
  });

  it('names a Secret of another namespace', async () => {
    await put('s.yaml', 'apiVersion: v1\nkind: Secret\nmetadata: { name: vault, namespace: default }\n');
    const { files } = await run();
    expect(messagesOf(files)).toEqual(['s.yaml:3 metadata.namespace: only Secrets of the namespace keywright-system are read']);
  });
});
