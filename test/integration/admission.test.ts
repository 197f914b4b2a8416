import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admissionPolicyName } from '../../operator/src/api/admission/policy.ts';
import { operatorRoles, serviceBindingRole, userRoles } from '../../operator/src/api/admission/roles.ts';
import { apiVersion, annotations } from '../../operator/src/api/meta.ts';
import type { Kube, KubeAnswer } from '../harness/kube.ts';
import { ownControlPlane } from '../harness/parts.ts';
import { applyPermissions, bind, withServiceAccount } from '../harness/permissions.ts';
import { until } from '../harness/until.ts';

type Json = Readonly<Record<string, unknown>>;

/** The rights that the policy asks for, each as the rule of a Role that gives it. */
const rights = {
  grant: { apiGroups: ['keywright.dev'], resources: ['apicatalogs/accesstypes'], verbs: ['grant'] },
  own: { apiGroups: ['keywright.dev'], resources: ['keyowners'], verbs: ['own'] },
  deliver: { apiGroups: ['keywright.dev'], resources: ['keydestinations'], verbs: ['deliver'] },
  deliverSecret: { apiGroups: ['keywright.dev'], resources: ['keydestinations/secrets'], verbs: ['deliver'] },
  revoke: { apiGroups: ['keywright.dev'], resources: ['apikeys'], verbs: ['revoke'] },
  rotate: { apiGroups: ['keywright.dev'], resources: ['apikeys'], verbs: ['rotate'] },
  restart: { apiGroups: ['apps'], resources: ['deployments', 'statefulsets', 'daemonsets'], verbs: ['patch'] },
} as const;
type Right = keyof typeof rights;
const allRights = Object.keys(rights) as Right[];
const writing = {
  apiGroups: ['keywright.dev'],
  resources: ['apikeys'],
  verbs: ['get', 'list', 'create', 'update', 'patch', 'delete'],
};

/** What a refusal says of a right that is missing. */
const refusals: Readonly<Record<Right, string>> = {
  grant: 'no right to "grant" apicatalogs.keywright.dev/accesstypes "default:',
  own: 'no right to "own" keyowners.keywright.dev "payments-team"',
  deliver: 'no right to "deliver" keydestinations.keywright.dev "',
  deliverSecret: 'no right to "deliver" keydestinations.keywright.dev/secrets "',
  revoke: 'no right to "revoke" apikeys.keywright.dev "',
  rotate: 'no right to "rotate" apikeys.keywright.dev "',
  restart: 'no right to "patch" ',
};

// Besides the people below one user per right who has every other one.
const users = ['nobody', 'all', ...allRights.map((right) => `without-${right}`), 'lead', 'responder', 'stranger'];
const plane = await ownControlPlane({ users: users.map((name) => ({ name: name.toLowerCase() })) });
let kube: Kube = plane.kube;
let namespace = '';
const path = (name = '') => `/apis/${apiVersion}/namespaces/${namespace}/apikeys${name === '' ? '' : `/${name}`}`;
const strict = 'fieldValidation=Strict';
const mergePatch = 'application/merge-patch+json';

const baseSpec = {
  displayName: 'Billing sync',
  catalog: 'default',
  owner: 'payments-team',
  contactEmail: 'payments@example.com',
  accessType: 'Integrations',
  deliverTo: [{ name: 'vault', destination: 'prod-vault' }],
};

function manifest(name: string, spec: Json = {}, metadata: Json = {}): object {
  return { apiVersion, kind: 'ApiKey', metadata: { name, namespace, ...metadata }, spec: { ...baseSpec, ...spec } };
}

const create = (user: string, body: object, query = '') =>
  kube.request('POST', `${path()}?${strict}${query}`, { body, user: user.toLowerCase() });
const patch = (user: string, name: string, body: object, query = '') =>
  kube.request('PATCH', `${path(name)}?${strict}${query}`, { body, user: user.toLowerCase(), contentType: mergePatch });

const messageOf = (answer: KubeAnswer) => (answer.body as { message?: string }).message ?? '';

/** A key that is there already, made by the cluster's administrator. */
async function present(name: string, spec: Json = {}, metadata: Json = {}): Promise<void> {
  const answer = await create('admin', manifest(name, spec, metadata));
  expect(answer.status, messageOf(answer)).toBe(201);
}

function expectAllowed(answer: KubeAnswer): void {
  expect(answer.status, messageOf(answer)).toBeLessThan(300);
}

function expectRefused(answer: KubeAnswer, ...says: readonly string[]): void {
  expect(answer.status, messageOf(answer)).toBe(403);
  const message = messageOf(answer);
  for (const part of [`ValidatingAdmissionPolicy '${admissionPolicyName}'`, `in the namespace "${namespace}"`, ...says]) {
    expect(message).toContain(part);
  }
}

beforeAll(async () => {
  await applyPermissions(kube);
  namespace = await kube.createNamespace('admission');
  const others = (right?: Right) => allRights.filter((one) => one !== right).map((one) => rights[one]);
  await bind(kube, namespace, { kind: 'User', name: 'nobody' }, [writing]);
  await bind(kube, namespace, { kind: 'User', name: 'all' }, [writing, ...others()]);
  for (const right of allRights) {
    await bind(kube, namespace, { kind: 'User', name: `without-${right}`.toLowerCase() }, [writing, ...others(right)]);
  }
});

afterAll(async () => {
  await kube.close();
  await plane.stop();
});

interface Change {
  readonly title: string;
  /** What the key has before, besides the sample; both merge patches. */
  readonly before?: { readonly spec?: Json; readonly metadata?: Json };
  readonly after: { readonly spec?: Json; readonly metadata?: Json };
  readonly needs: readonly Right[];
}

const annotated = (name: string, value: string | null) => ({ metadata: { annotations: { [name]: value } } });
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
    const { stderr } = await kube.kubectl(apply, { input, user: 'without-grant', allowFailure: true });
    expect(stderr).toContain(refusals.grant);
    await kube.kubectl(apply, { input, user: 'all' });
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
    expectAllowed(await patch('all', 'full', { spec: other }));
    expectAllowed(await patch('nobody', 'full', { metadata: { labels: { a: 'b' } } }));
    expectRefused(await patch('nobody', 'full', { spec: { channels: names(199, long) } }), refusals.grant);
  });
});

describe('people', () => {
  beforeAll(async () => {
    // Each right by its name: what RBAC calls resourceNames.
    await bind(kube, namespace, { kind: 'User', name: 'lead' }, [
      writing,
      { ...rights.grant, resourceNames: ['default:Integrations'] },
      { ...rights.own, resourceNames: ['payments-team'] },
      { ...rights.deliver, resourceNames: ['prod-vault'] },
      { ...rights.deliverSecret, resourceNames: ['billing-api-key'] },
    ]);
    await bind(kube, namespace, { kind: 'User', name: 'responder' }, 'keywright-responder');
  });

  it('[S0-5] [S1-4] a stranger creates no key, whatever he asks for, and neither does who may only write ApiKeys', async () => {
    const stranger = await create('stranger', manifest('strange'));
    expect([stranger.status, messageOf(stranger)]).toEqual([403, expect.stringContaining('cannot create resource "apikeys"')]);
    expectRefused(await create('nobody', manifest('strange')), refusals.grant);
    expect((await kube.request('GET', path('strange'))).status).toBe(404);
  });

  it('[S0-5] [S1-4] an administrator creates keys of any type for any owner, by the role keywright-admin', async () => {
    const administered = await withServiceAccount(kube, namespace, 'administrator');
    await bind(kube, namespace, { kind: 'ServiceAccount', name: 'administrator', namespace }, 'keywright-admin');
    kube = administered;
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
    const elsewhere = await kube.createNamespace('elsewhere');
    const body = { ...manifest('of-lead'), metadata: { name: 'of-lead', namespace: elsewhere } };
    expect(
      (await kube.request('POST', `/apis/${apiVersion}/namespaces/${elsewhere}/apikeys`, { body, user: 'lead' })).status,
    ).toBe(403);
  });

  it('a right in one namespace is none in another', async () => {
    const elsewhere = await kube.createNamespace('elsewhere');
    await bind(kube, elsewhere, { kind: 'User', name: 'all' }, [writing]);
    const body = { ...manifest('here'), metadata: { name: 'here', namespace: elsewhere } };
    const answer = await kube.request('POST', `/apis/${apiVersion}/namespaces/${elsewhere}/apikeys`, { body, user: 'all' });
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
    kube = await withServiceAccount(kube, 'keywright-system', 'operator');
    await bind(
      kube,
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
    const written = await kube.request('PATCH', `${path('operated')}/status?fieldManager=keywright&force=true`, {
      body,
      user: 'operator',
      contentType: 'application/apply-patch+yaml',
    });
    expectAllowed(written);
    expectRefused(await patch('operator', 'operated', { spec: { scopes: ['a'] } }), refusals.grant);
    expectRefused(await patch('operator', 'operated', annotated(annotations.rotate, 'x')), refusals.rotate);
    await kube.request('DELETE', path('operated'));
    expectAllowed(await patch('operator', 'operated', { metadata: { finalizers: [] } }));
    expect((await kube.request('GET', path('operated'))).status).toBe(404);
  });

  it('a GitOps account re-applies unchanged manifests, while a responder works on the live key', async () => {
    kube = await withServiceAccount(kube, namespace, 'gitops');
    await bind(kube, namespace, { kind: 'ServiceAccount', name: 'gitops', namespace }, [writing]);
    await bind(kube, namespace, { kind: 'User', name: 'responder' }, 'keywright-responder');
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
        kube.kubectl(['apply', ...flags, '-f', '-'], { input: manifest(name, spec), user, allowFailure: true });
      expect(await apply('admin', complete)).toMatchObject({ code: 0 });
      expect(await apply('gitops', complete)).toMatchObject({ code: 0 });
      expectAllowed(await patch('responder', name, { spec: { suspend: true }, ...annotated(annotations.rotate, 'now') }));
      // What the manifest does not name stays: the account is not asked to undo it, and may not.
      expect(await apply('gitops', complete)).toMatchObject({ code: 0 });
      expect((await kube.request('GET', path(name))).body).toMatchObject({ spec: { suspend: true } });
      const wider = await apply('gitops', { ...complete, scopes: ['subscribers:read', 'campaigns:read'] });
      expect([wider.code, wider.stderr]).toEqual([1, expect.stringContaining(refusals.grant)]);
      expect(wider.stderr).toContain(`user "system:serviceaccount:${namespace}:gitops"`);
    }
  });

  it('a GitOps account that impersonates a tenant has the rights of that tenant only', async () => {
    kube = await withServiceAccount(kube, namespace, 'argocd');
    const tenant = `system:serviceaccount:${namespace}:tenant`;
    await bind(kube, namespace, { kind: 'ServiceAccount', name: 'argocd', namespace }, [
      writing,
      ...Object.values(rights),
      { apiGroups: [''], resources: ['serviceaccounts'], resourceNames: ['tenant'], verbs: ['impersonate'] },
    ]);
    await bind(kube, namespace, { kind: 'ServiceAccount', name: 'tenant', namespace }, [
      writing,
      { ...rights.grant, resourceNames: ['default:Integrations'] },
      { ...rights.own, resourceNames: ['payments-team'] },
      rights.deliver,
    ]);
    const apply = (spec: Json) =>
      kube.kubectl(['apply', '--as', tenant, '-f', '-'], {
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
    const { body } = await kube.request('GET', path('stored'));
    const answer = await kube.request('PUT', path('stored'), { body, user: 'nobody' });
    expectAllowed(answer);
  });
});

it('`keywright policies` prints what the API server takes: the policy, its binding, the roles and the ServiceAccount for Vault', async () => {
  const main = join(import.meta.dirname, '..', '..', 'operator', 'src', 'main.ts');
  const { stdout: input } = await promisify(execFile)(process.execPath, [main, 'policies'], { env: {} });
  const { stdout } = await kube.kubectl(['apply', '--server-side', '--dry-run=server', '-o', 'name', '-f', '-'], { input });
  expect(stdout.trim().split('\n')).toEqual([
    'validatingadmissionpolicy.admissionregistration.k8s.io/keywright',
    'validatingadmissionpolicybinding.admissionregistration.k8s.io/keywright',
    ...[...userRoles, ...Object.values(operatorRoles), serviceBindingRole].map(
      ({ name }) => `clusterrole.rbac.authorization.k8s.io/${name}`,
    ),
    'role.rbac.authorization.k8s.io/keywright-operator',
    'serviceaccount/keywright-vault',
  ]);
});

it('the API server finds no fault with the types of the policy', async () => {
  const url = `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/${admissionPolicyName}`;
  const status = await until(
    async () => {
      const { metadata, status: seen } = (await kube.request('GET', url)).body as {
        metadata: { generation: number };
        status?: { observedGeneration?: number; typeChecking?: object };
      };
      return seen?.observedGeneration === metadata.generation ? seen : undefined;
    },
    { deadlineMs: 30_000, what: 'the type check' },
  );
  expect(status.typeChecking).toEqual({});
});
