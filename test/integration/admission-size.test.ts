import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotations } from '../../operator/src/api/meta.ts';
import { appliers } from '../builders/appliers.ts';
import {
  AdmissionScene,
  annotated,
  expectAllowed,
  finalize,
  managersOf,
  messageOf,
  refusals,
  writing,
} from '../harness/admission.ts';
import { bind } from '../harness/permissions.ts';
import { until } from '../harness/until.ts';

const scene = await AdmissionScene.open(['finalizer']);
const { kube, namespace, path, manifest, create, patch, present, expectRefused } = scene;

const labelled = (size: number) => ({ 'f:metadata': { 'f:labels': { [`f:${'x'.repeat(size)}`]: {} } } });

beforeAll(async () => {
  await present('overfull', {}, { finalizers: ['keywright.dev/finalizer'] });
  const owned = { 'f:finalizers': { 'v:"keywright.dev/finalizer"': {} }, 'f:labels': { 'f:a': { 'f:b': {} } } };
  const managedFields = [
    ...managersOf(await kube.request('GET', path('overfull'))),
    ...appliers(labelled(60_000), undefined, 6),
    ...appliers({ 'f:metadata': owned }, () => ({ manager: 'unexpected' }), 1),
  ];
  expectAllowed(await patch('admin', 'overfull', { metadata: { managedFields } }));
  await scene.applyPolicy();
  await bind(kube, namespace, { kind: 'User', name: 'finalizer' }, [{ ...writing, verbs: ['get', 'update', 'patch'] }, finalize]);
});
afterAll(() => scene.close());

describe('what an ApiKey can be filled with', () => {
  const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';
  const dryRun = '&dryRun=All';

  it.each(['annotations', 'labels'])('at most 100 %s are taken, so that a revocation is a small write', async (what) => {
    const key = `full-of-${what}`;
    await present(key);
    const many = (count: number) => ({
      metadata: { [what]: Object.fromEntries(Array.from({ length: count }, (_, at) => [`a${at}`, ''])) },
    });
    const answer = await patch('nobody', key, many(101));
    expect([answer.status, messageOf(answer)]).toEqual([403, expect.stringContaining(`an ApiKey has at most 100 ${what}`)]);
    expectAllowed(await patch('nobody', key, many(90), dryRun));
  });

  it.each<{ readonly what: string; readonly fields: object; readonly count?: number }>([
    { what: 'names of labels', fields: labelled(60_000), count: 6 },
    { what: 'many managers', fields: labelled(1), count: 1_500 },
    {
      what: 'many members',
      fields: { 'f:metadata': Object.fromEntries(Array.from({ length: 30_000 }, (_, at) => [`f:${at}`, {}])) },
    },
    {
      what: 'many names',
      fields: { 'f:metadata': { 'f:labels': Object.fromEntries(Array.from({ length: 1_001 }, (_, at) => [`f:${at}`, {}])) } },
    },
    { what: 'something below a name', fields: { 'f:metadata': { 'f:labels': { 'f:a': { 'f:b': {} } } } } },
    { what: 'names that JSON makes longer', fields: { 'f:metadata': { 'f:labels': { 'f:<': {} } } } },
    { what: 'other members of the metadata', fields: { 'f:metadata': { 'f:else': { 'f:a': { 'f:b': {} } } } } },
    { what: 'members of no object', fields: { 'f:else': {} } },
  ])('nobody can fill up managedFields, so that a revocation has room: $what', async ({ what, fields, count = 1 }) => {
    const name = `filled-by-${what.replaceAll(' ', '-').toLowerCase()}`;
    await present(name);
    const before = managersOf(await kube.request('GET', path(name)));
    const managedFields = [...before, ...appliers(fields, undefined, count)];
    for (const user of ['nobody', 'admin']) {
      const answer = await patch(user, name, { metadata: { managedFields } }, dryRun);
      expect([answer.status, messageOf(answer)]).toEqual([
        403,
        expect.stringContaining('the managedFields of an ApiKey may hold only what a write produces'),
      ]);
    }
  });

  it('all annotations together have a limit, because JSON may take six bytes for one', async () => {
    await present('full-of-text');
    const text = (length: number) => ({ metadata: { annotations: { 'example.com/note': '<'.repeat(length) } } });
    const answer = await patch('nobody', 'full-of-text', text(65_536));
    expect([answer.status, messageOf(answer)]).toEqual([
      403,
      expect.stringContaining('all annotations of an ApiKey together have at most 65536 bytes'),
    ]);
    expectAllowed(await patch('nobody', 'full-of-text', text(65_000), dryRun));
    // It is as long as the spec, and needs "own".
    expectAllowed(await patch('all', 'full-of-text', annotated(lastApplied, '"'.repeat(250_000)), dryRun));
  });

  it.each([
    ['alone', '<'.repeat(150_001), 0],
    ['with the spec', '"'.repeat(100_000), 200],
  ])('what kubectl apply compares with has a limit, %s, so that a revocation has room', async (what, text, customers) => {
    const name = `applied-${what.replaceAll(' ', '-')}`;
    const names = (count: number) => Array.from({ length: count }, (_, at) => `x${String(at).padStart(62, '0')}`);
    const customerChannels = names(customers).map((customer) => ({ customer, channels: names(50) }));
    await present(name, customers === 0 ? {} : { customerChannels });
    const answer = await patch('admin', name, annotated(lastApplied, text), dryRun);
    expect([answer.status, messageOf(answer)]).toEqual([
      403,
      expect.stringContaining(
        `the annotation ${lastApplied} and customerChannels of an ApiKey together take at most 900000 bytes`,
      ),
    ]);
    expectAllowed(await patch('admin', name, annotated(lastApplied, text.slice(0, 75_000)), dryRun));
  });

  it('what somebody with "own" has filled up to what etcd takes is revoked by a responder all the same, and then deleted', async () => {
    const name = 'filled-with-own';
    await present(name, {}, { finalizers: ['keywright.dev/finalizer'] });
    const before = managersOf(await kube.request('GET', path(name)));
    const fill = async (bytes: number) => {
      const owned = { 'f:spec': Object.fromEntries([[`f:${'x'.repeat(bytes)}`, {}]]) };
      const managedFields = [...before, ...appliers(owned, () => ({ manager: 'filler' }), 1)];
      expectAllowed(await patch('without-revoke', name, { metadata: { managedFields } }));
      return JSON.stringify((await kube.request('GET', path(name))).body).length;
    };
    const left = 1.5 * 1024 * 1024 - 250;
    await fill(1 + left - (await fill(1)));
    // Nothing fits any more, and only a revocation may do without the managers.
    expect((await kube.request('DELETE', path(name))).status).toBe(500);
    expectRefused(await patch('without-own', name, { spec: { suspend: true } }, '&fieldManager=responder'), refusals.own);
    const revoked = { spec: { revoked: { reason: 'KeyCompromise' } } };
    expectAllowed(await patch('without-own', name, revoked, '&fieldManager=responder'));
    // Until the API server's cache has the object as it is now, it tries to write the large one.
    await until(async () => (await kube.request('DELETE', path(name))).status < 300, { what: 'the deletion' });
    expectAllowed(await patch('finalizer', name, { metadata: { finalizers: [] } }, '&fieldManager=keywright'));
    expect((await kube.request('GET', path(name))).status).toBe(404);
  });

  it.each([
    ['finalizers', (at: number) => `example.com/f${at}`],
    [
      'ownerReferences',
      (at: number) => ({ apiVersion: 'v1', kind: 'Namespace', name: `n${at}`, uid: `00000000-0000-4000-8000-${1e11 + at}` }),
    ],
  ] as const)('at most 100 %s are taken, from nobody', async (what, one) => {
    const many = (count: number) => ({ [what]: Array.from({ length: count }, (_, at) => one(at)) });
    const key = `full-of-${what.toLowerCase()}`;
    const answer = await create('admin', manifest(key, {}, many(101)), dryRun);
    expect([answer.status, messageOf(answer)]).toEqual([403, expect.stringContaining(`an ApiKey has at most 100 ${what}`)]);
    expectAllowed(await create('admin', manifest(key, {}, many(100)), dryRun));
  });

  it('whatever somebody without our verbs has filled in, a responder revokes, and the key can be deleted', async () => {
    const name = 'filled';
    await present(name, {}, { finalizers: ['keywright.dev/finalizer'] });
    const text = { metadata: { annotations: { 'example.com/note': '<'.repeat(65_000) } } };
    expectAllowed(await patch('nobody', name, text, '&fieldManager=writer'));
    const before = managersOf(await kube.request('GET', path(name)));
    // As much as the policy takes, to the byte.
    const filled = (rest: number) => ({
      metadata: {
        managedFields: [
          ...[...before, ...appliers(labelled(58_000), undefined, 5)],
          ...appliers(labelled(rest), () => ({ manager: 'rest' }), 1),
        ],
      },
    });
    let [least, most] = [1, 20_000];
    while (least < most) {
      const rest = Math.ceil((least + most) / 2);
      if ((await patch('nobody', name, filled(rest), dryRun)).status === 403) most = rest - 1;
      else least = rest;
    }
    expectAllowed(await patch('nobody', name, filled(least)));
    expect((await patch('nobody', name, { metadata: { labels: { a: '' } } }, '&fieldManager=writer')).status).toBe(403);
    expectAllowed(await patch('without-own', name, annotated(annotations.rotate, 'now'), '&fieldManager=rotator'));
    for (const spec of [{ suspend: true }, { revoked: { reason: 'KeyCompromise' } }])
      expectAllowed(await patch('without-own', name, { spec }, '&fieldManager=responder'));
    const reported = annotated(annotations.compromised, 'all');
    expectAllowed(await patch('without-own', name, reported, '&fieldManager=reporter'));
    expectAllowed(await kube.request('DELETE', path(name)));
    expectAllowed(await patch('finalizer', name, { metadata: { finalizers: [] } }, '&fieldManager=keywright'));
    expect((await kube.request('GET', path(name))).status).toBe(404);
  });

  it.each([
    ['names', Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`a${at}`, '']))],
    ['bytes', { a: 'x'.repeat(65_535) }],
    ['characters of four bytes', { a: '\u{1F600}'.repeat(16_383) }],
  ])('annotations of others, as many %s as there may be, keep no annotation of ours away', async (what, given) => {
    const name = `annotated-in-${what.replaceAll(' ', '-')}`;
    await present(name);
    expectAllowed(await patch('nobody', name, { metadata: { annotations: given } }));
    expect((await patch('nobody', name, annotated('b', 'xxxx'))).status).toBe(403);
    expectAllowed(await patch('without-own', name, annotated(annotations.rotate, 'now')));
    expectAllowed(await patch('without-own', name, annotated(annotations.compromised, 'all')));
  });

  it('what was too large before the policy is suspended, revoked and finalized all the same, and filled no further', async () => {
    const name = 'overfull';
    for (const user of ['nobody', 'without-revoke'])
      expect((await patch(user, name, { metadata: { labels: { a: '' } } }, '&fieldManager=writer')).status).toBe(403);
    for (const spec of [{ suspend: true }, { revoked: { reason: 'KeyCompromise' } }])
      expectAllowed(await patch('without-own', name, { spec }, `&fieldManager=responder-${Object.keys(spec).join()}`));
    const managedFields = [
      ...managersOf(await kube.request('GET', path(name))),
      ...appliers({ 'f:metadata': { 'f:labels': { 'f:a': { 'f:c': {} } } } }, undefined, 1),
    ];
    const more = { metadata: { managedFields, annotations: { [annotations.compromised]: 'all' } } };
    expect((await patch('without-own', name, more)).status).toBe(403);
    expectAllowed(await kube.request('DELETE', path(name)));
    expectAllowed(await patch('finalizer', name, { metadata: { finalizers: [] } }, '&fieldManager=keywright'));
    expect((await kube.request('GET', path(name))).status).toBe(404);
  });
});
