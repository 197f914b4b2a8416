import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admissionPolicyName } from '../../operator/src/api/admission/policy.ts';
import { operatorPolicyName } from '../../operator/src/api/admission/operatorpolicy.ts';
import { operatorRoles, serviceBindingRole, userRoles } from '../../operator/src/api/admission/roles.ts';
import { apiVersion, annotations } from '../../operator/src/api/meta.ts';
import {
  AdmissionScene,
  allRights,
  annotated,
  expectAllowed,
  finalize,
  messageOf,
  refusals,
  rights,
  writing,
  type Json,
  type Right,
} from '../harness/admission.ts';
import { bind, withServiceAccount } from '../harness/permissions.ts';
import { until } from '../harness/until.ts';

const scene = await AdmissionScene.open([
  'lead',
  'responder',
  'stranger',
  'deleter',
  'ender',
  'finalizer',
  'revoker',
  'collector',
]);
const { namespace, path, manifest, create, patch, present, expectRefused } = scene;

beforeAll(() => scene.applyPolicy());
afterAll(() => scene.close());

interface Change {
  readonly title: string;
  /** What the key has before, besides the sample; both merge patches. */
  readonly before?: { readonly spec?: Json; readonly metadata?: Json };
  readonly after: { readonly spec?: Json; readonly metadata?: Json };
  readonly needs: readonly Right[];
}

const local = { name: 'local', secret: { name: 'value' } };
const vault = { name: 'vault', destination: 'prod-vault' };
const billing = { kind: 'Deployment', name: 'billing' };

const changes: readonly Change[] = [
  { title: 'nothing', after: {}, needs: [] },
  { title: 'labels', after: { metadata: { labels: { team: 'payments' } } }, needs: [] },
  { title: 'an annotation of others', after: annotated('example.com/note', 'x'), needs: [] },
  { title: 'a default, spelled out', after: { spec: { suspend: false, rotation: { overlap: '24h' } } }, needs: [] },
  { title: 'the access type', after: { spec: { accessType: 'Admin' } }, needs: ['grant', 'own'] },
  { title: 'scopes', after: { spec: { scopes: ['subscribers:read'] } }, needs: ['grant', 'own'] },
  {
    title: 'scopes, taken away',
    before: { spec: { scopes: ['a'] } },
    after: { spec: { scopes: null } },
    needs: ['grant', 'own'],
  },
  { title: 'endpoints', after: { spec: { endpoints: ['list-campaigns'] } }, needs: ['grant', 'own'] },
  { title: 'applications', after: { spec: { applications: ['shop-eu'] } }, needs: ['grant', 'own'] },
  {
    title: 'channels',
    before: { spec: { channels: ['a'] } },
    after: { spec: { channels: ['a', 'b'] } },
    needs: ['grant', 'own'],
  },
  {
    title: 'channels of a customer',
    after: { spec: { customerChannels: [{ customer: '4', channels: ['a'] }] } },
    needs: ['grant', 'own'],
  },
  { title: 'attributes', after: { spec: { attributes: ['email'] } }, needs: ['grant', 'own'] },
  { title: 'the expiry', after: { spec: { expiry: { never: true } } }, needs: ['grant', 'own'] },
  { title: 'the rotation', after: { spec: { rotation: { onExpiry: 'Expire' } } }, needs: ['grant', 'own'] },
  { title: 'the rate limit', after: { spec: { rateLimit: { requests: 5, per: '1s' } } }, needs: ['grant', 'own'] },
  { title: 'the networks', after: { spec: { allowedSources: ['10.0.0.0/8'] } }, needs: ['grant', 'own'] },
  { title: 'the display name', after: { spec: { displayName: 'Other' } }, needs: ['own'] },
  { title: 'the contact', after: { spec: { contactEmail: 'other@example.com' } }, needs: ['own'] },
  { title: 'the holder', after: { spec: { holder: { name: 'J. Doe' } } }, needs: ['own'] },
  { title: 'the application that uses it', after: { spec: { clientApplication: 'billing' } }, needs: ['own'] },
  {
    title: 'an added destination',
    after: { spec: { deliverTo: [vault, { name: 'two', destination: 'two' }] } },
    needs: ['own', 'deliver'],
  },
  {
    title: 'an added path',
    after: { spec: { deliverTo: [vault, { ...vault, name: 'two', path: 'x' }] } },
    needs: ['own', 'deliver'],
  },
  { title: 'another path', after: { spec: { deliverTo: [{ ...vault, path: 'x' }] } }, needs: ['own', 'deliver'] },
  { title: 'an added Secret', after: { spec: { deliverTo: [vault, local] } }, needs: ['own', 'deliverSecret'] },
  {
    title: 'another Secret under the same entry',
    before: { spec: { deliverTo: [local] } },
    after: { spec: { deliverTo: [{ ...local, secret: { name: 'theirs' } }] } },
    needs: ['own', 'deliverSecret'],
  },
  {
    title: 'a Secret in place of a destination, and the reverse',
    before: {
      spec: {
        deliverTo: [
          { name: 'a', destination: 'a' },
          { name: 'b', secret: { name: 'b' } },
        ],
      },
    },
    after: {
      spec: {
        deliverTo: [
          { name: 'a', secret: { name: 'a' } },
          { name: 'b', destination: 'b' },
        ],
      },
    },
    needs: ['own', 'deliver', 'deliverSecret'],
  },
  {
    title: 'a destination taken away',
    before: { spec: { deliverTo: [vault, local] } },
    after: { spec: { deliverTo: [local] } },
    needs: ['own'],
  },
  { title: 'an entry renamed', after: { spec: { deliverTo: [{ ...vault, name: 'renamed' }] } }, needs: ['own'] },
  { title: 'a consumer', after: { spec: { consumers: [billing] } }, needs: ['own', 'restart'] },
  {
    title: 'a consumer that is restarted from now on',
    before: { spec: { consumers: [billing] } },
    after: { spec: { consumers: [{ ...billing, restart: true }] } },
    needs: ['own', 'restart'],
  },
  {
    title: 'a consumer taken away',
    before: { spec: { consumers: [billing] } },
    after: { spec: { consumers: [] } },
    needs: ['own'],
  },
  { title: 'a revocation', after: { spec: { revoked: { reason: 'KeyCompromise' } } }, needs: ['revoke'] },
  {
    title: 'the reason of a revocation',
    before: { spec: { revoked: {} } },
    after: { spec: { revoked: { reason: 'Superseded' } } },
    needs: ['revoke'],
  },
  { title: 'a suspension', after: { spec: { suspend: true } }, needs: ['revoke'] },
  { title: 'a compromised version', after: annotated(annotations.compromised, 'all'), needs: ['revoke'] },
  {
    title: 'a compromised version, taken back before it was handled',
    before: annotated(annotations.compromised, 'all'),
    after: annotated(annotations.compromised, null),
    needs: ['revoke'],
  },
  {
    title: 'the end of a suspension',
    before: { spec: { suspend: true } },
    after: { spec: { suspend: false } },
    needs: ['rotate'],
  },
  {
    title: 'the end of a suspension by leaving it out',
    before: { spec: { suspend: true } },
    after: { spec: { suspend: null } },
    needs: ['rotate'],
  },
  { title: 'a rotation', after: annotated(annotations.rotate, 'now'), needs: ['rotate'] },
  {
    title: 'another rotation',
    before: annotated(annotations.rotate, '1'),
    after: annotated(annotations.rotate, '2'),
    needs: ['rotate'],
  },
  { title: 'a confirmation', after: annotated(annotations.confirm, '1'), needs: ['grant', 'own', 'deliver', 'rotate'] },
  {
    title: 'another confirmation, of a key that has everything',
    before: {
      spec: { deliverTo: [vault, local], consumers: [billing], suspend: true },
      ...annotated(annotations.confirm, '1'),
    },
    after: annotated(annotations.confirm, '2'),
    needs: allRights,
  },
  {
    title: 'a confirmation of a revoked key',
    before: { spec: { revoked: {} } },
    after: annotated(annotations.confirm, '1'),
    needs: ['grant', 'own', 'deliver', 'revoke', 'rotate'],
  },
  {
    title: 'a confirmation taken away',
    before: annotated(annotations.confirm, '1'),
    after: annotated(annotations.confirm, null),
    needs: [],
  },
  { title: 'a pause', after: annotated(annotations.paused, 'true'), needs: ['rotate'] },
  {
    title: 'the end of a pause',
    before: annotated(annotations.paused, 'true'),
    after: annotated(annotations.paused, null),
    needs: ['rotate'],
  },
  {
    title: 'several at once',
    after: { spec: { suspend: true, scopes: ['a'], deliverTo: [local] }, ...annotated(annotations.rotate, 'now') },
    needs: ['grant', 'own', 'deliverSecret', 'revoke', 'rotate'],
  },
];

describe('a change of an ApiKey', () => {
  it.each(changes.map((change, at) => ({ ...change, name: `change-${at}` })))(
    '[S0-18] needs exactly $needs: $title',
    async ({ name, before = {}, after, needs }) => {
      await present(name, before.spec, before.metadata);
      const dryRun = '&dryRun=All';
      expectAllowed(await patch('all', name, after, dryRun));
      for (const right of allRights) {
        const answer = await patch(`without-${right}`, name, after, dryRun);
        if (needs.includes(right)) expectRefused(answer, `user "without-${right.toLowerCase()}"`, refusals[right]);
        else expectAllowed(answer);
      }
      const nobody = await patch('nobody', name, after, dryRun);
      if (needs.length === 0) expectAllowed(nobody);
      else expectRefused(nobody);
    },
  );
});

describe('a new ApiKey', () => {
  it('[S1-6] needs the right to the access type, to the owner and to each place', async () => {
    const body = manifest('new', { deliverTo: [vault, local], consumers: [{ kind: 'StatefulSet', name: 'billing' }] });
    expectAllowed(await create('all', body, '&dryRun=All'));
    for (const right of allRights) {
      const answer = await create(`without-${right}`, body, '&dryRun=All');
      if (right === 'revoke' || right === 'rotate') expectAllowed(answer);
      else expectRefused(answer, refusals[right]);
    }
  });

  it('needs the right to revoke or rotate only if it asks for that', async () => {
    const suspended = manifest('suspended', { suspend: true });
    expectAllowed(await create('without-rotate', suspended, '&dryRun=All'));
    expectRefused(await create('without-revoke', suspended, '&dryRun=All'), refusals.revoke);
    const paused = manifest('paused', {}, { annotations: { [annotations.paused]: 'true' } });
    expectAllowed(await create('without-revoke', paused, '&dryRun=All'));
    expectRefused(await create('without-rotate', paused, '&dryRun=All'), refusals.rotate);
  });

  it('may leave its name to the server', async () => {
    const body = manifest('unused', { suspend: true }, { name: undefined, generateName: 'made-' });
    expectAllowed(await create('all', body, '&dryRun=All'));
    expectRefused(await create('without-revoke', body, '&dryRun=All'), `${refusals.revoke}made-`);
  });

  it('is refused through server-side apply, too', async () => {
    const input = manifest('applied');
    const apply = ['apply', '--server-side', '-f', '-'];
    const { stderr } = await scene.kube.kubectl(apply, { input, user: 'without-grant', allowFailure: true });
    expect(stderr).toContain(refusals.grant);
    await scene.kube.kubectl(apply, { input, user: 'all' });
  });

  it('with eight destinations, eight consumers and every list full passes the cost limit', async () => {
    const names = (count: number, of: (at: number) => string) => Array.from({ length: count }, (_, at) => of(at));
    const long = (at: number) => `x${String(at).padStart(62, '0')}`;
    const full = {
      scopes: names(200, long),
      endpoints: names(200, long),
      applications: names(200, long),
      channels: names(200, long),
      customerChannels: names(200, long).map((customer) => ({ customer, channels: names(50, long) })),
      attributes: names(200, (at) => `a${String(at).padStart(99, '0')}`),
      deliverTo: names(8, long).map((name, at) =>
        at % 2 === 0 ? { name, destination: name, path: names(5, long).join('/') } : { name, secret: { name } },
      ),
      consumers: names(8, (at) => `w${at}`).map((name) => ({ kind: 'DaemonSet', name, restart: true })),
      suspend: true,
    };
    const body = manifest('full', full, { annotations: { [annotations.rotate]: 'now' } });
    expectAllowed(await create('all', body));
    // Everything changes, and everything is compared to the last entry.
    const moved = full.deliverTo.map((entry) => ({ ...entry, name: `y${entry.name.slice(1)}` }));
    const other = {
      customerChannels: full.customerChannels.map((one) => ({ ...one, channels: [...one.channels.slice(1), 'other'] })),
      deliverTo: moved.map((entry) =>
        'secret' in entry ? { ...entry, secret: { name: entry.name } } : { ...entry, destination: entry.name },
      ),
      consumers: full.consumers.map((one) => ({ ...one, restart: false })),
      suspend: false,
      revoked: { reason: 'Superseded' },
    };
    const everything = {
      spec: other,
      metadata: {
        annotations: { [annotations.confirm]: '1', [annotations.paused]: 'true', [annotations.compromised]: 'all' },
        finalizers: ['keywright.dev/finalizer'],
        ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: '00000000-0000-4000-8000-000000000000' }],
      },
    };
    expectAllowed(await patch('all', 'full', everything, '&dryRun=All'));
    expectAllowed(await patch('all', 'full', { spec: other }));
    expectAllowed(await patch('nobody', 'full', { metadata: { labels: { a: 'b' } } }));
    expectRefused(await patch('nobody', 'full', { spec: { channels: names(199, long) } }), refusals.grant);
    // The API server merges the two oldest managers, of which one owns all of it.
    expectAllowed(await create('admin', manifest('full-crowded', full), '&fieldManager=a-first'));
    for (let at = 0; at < 9; at += 1) {
      const label = { metadata: { labels: { [`label-${at}`]: 'x' } } };
      expectAllowed(await patch('nobody', 'full-crowded', label, `&fieldManager=manager-${at}`));
    }
    const revoked = { spec: { revoked: { reason: 'KeyCompromise' } } };
    expectAllowed(await patch('without-own', 'full-crowded', revoked, '&fieldManager=responder'));
  });
});

describe('what decides on the life of an ApiKey', () => {
  const ghost = { apiVersion: 'v1', kind: 'ConfigMap', name: 'ghost', uid: '00000000-0000-4000-8000-000000000000' };
  const finalizers = (...names: readonly string[]) => ({ metadata: { finalizers: names } });
  const owned = { metadata: { ownerReferences: [ghost] } };
  const before = { finalizers: ['keywright.dev/finalizer', 'example.com/other'] };
  const update = { ...writing, verbs: ['get', 'create', 'update', 'patch'] };
  const end = { ...writing, verbs: ['delete'] };
  const creation = [rights.grant, rights.own, rights.deliver];
  const dryRun = '&dryRun=All';
  const nor = ', nor to "update" apikeys.keywright.dev/finalizers: it is needed to change ';

  beforeAll(async () => {
    const roles = {
      deleter: [update, end, ...creation],
      ender: [update, end, rights.revoke],
      finalizer: [update, finalize],
      revoker: [update, rights.revoke, ...creation],
      collector: [update, end, finalize],
    };
    for (const [name, rules] of Object.entries(roles)) await bind(scene.kube, namespace, { kind: 'User', name }, rules);
  });

  it.each([
    ['our finalizer taken away', finalizers('example.com/other')],
    ['a finalizer of others taken away', finalizers('keywright.dev/finalizer')],
    ['all finalizers taken away', { metadata: { finalizers: null } }],
    ['a finalizer added', finalizers(...before.finalizers, 'example.com/more')],
  ])('finalizers change only with the rights to delete and revoke, or to finalize: %s', async (title, body) => {
    const name = title.replaceAll(' ', '-');
    await present(name, {}, before);
    for (const user of ['ender', 'finalizer', 'collector']) expectAllowed(await patch(user, name, body, dryRun));
    const of = `apikeys.keywright.dev "${name}" in the namespace "${namespace}"${nor}finalizers`;
    expectRefused(await patch('deleter', name, body, dryRun), `user "deleter" has no right to "revoke" ${of}`);
    expectRefused(await patch('revoker', name, body, dryRun), `user "revoker" has no right to "delete" ${of}`);
    expectRefused(await patch('nobody', name, body, dryRun), 'has no right to "revoke"');
  });

  it('ownerReferences change only with the right to delete, and to revoke or finalize', async () => {
    await present('owned');
    for (const user of ['ender', 'collector']) expectAllowed(await patch(user, 'owned', owned, dryRun));
    expectRefused(await patch('deleter', 'owned', owned, dryRun), refusals.revoke, `${nor}ownerReferences`);
    for (const user of ['revoker', 'finalizer'])
      expectRefused(
        await patch(user, 'owned', owned, dryRun),
        `user "${user}" has no right to "delete" apikeys.keywright.dev "owned"`,
      );
  });

  it('a new ApiKey may have finalizers, and may belong to another object only if its author may delete it', async () => {
    expectAllowed(await create('revoker', manifest('made', {}, before), dryRun));
    const body = manifest('made', {}, owned.metadata);
    expectAllowed(await create('deleter', body, dryRun));
    expectRefused(await create('revoker', body, dryRun), 'user "revoker" has no right to "delete"');
  });

  it('whoever may delete does so in the foreground, and leaves the finalizers to the garbage collector', async () => {
    await present('in-foreground', {}, finalizers('keywright.dev/finalizer').metadata);
    const options = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Foreground' };
    const answer = await scene.kube.request('DELETE', path('in-foreground'), { body: options, user: 'deleter' });
    expectAllowed(answer);
    const names = ['foregroundDeletion', 'keywright.dev/finalizer'];
    const { metadata } = (await scene.kube.request('GET', path('in-foreground'))).body as { metadata: { finalizers?: string[] } };
    expect([...(metadata.finalizers ?? [])].sort()).toEqual(names);
    expectRefused(await patch('deleter', 'in-foreground', { metadata: { finalizers: null } }), refusals.revoke);
    // By the role that Kubernetes gives it.
    const as = ['--as', 'system:serviceaccount:kube-system:generic-garbage-collector'];
    const collect = (body: object) =>
      scene.kube.kubectl(['patch', 'ak', 'in-foreground', '-n', namespace, '--type=merge', '-p', JSON.stringify(body), ...as]);
    await collect(finalizers('keywright.dev/finalizer'));
    await present('orphan', {}, { ...owned.metadata, ...finalizers('keywright.dev/finalizer').metadata });
    await scene.kube.kubectl([
      'patch',
      'ak',
      'orphan',
      '-n',
      namespace,
      '--type=merge',
      '-p',
      '{"metadata":{"ownerReferences":null}}',
      ...as,
    ]);
    expectAllowed(await patch('finalizer', 'in-foreground', { metadata: { finalizers: null } }));
    expect((await scene.kube.request('GET', path('in-foreground'))).status).toBe(404);
  });

  it('a namespace that is deleted takes its keys along', async () => {
    const doomed = await scene.kube.createNamespace('doomed');
    const body = { ...manifest('doomed', {}, finalizers('keywright.dev/finalizer').metadata) };
    const where = `/apis/${apiVersion}/namespaces/${doomed}/apikeys`;
    expectAllowed(
      await scene.kube.request('POST', where, {
        body: { ...body, metadata: { name: 'doomed', finalizers: ['keywright.dev/finalizer'] } },
      }),
    );
    // By the role that Kubernetes gives it.
    const as = ['--as', 'system:serviceaccount:kube-system:namespace-controller'];
    await scene.kube.kubectl(['delete', 'ak', '--all', '-n', doomed, '--wait=false', ...as]);
    const { body: left } = await scene.kube.request('GET', `${where}/doomed`);
    expect(left).toMatchObject({ metadata: { deletionTimestamp: expect.any(String) as string } });
  });
});

describe('people', () => {
  beforeAll(async () => {
    // Each right by its name: what RBAC calls resourceNames.
    await bind(scene.kube, namespace, { kind: 'User', name: 'lead' }, [
      writing,
      { ...rights.grant, resourceNames: ['default:Integrations'] },
      { ...rights.own, resourceNames: ['payments-team'] },
      { ...rights.deliver, resourceNames: ['prod-vault'] },
      { ...rights.deliverSecret, resourceNames: ['billing-api-key'] },
    ]);
    await bind(scene.kube, namespace, { kind: 'User', name: 'responder' }, 'keywright-responder');
  });

  it('[S0-5] [S1-4] a stranger creates no key, whatever he asks for, and neither does who may only write ApiKeys', async () => {
    const stranger = await create('stranger', manifest('strange'));
    expect([stranger.status, messageOf(stranger)]).toEqual([403, expect.stringContaining('cannot create resource "apikeys"')]);
    expectRefused(await create('nobody', manifest('strange')), refusals.grant);
    expect((await scene.kube.request('GET', path('strange'))).status).toBe(404);
  });

  it('[S0-5] [S1-4] an administrator creates keys of any type for any owner, by the role keywright-admin', async () => {
    const administered = await withServiceAccount(scene.kube, namespace, 'administrator');
    await bind(scene.kube, namespace, { kind: 'ServiceAccount', name: 'administrator', namespace }, 'keywright-admin');
    scene.kube = administered;
    for (const [at, spec] of [{ accessType: 'Admin' }, { owner: 'ana' }, { catalog: 'other', deliverTo: [local] }].entries()) {
      expectAllowed(await create('administrator', manifest(`by-administrator-${at}`, spec)));
    }
  });

  it('[S1-6] [S0-19] a team lead creates Integrations keys of one owner, and nothing beyond', async () => {
    const deliverTo = [vault, { name: 'local', secret: { name: 'billing-api-key' } }];
    expectAllowed(await create('lead', manifest('of-lead', { deliverTo, holder: { organization: 'Acme Ltd', name: 'J. Doe' } })));
    expectAllowed(await patch('lead', 'of-lead', { spec: { scopes: ['subscribers:read'], contactEmail: 'new@example.com' } }));
    const grant = (of: string) => `has no right to "grant" apicatalogs.keywright.dev/accesstypes "${of}"`;
    expectRefused(await create('lead', manifest('more', { accessType: 'Admin' })), 'user "lead"', grant('default:Admin'));
    expectRefused(await create('lead', manifest('more', { catalog: 'other' })), grant('other:Integrations'));
    expectRefused(await create('lead', manifest('more', { owner: 'ana' })), '"own" keyowners.keywright.dev "ana"');
    expectRefused(
      await create('lead', manifest('more', { deliverTo: [{ name: 'x', destination: 'their-vault' }] })),
      '"deliver" keydestinations.keywright.dev "their-vault"',
    );
    expectRefused(
      await create('lead', manifest('more', { deliverTo: [{ name: 'x', secret: { name: 'readable' } }] })),
      '"deliver" keydestinations.keywright.dev/secrets "readable"',
    );
    expectRefused(await patch('lead', 'of-lead', { spec: { accessType: 'Admin' } }), grant('default:Admin'));
    expectRefused(await patch('lead', 'of-lead', { spec: { suspend: true } }), '"revoke" apikeys.keywright.dev "of-lead"');
    const elsewhere = await scene.kube.createNamespace('elsewhere');
    const body = { ...manifest('of-lead'), metadata: { name: 'of-lead', namespace: elsewhere } };
    expect(
      (await scene.kube.request('POST', `/apis/${apiVersion}/namespaces/${elsewhere}/apikeys`, { body, user: 'lead' })).status,
    ).toBe(403);
  });

  it('a right in one namespace is none in another', async () => {
    const elsewhere = await scene.kube.createNamespace('elsewhere');
    await bind(scene.kube, elsewhere, { kind: 'User', name: 'all' }, [writing]);
    const body = { ...manifest('here'), metadata: { name: 'here', namespace: elsewhere } };
    const answer = await scene.kube.request('POST', `/apis/${apiVersion}/namespaces/${elsewhere}/apikeys`, { body, user: 'all' });
    expect([answer.status, messageOf(answer)]).toEqual([403, expect.stringContaining(`in the namespace "${elsewhere}"`)]);
  });

  it('[S4-10] a responder suspends, rotates and revokes, and changes nothing else', async () => {
    await present('incident', { scopes: ['a'] });
    expectAllowed(await patch('responder', 'incident', { spec: { suspend: true } }));
    expectAllowed(await patch('responder', 'incident', { spec: { suspend: false } }));
    expectAllowed(await patch('responder', 'incident', annotated(annotations.compromised, 'all')));
    expectAllowed(await patch('responder', 'incident', annotated(annotations.rotate, 'now')));
    expectRefused(await patch('responder', 'incident', { spec: { scopes: null } }), refusals.grant);
    expectRefused(await patch('responder', 'incident', { spec: { displayName: 'mine' } }), refusals.own);
    expectRefused(await patch('responder', 'incident', { spec: { suspend: true, expiry: { never: true } } }), refusals.grant);
    expectRefused(await patch('responder', 'incident', { spec: { deliverTo: [vault, local] } }), refusals.own);
    expect((await create('responder', manifest('own'))).status).toBe(403);
    expectAllowed(await patch('responder', 'incident', { spec: { revoked: { reason: 'KeyCompromise' } } }));
    const undone = await patch('responder', 'incident', { spec: { revoked: null } });
    expect([undone.status, messageOf(undone)]).toEqual([422, expect.stringContaining('revoked cannot be removed')]);
  });
});

describe('programs', () => {
  it('the operator writes finalizers and status without an exemption, and cannot widen a key', async () => {
    await present('operated');
    scene.kube = await withServiceAccount(scene.kube, 'keywright-system', 'operator');
    await bind(
      scene.kube,
      namespace,
      { kind: 'ServiceAccount', name: 'operator', namespace: 'keywright-system' },
      operatorRoles.keys.name,
    );
    expectAllowed(await patch('operator', 'operated', { metadata: { finalizers: ['keywright.dev/finalizer'] } }));
    const status = {
      conditions: [
        { type: 'Ready', status: 'True', reason: 'Available', message: '', lastTransitionTime: '2026-11-21T00:00:00Z' },
      ],
    };
    const body = { apiVersion, kind: 'ApiKey', metadata: { name: 'operated' }, status };
    const written = await scene.kube.request('PATCH', `${path('operated')}/status?fieldManager=keywright&force=true`, {
      body,
      user: 'operator',
      contentType: 'application/apply-patch+yaml',
    });
    expectAllowed(written);
    expectRefused(await patch('operator', 'operated', { spec: { scopes: ['a'] } }), refusals.grant);
    expectRefused(await patch('operator', 'operated', annotated(annotations.rotate, 'x')), refusals.rotate);
    await scene.kube.request('DELETE', path('operated'));
    expectAllowed(await patch('operator', 'operated', { metadata: { finalizers: [] } }));
    expect((await scene.kube.request('GET', path('operated'))).status).toBe(404);
  });

  it('a GitOps account re-applies unchanged manifests, while a responder works on the live key', async () => {
    scene.kube = await withServiceAccount(scene.kube, namespace, 'gitops');
    await bind(scene.kube, namespace, { kind: 'ServiceAccount', name: 'gitops', namespace }, [writing]);
    await bind(scene.kube, namespace, { kind: 'User', name: 'responder' }, 'keywright-responder');
    const complete = {
      scopes: ['subscribers:read'],
      customerChannels: [{ customer: '4', channels: ['a'] }],
      expiry: { after: '8760h' },
      rotation: { every: '720h' },
      consumers: [billing],
      deliverTo: [vault, local],
    };
    for (const [name, flags] of Object.entries({ 'by-client': [], 'by-server': ['--server-side', '--force-conflicts'] })) {
      const apply = (user: string, spec: Json) =>
        scene.kube.kubectl(['apply', ...flags, '-f', '-'], { input: manifest(name, spec), user, allowFailure: true });
      expect(await apply('admin', complete)).toMatchObject({ code: 0 });
      expect(await apply('gitops', complete)).toMatchObject({ code: 0 });
      expectAllowed(await patch('responder', name, { spec: { suspend: true }, ...annotated(annotations.rotate, 'now') }));
      // What the manifest does not name stays: the account is not asked to undo it, and may not.
      expect(await apply('gitops', complete)).toMatchObject({ code: 0 });
      expect((await scene.kube.request('GET', path(name))).body).toMatchObject({ spec: { suspend: true } });
      const wider = await apply('gitops', { ...complete, scopes: ['subscribers:read', 'campaigns:read'] });
      expect([wider.code, wider.stderr]).toEqual([1, expect.stringContaining(refusals.grant)]);
      expect(wider.stderr).toContain(`user "system:serviceaccount:${namespace}:gitops"`);
    }
  });

  it('a GitOps account that impersonates a tenant has the rights of that tenant only', async () => {
    scene.kube = await withServiceAccount(scene.kube, namespace, 'argocd');
    const tenant = `system:serviceaccount:${namespace}:tenant`;
    await bind(scene.kube, namespace, { kind: 'ServiceAccount', name: 'argocd', namespace }, [
      writing,
      ...Object.values(rights),
      { apiGroups: [''], resources: ['serviceaccounts'], resourceNames: ['tenant'], verbs: ['impersonate'] },
    ]);
    await bind(scene.kube, namespace, { kind: 'ServiceAccount', name: 'tenant', namespace }, [
      writing,
      { ...rights.grant, resourceNames: ['default:Integrations'] },
      { ...rights.own, resourceNames: ['payments-team'] },
      rights.deliver,
    ]);
    const apply = (spec: Json) =>
      scene.kube.kubectl(['apply', '--as', tenant, '-f', '-'], {
        input: manifest('as-tenant', spec),
        user: 'argocd',
        allowFailure: true,
      });
    expect(await apply({})).toMatchObject({ code: 0 });
    expect((await apply({ accessType: 'Admin' })).stderr).toContain(`user "${tenant}" has no right to "grant"`);
  });

  it('a migration of the storage rewrites every object as it is', async () => {
    await present(
      'stored',
      { scopes: ['a'], consumers: [billing], suspend: true },
      { annotations: { [annotations.rotate]: 'now' } },
    );
    const { body } = await scene.kube.request('GET', path('stored'));
    const answer = await scene.kube.request('PUT', path('stored'), { body, user: 'nobody' });
    expectAllowed(answer);
  });
});

it('`keywright policies` prints what the API server takes: policies, bindings, roles and the ServiceAccount for Vault', async () => {
  const main = join(import.meta.dirname, '..', '..', 'operator', 'src', 'main.ts');
  const { stdout: input } = await promisify(execFile)(process.execPath, [main, 'policies'], { env: {} });
  const { stdout } = await scene.kube.kubectl(['apply', '--server-side', '--dry-run=server', '-o', 'name', '-f', '-'], { input });
  expect(stdout.trim().split('\n')).toEqual([
    'validatingadmissionpolicy.admissionregistration.k8s.io/keywright',
    'validatingadmissionpolicybinding.admissionregistration.k8s.io/keywright',
    'validatingadmissionpolicy.admissionregistration.k8s.io/keywright-operator',
    'validatingadmissionpolicybinding.admissionregistration.k8s.io/keywright-operator',
    ...[...userRoles, ...Object.values(operatorRoles), serviceBindingRole].map(
      ({ name }) => `clusterrole.rbac.authorization.k8s.io/${name}`,
    ),
    'role.rbac.authorization.k8s.io/keywright-operator',
    'serviceaccount/keywright-vault',
  ]);
});

it.each([admissionPolicyName, operatorPolicyName])(
  'the API server finds no fault with the types of the policy %s',
  async (name) => {
    const url = `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/${name}`;
    const status = await until(
      async () => {
        const { metadata, status: seen } = (await scene.kube.request('GET', url)).body as {
          metadata: { generation: number };
          status?: { observedGeneration?: number; typeChecking?: object };
        };
        return seen?.observedGeneration === metadata.generation ? seen : undefined;
      },
      { deadlineMs: 30_000, what: 'the type check' },
    );
    expect(status.typeChecking).toEqual({});
  },
);
