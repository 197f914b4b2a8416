import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operatorRoles } from '../../operator/src/api/admission/roles.ts';
import { apiVersion, annotations } from '../../operator/src/api/meta.ts';
import { appliers, crowd } from '../builders/appliers.ts';
import {
  AdmissionScene,
  allRights,
  annotated,
  expectAllowed,
  finalize,
  managersOf,
  messageOf,
  refusals,
  writing,
  type Json,
} from '../harness/admission.ts';
import { bind } from '../harness/permissions.ts';

const scene = await AdmissionScene.open(['finalizer', 'stranger']);
const { kube, namespace, path, manifest, create, patch, present, expectRefused } = scene;

beforeAll(async () => {
  await present('older', {}, { annotations: { 'keywright.dev/older': 'x' }, labels: { 'keywright.dev/older': 'x' } });
  await scene.applyPolicy();
  await bind(kube, namespace, { kind: 'User', name: 'finalizer' }, [{ ...writing, verbs: ['get', 'update', 'patch'] }, finalize]);
});
afterAll(() => scene.close());

describe('what decides how an ApiKey is changed by others', () => {
  const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';
  const dryRun = '&dryRun=All';
  const apply = (user: string, manager: string, name: string, body: object) =>
    kube.request('PATCH', `${path(name)}?fieldManager=${manager}&force=true`, {
      body,
      user,
      contentType: 'application/apply-patch+yaml',
    });
  /** The API server sorts managers by time, in whole seconds, and then by name. */
  const oldest = '&fieldManager=a-first';
  const scopes = async () =>
    ((await kube.request('GET', path('co-owned'))).body as { spec: { scopes?: readonly string[] } }).spec.scopes;

  it('nobody without "own" keeps a right alive that its author takes out of his manifest', async () => {
    const wide = manifest('co-owned', { scopes: ['a', 'b'] });
    const narrow = manifest('co-owned', { scopes: ['a'] });
    expectAllowed(await apply('admin', 'gitops', 'co-owned', wide));
    // What the same manager applies again changes nothing; another one would own it too.
    expectAllowed(await apply('nobody', 'gitops', 'co-owned', wide));
    expectRefused(await apply('nobody', 'mallory', 'co-owned', wide), refusals.own, 'to change which manager owns a field');
    expectAllowed(await apply('admin', 'gitops', 'co-owned', narrow));
    expect(await scopes()).toEqual(['a']);
  });

  it.each([
    ['no managers any more', { metadata: { managedFields: [{}] } }],
    [
      'a manager made up',
      {
        metadata: {
          managedFields: [
            {
              manager: 'mallory',
              operation: 'Update',
              apiVersion,
              time: '2026-11-21T00:00:00Z',
              fieldsType: 'FieldsV1',
              fieldsV1: { 'f:spec': { 'f:scopes': {} } },
            },
          ],
        },
      },
    ],
    ['another manifest to compare with', annotated(lastApplied, '{}')],
  ])('needs "own" where the spec stays the same: %s', async (title, body) => {
    const name = `kept-${title.replaceAll(' ', '-')}`;
    await present(name, { scopes: ['a'] }, { annotations: { [lastApplied]: '{"spec":{"scopes":["a"]}}' } });
    expectRefused(await patch('nobody', name, body, dryRun), refusals.own);
    for (const right of allRights) {
      if (right !== 'own') expectAllowed(await patch(`without-${right}`, name, body, dryRun));
    }
  });

  it.each<[string, Json, Json]>([
    ['rotate', {}, { annotations: { [annotations.rotate]: 'now' } }],
    ['compromised', {}, { annotations: { [annotations.compromised]: 'all' } }],
    ['suspend', { suspend: true }, {}],
    ['revoke', { revoked: { reason: 'Superseded' } }, {}],
  ])(
    'whoever uses the right to %s owns what that changes, and no right of the author beside it',
    async (what, spec, metadata) => {
      const name = `beside-${what}`;
      const scoped = { scopes: ['a', 'b'] };
      expectAllowed(await apply('admin', 'gitops', name, manifest(name, scoped)));
      const whole = manifest(name, { ...scoped, ...spec }, metadata);
      expectRefused(await apply('without-own', 'mallory', name, whole), refusals.own, 'to change which manager owns a field');
      const part = { apiVersion, kind: 'ApiKey', metadata: { name, namespace, ...metadata }, spec };
      expectAllowed(await apply('without-own', 'responder', name, part));
      expectAllowed(await apply('admin', 'gitops', name, manifest(name, { scopes: ['a'], ...spec })));
      expect(((await kube.request('GET', path(name))).body as { spec: Json }).spec['scopes']).toEqual(['a']);
    },
  );

  it('nobody without "own" keeps an annotation of ours alive that its author takes out of his manifest', async () => {
    const name = 'co-paused';
    const paused = { annotations: { [annotations.paused]: 'true' } };
    expectAllowed(await apply('admin', 'gitops', name, manifest(name, {}, paused)));
    const part = { apiVersion, kind: 'ApiKey', metadata: { name, namespace, ...paused } };
    expectRefused(await apply('nobody', 'mallory', name, part), refusals.own);
    const foreign = { ...part, metadata: { name, namespace, annotations: { 'example.com/note': 'x' } } };
    expectAllowed(await apply('nobody', 'mallory', name, foreign));
    expectAllowed(await apply('admin', 'gitops', name, manifest(name)));
    const { metadata } = (await kube.request('GET', path(name))).body as { metadata: { annotations: Json } };
    expect(metadata.annotations).toEqual({ 'example.com/note': 'x' });
  });

  it.each([
    ['what kubectl apply compares with', { annotations: { [lastApplied]: '{}' } }],
    [
      'an owner that nothing was merged into',
      {
        managedFields: [
          {
            ...{ manager: 'gitops', operation: 'Apply', apiVersion, fieldsType: 'FieldsV1' },
            fieldsV1: { 'f:spec': { 'f:scopes': {} } },
          },
          {
            ...{ manager: 'ancient-changes', operation: 'Update', apiVersion, fieldsType: 'FieldsV1' },
            fieldsV1: { 'f:spec': { 'f:displayName': {} } },
          },
        ],
      },
    ],
  ])('the right to rotate is none to change, in the same write, %s', async (title, metadata) => {
    const name = `with-rotate-${title.split(' ')[1] ?? ''}`;
    expectAllowed(await apply('admin', 'gitops', name, manifest(name, { scopes: ['a'] })));
    const given = 'annotations' in metadata ? metadata.annotations : {};
    const body = { metadata: { ...metadata, annotations: { ...given, [annotations.rotate]: 'now' } } };
    expectRefused(await patch('without-own', name, body, dryRun), refusals.own);
  });

  it('labels need nothing: by any number of managers that apply, and by ten that update', async () => {
    expectAllowed(await create('admin', manifest('many'), oldest));
    const label = (at: number) =>
      patch('nobody', 'many', { metadata: { labels: { [`label-${at}`]: 'x' } } }, `&fieldManager=manager-${at}`);
    for (let at = 1; at < 10; at += 1) expectAllowed(await label(at));
    const applied = { apiVersion, kind: 'ApiKey', metadata: { name: 'many', namespace, labels: { applied: 'x' } } };
    expectAllowed(await apply('nobody', 'labeller', 'many', applied));
    // For the eleventh the API server throws the oldest two together, of which one owns the spec.
    expectRefused(await label(10), refusals.own);
  });

  it('whatever others wrote, a responder rotates and the operator finalizes', async () => {
    expectAllowed(await create('admin', manifest('crowded'), oldest));
    for (let at = 0; at < 9; at += 1)
      expectAllowed(
        await patch('nobody', 'crowded', { metadata: { labels: { [`label-${at}`]: 'x' } } }, `&fieldManager=manager-${at}`),
      );
    expectAllowed(await patch('without-own', 'crowded', annotated(annotations.rotate, 'now'), '&fieldManager=responder'));
    await bind(kube, namespace, { kind: 'User', name: 'stranger' }, operatorRoles.keys.name);
    const body = { metadata: { finalizers: ['keywright.dev/finalizer'] } };
    expectAllowed(await patch('stranger', 'crowded', body, '&fieldManager=keywright'));
  });

  it.each<{ readonly what: string; readonly fields: object; readonly named?: (at: number) => object }>([
    { what: 'the spec', fields: { 'f:spec': { 'f:displayName': {} } } },
    {
      what: 'the spec under his name',
      fields: { 'f:spec': { 'f:displayName': {} } },
      named: (at) => ({ manager: 'responder', subresource: `s${at}` }),
    },
    { what: 'what he changes, too', fields: { 'f:spec': { 'f:displayName': {}, 'f:suspend': {} } } },
    { what: 'labels', fields: { 'f:metadata': { 'f:labels': { 'f:x': {} } } } },
    { what: 'annotations', fields: { 'f:metadata': { 'f:annotations': { 'f:example.com/x': {} } } } },
  ])('as many owners as an ApiKey may have keep no responder from a suspension: of $what', async ({ what, fields, named }) => {
    const name = `owned-${what.replaceAll(/[ ,]+/g, '-')}`;
    await present(name, { suspend: false });
    const managedFields = [...managersOf(await kube.request('GET', path(name))), ...appliers(fields, named)];
    expect(managersOf(await patch('admin', name, { metadata: { managedFields } })).length).toBeGreaterThan(crowd);
    expectAllowed(await patch('without-own', name, { spec: { suspend: true } }, '&fieldManager=responder'));
    expectAllowed(await patch('finalizer', name, { metadata: { finalizers: ['keywright.dev/finalizer'] } }));
  });

  it.each([
    ['an annotation', annotated('keywright.dev/rotat', 'now'), 'keywright.dev/rotat'],
    ['a label', { metadata: { labels: { 'keywright.dev/rotate': 'now' } } }, 'keywright.dev/rotate'],
  ])('%s under our group that means nothing is refused, whoever asks', async (what, body, name) => {
    const key = `unknown-${what.replaceAll(' ', '-')}`;
    await present(key);
    for (const user of ['nobody', 'admin']) {
      const answer = await patch(user, key, body, dryRun);
      expect([answer.status, messageOf(answer)]).toEqual([
        403,
        expect.stringContaining(
          `"${name}" means nothing on an ApiKey: the only annotations under keywright.dev/ on an ApiKey are keywright.dev/rotate`,
        ),
      ]);
    }
    expect((await create('admin', manifest('unknown', {}, body.metadata), dryRun)).status).toBe(403);
  });

  it('what was there under our group before the policy holds nobody up, and may be taken away', async () => {
    expectAllowed(await patch('nobody', 'older', { metadata: { labels: { team: 'payments' } } }));
    const gone = { 'keywright.dev/older': null };
    expectAllowed(await patch('nobody', 'older', { metadata: { labels: gone, annotations: gone } }));
  });
});
