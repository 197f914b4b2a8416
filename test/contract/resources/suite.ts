import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiKeyStatus } from '../../../operator/src/api/kinds.ts';
import { finalizer } from '../../../operator/src/api/meta.ts';
import type { ObjectMeta, ObjectRef } from '../../../operator/src/api/meta.ts';
import type { ResourceEvent, Resources, SecretManifest, WatchedKind } from '../../../operator/src/resources/port.ts';
import { until } from '../../harness/until.ts';

/** What a test does to the server behind the port, as `kubectl` would. */
export interface Driver {
  create(kind: WatchedKind, metadata: Partial<ObjectMeta> & { readonly name: string }, spec: unknown): Promise<void>;
  /** Merges into the spec. */
  edit(kind: WatchedKind, ref: ObjectRef, spec: Readonly<Record<string, unknown>>): Promise<void>;
  /** Merges into the status as another client; absent where no other client can. */
  writeStatus?(kind: WatchedKind, ref: ObjectRef, status: Readonly<Record<string, unknown>>): Promise<void>;
  /** Does not wait for the object to be gone. */
  delete(kind: WatchedKind, ref: ObjectRef): Promise<void>;
  /** Somebody else's Secret, without our label. */
  createSecret(ref: { namespace: string; name: string }, data: Readonly<Record<string, string>>): Promise<void>;
  /** Somebody changes an entry of a Secret. */
  changeSecret(ref: { namespace: string; name: string }, data: Readonly<Record<string, string>>): Promise<void>;
  deleteSecret(ref: { namespace: string; name: string }): Promise<void>;
}

/** One implementation under test, not started yet. */
export interface Subject {
  readonly resources: Resources;
  readonly driver: Driver;
  /** A namespace that nobody else uses. */
  readonly namespace: string;
  close(): Promise<void>;
}

const ownerSpec = {
  type: 'Team',
  displayName: 'Payments',
  email: 'payments@example.com',
  allowedNamespaces: { all: true },
  grants: [],
};
const keySpec = (secret: string) => ({
  displayName: 'Billing sync',
  catalog: 'default',
  owner: 'payments-team',
  contactEmail: 'payments@example.com',
  accessType: 'Integrations',
  deliverTo: [{ name: 'local', secret: { name: secret } }],
});
const status: ApiKeyStatus = {
  observedGeneration: 1,
  conditions: [
    {
      type: 'Ready',
      status: 'False',
      reason: 'OwnerNotFound',
      message: 'the owner payments-team does not exist',
      observedGeneration: 1,
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
  ],
};
const base64 = (text: string) => Buffer.from(text).toString('base64');

/**
 * What every implementation of the resources port promises. `make` is called once for the suite. `secrets: false`: an
 * implementation that writes no Secrets. `foreignStatuses: false`: nobody else can write a status there.
 */
export function resourcesContract(
  title: string,
  make: () => Promise<Subject>,
  options: { readonly secrets?: boolean; readonly foreignStatuses?: boolean } = {},
): void {
  describe(title, () => {
    let subject: Subject;
    const events: ResourceEvent[] = [];
    const abort = new AbortController();
    const seen = (kind: ResourceEvent['kind'], type: ResourceEvent['type'], name: string) =>
      until(() => events.findLast((event) => event.kind === kind && event.type === type && event.metadata.name === name), {
        what: `${type} of ${kind} ${name}`,
      });
    const read = async (name: string) => {
      const object = await subject.resources.readLive('ApiKey', { namespace: subject.namespace, name });
      if (object === undefined) throw new Error(`no ApiKey ${name}`);
      return object;
    };
    const createKey = async (name: string, metadata: Partial<ObjectMeta> = {}) => {
      await subject.driver.create('ApiKey', { ...metadata, namespace: subject.namespace, name }, keySpec(name));
      return read(name);
    };
    const manifest = (name: string, apiKey: string): SecretManifest => ({
      namespace: subject.namespace,
      name,
      type: 'servicebinding.io/api-key',
      labels: { 'app.kubernetes.io/managed-by': 'keywright' },
      annotations: { 'keywright.dev/key-id': apiKey },
      ownerReferences: [],
      data: { 'api-key': base64(apiKey), type: base64('api-key') },
    });

    beforeAll(async () => {
      subject = await make();
      await subject.driver.create('ApiKey', { namespace: subject.namespace, name: 'early' }, keySpec('early'));
      subject.resources.subscribe((event) => events.push(event));
      await subject.resources.start(abort.signal);
    });
    afterAll(async () => {
      abort.abort();
      await subject.close();
    });

    it('tells of what was there before the start, as initial', async () => {
      expect(await seen('ApiKey', 'upsert', 'early')).toMatchObject({
        initial: true,
        metadata: { namespace: subject.namespace },
      });
      expect(subject.resources.list('ApiKey').map((metadata) => metadata.name)).toContain('early');
    });

    it('tells of new, changed and deleted objects, and keeps the cache equal', async () => {
      const name = `owner-${subject.namespace}`;
      await subject.driver.create('KeyOwner', { name }, ownerSpec);
      expect(await seen('KeyOwner', 'upsert', name)).toMatchObject({ initial: false });
      expect(subject.resources.get('KeyOwner', { name })?.spec.displayName).toBe('Payments');
      await subject.driver.edit('KeyOwner', { name }, { displayName: 'Payments team' });
      await until(() => subject.resources.get('KeyOwner', { name })?.spec.displayName === 'Payments team');
      expect(subject.resources.get('KeyOwner', { name })?.metadata.generation).toBe(2);
      await subject.driver.delete('KeyOwner', { name });
      await seen('KeyOwner', 'delete', name);
      expect(subject.resources.get('KeyOwner', { name })).toBeUndefined();
      expect(subject.resources.list('KeyOwner').map((metadata) => metadata.name)).not.toContain(name);
    });

    it('knows the namespace with its labels', () => {
      const namespace = subject.resources.get('Namespace', { name: subject.namespace });
      expect(namespace?.metadata.labels).toMatchObject({ 'kubernetes.io/metadata.name': subject.namespace });
    });

    it('reads an object as it stands, and undefined where there is none', async () => {
      const object = await createKey('live');
      expect(object).toMatchObject({
        kind: 'ApiKey',
        metadata: { name: 'live', generation: 1 },
        spec: { owner: 'payments-team' },
      });
      expect(await subject.resources.readLive('ApiKey', { namespace: subject.namespace, name: 'none' })).toBeUndefined();
    });

    it('lists what exists now', async () => {
      const name = `${subject.namespace}-listed`;
      const uids = async () => (await subject.resources.listLive('KeyOwner')).map((metadata) => metadata.uid);
      await subject.driver.create('KeyOwner', { name }, ownerSpec);
      const uid = (await seen('KeyOwner', 'upsert', name)).metadata.uid;
      expect(await uids()).toContain(uid);
      await subject.driver.delete('KeyOwner', { name });
      await seen('KeyOwner', 'delete', name);
      expect(await uids()).not.toContain(uid);
    });

    it('keeps an object with a finalizer until it is taken off', async () => {
      const { metadata } = await createKey('guarded');
      expect(await subject.resources.setFinalizers('ApiKey', metadata, [finalizer])).toBe('written');
      const guarded = await read('guarded');
      expect(guarded.metadata.finalizers).toEqual([finalizer]);
      await subject.driver.delete('ApiKey', metadata);
      const deleting = await until(async () => {
        const object = await read('guarded');
        return object.metadata.deletionTimestamp === undefined ? undefined : object;
      });
      expect(await subject.resources.setFinalizers('ApiKey', deleting.metadata, [])).toBe('written');
      await seen('ApiKey', 'delete', 'guarded');
      expect(await subject.resources.readLive('ApiKey', metadata)).toBeUndefined();
    });

    it('changes no finalizer on an out-of-date picture', async () => {
      const { metadata } = await createKey('moved');
      await subject.driver.edit('ApiKey', metadata, { purpose: 'another' });
      expect(await subject.resources.setFinalizers('ApiKey', metadata, [finalizer])).toBe('lost');
      expect((await read('moved')).metadata.finalizers ?? []).toEqual([]);
      // The right version of another object is not the observed one either.
      const stranger = { ...(await read('moved')).metadata, uid: '11111111-2222-4333-8444-555555555555' };
      expect(await subject.resources.setFinalizers('ApiKey', stranger, [finalizer])).toBe('lost');
      expect((await read('moved')).metadata.finalizers ?? []).toEqual([]);
    });

    it('adds no finalizer to what is being deleted', async () => {
      await createKey('leaving', { finalizers: ['example.com/hold'] });
      await subject.driver.delete('ApiKey', { namespace: subject.namespace, name: 'leaving' });
      const { metadata } = await until(async () => {
        const object = await read('leaving');
        return object.metadata.deletionTimestamp === undefined ? undefined : object;
      });
      expect(await subject.resources.setFinalizers('ApiKey', metadata, ['example.com/hold', finalizer])).toBe('lost');
      expect(await subject.resources.setFinalizers('ApiKey', metadata, [])).toBe('written');
    });

    it('writes a status without touching the spec, and takes away what the next one lacks', async () => {
      const { metadata } = await createKey('reported');
      const first = await subject.resources.applyStatus('ApiKey', metadata, { ...status, lastHandledRotation: 'one' });
      const handled = await read('reported');
      expect(handled.status?.lastHandledRotation).toBe('one');
      expect(first).toEqual({ resourceVersion: handled.metadata.resourceVersion });
      const second = await subject.resources.applyStatus('ApiKey', metadata, status);
      const reported = await read('reported');
      expect(reported.status).toEqual(status);
      expect(second).toEqual({ resourceVersion: reported.metadata.resourceVersion });
      expect(reported.metadata.generation).toBe(1);
    });

    if (options.foreignStatuses !== false)
      it('removes from a status what another client wrote into it', async () => {
        const { driver } = subject;
        const { metadata } = await createKey('forged');
        await subject.resources.applyStatus('ApiKey', metadata, status);
        const [ready] = status.conditions;
        await driver.writeStatus?.('ApiKey', metadata, {
          lastHandledCompromise: 'all',
          failures: { count: 1, lastAt: '2026-01-01T00:00:00Z', retryAt: '2099-01-01T00:00:00Z' },
          conditions: [
            { ...ready, message: 'forged' },
            { ...ready, type: 'Stalled' },
          ],
        });
        const written = await subject.resources.applyStatus('ApiKey', (await read('forged')).metadata, status);
        const cured = await read('forged');
        expect(cured.status).toEqual(status);
        expect(written).toEqual({ resourceVersion: cured.metadata.resourceVersion });
        // What is ours stays ours: the next status takes it away again.
        await subject.resources.applyStatus('ApiKey', cured.metadata, { observedGeneration: 1, conditions: [] });
        expect((await read('forged')).status).toEqual({ observedGeneration: 1, conditions: [] });
      });

    it('writes a status although another field was changed since the object was read', async () => {
      const { metadata } = await createKey('edited');
      await subject.driver.edit('ApiKey', metadata, { purpose: 'another' });
      await subject.resources.applyStatus('ApiKey', metadata, status);
      expect(await read('edited')).toMatchObject({ spec: { purpose: 'another' }, status: { observedGeneration: 1 } });
    });

    it('makes no new version for a status that says nothing new', async () => {
      const { metadata } = await createKey('quiet');
      await subject.resources.applyStatus('ApiKey', metadata, status);
      const { resourceVersion } = (await read('quiet')).metadata;
      expect(await subject.resources.applyStatus('ApiKey', metadata, status)).toEqual({ resourceVersion });
      expect((await read('quiet')).metadata.resourceVersion).toBe(resourceVersion);
    });

    it('writes no status to a later object of the same name, nor to none', async () => {
      const { metadata } = await createKey('replaced');
      await subject.driver.delete('ApiKey', metadata);
      await seen('ApiKey', 'delete', 'replaced');
      expect(await subject.resources.applyStatus('ApiKey', metadata, status)).toBe('lost');
      await createKey('replaced');
      expect(await subject.resources.applyStatus('ApiKey', metadata, status)).toBe('lost');
      expect((await read('replaced')).status?.conditions?.[0]?.reason).not.toBe('OwnerNotFound');
    });

    if (options.secrets === false) return;
    describe('Secrets', () => {
      const ref = (name: string) => ({ namespace: subject.namespace, name });
      const write = async (name: string, apiKey: string) => {
        const outcome = await subject.resources.secrets.write(manifest(name, apiKey), undefined);
        if (outcome.kind !== 'written') throw new Error(`Secret ${name} was not created`);
        return outcome.object;
      };

      it('creates one, reads it back whole or without its data, and tells of it', async () => {
        const object = await write('created', 'k1');
        expect(await subject.resources.secrets.read(ref('created'))).toMatchObject({
          type: 'servicebinding.io/api-key',
          data: { 'api-key': base64('k1') },
          metadata: { uid: object.metadata.uid, resourceVersion: object.metadata.resourceVersion },
        });
        const metadata = await subject.resources.secrets.readMetadata(ref('created'));
        expect(metadata).toMatchObject({ uid: object.metadata.uid, annotations: { 'keywright.dev/key-id': 'k1' } });
        expect(JSON.stringify(await seen('Secret', 'upsert', 'created'))).not.toContain(base64('k1'));
        expect(await subject.resources.secrets.read(ref('none'))).toBeUndefined();
        expect(await subject.resources.secrets.readMetadata(ref('none'))).toBeUndefined();
      });

      it("never creates over somebody else's", async () => {
        await subject.driver.createSecret(ref('foreign'), { password: base64('theirs') });
        expect(await subject.resources.secrets.write(manifest('foreign', 'k1'), undefined)).toEqual({ kind: 'lost' });
        expect((await subject.resources.secrets.read(ref('foreign')))?.data).toEqual({ password: base64('theirs') });
      });

      it('replaces the observed one', async () => {
        const { metadata } = await write('rotated', 'k1');
        const outcome = await subject.resources.secrets.write(manifest('rotated', 'k2'), metadata);
        expect(outcome).toMatchObject({
          kind: 'written',
          object: { metadata: { uid: metadata.uid }, data: { 'api-key': base64('k2') } },
        });
      });

      it('changes nothing when the observed one was changed, replaced or deleted', async () => {
        const { metadata } = await write('raced', 'k1');
        await subject.driver.changeSecret(ref('raced'), { 'api-key': base64('by hand') });
        expect(await subject.resources.secrets.write(manifest('raced', 'k2'), metadata)).toEqual({ kind: 'lost' });
        expect((await subject.resources.secrets.read(ref('raced')))?.data?.['api-key']).toBe(base64('by hand'));

        await subject.driver.deleteSecret(ref('raced'));
        expect(await subject.resources.secrets.write(manifest('raced', 'k2'), metadata)).toEqual({ kind: 'lost' });
        expect(await subject.resources.secrets.read(ref('raced'))).toBeUndefined();

        await subject.driver.createSecret(ref('raced'), { password: base64('theirs') });
        const theirs = await subject.resources.secrets.readMetadata(ref('raced'));
        const mixed = { uid: metadata.uid, resourceVersion: theirs?.resourceVersion ?? '' };
        expect(await subject.resources.secrets.write(manifest('raced', 'k2'), mixed)).toEqual({ kind: 'lost' });
        expect((await subject.resources.secrets.read(ref('raced')))?.data).toEqual({ password: base64('theirs') });
      });

      it('removes only the observed one, and twice is once', async () => {
        const { metadata } = await write('withdrawn', 'k1');
        await subject.driver.changeSecret(ref('withdrawn'), { more: base64('x') });
        expect(await subject.resources.secrets.remove(ref('withdrawn'), metadata)).toBe('lost');
        const current = await subject.resources.secrets.readMetadata(ref('withdrawn'));
        expect(current?.uid).toBe(metadata.uid);
        const observed = { uid: metadata.uid, resourceVersion: current?.resourceVersion ?? '' };
        expect(await subject.resources.secrets.remove(ref('withdrawn'), observed)).toBe('removed');
        expect(await subject.resources.secrets.remove(ref('withdrawn'), observed)).toBe('removed');
        expect(await subject.resources.secrets.read(ref('withdrawn'))).toBeUndefined();
        await seen('Secret', 'delete', 'withdrawn');
      });
    });
  });
}
