import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiKey, KeyDestination } from '../../operator/src/api/kinds.ts';
import { apiVersion } from '../../operator/src/api/meta.ts';
import { segmentPattern } from '../../operator/src/destinations/location.ts';
import { secretDestinationUid } from '../../operator/src/domain/key.ts';
import { resolveTargets } from '../../operator/src/reconcile/targets.ts';
import type { KubeAnswer } from '../harness/kube.ts';
import { ownControlPlane } from '../harness/parts.ts';
import { applyPermissions, bind } from '../harness/permissions.ts';

const plane = await ownControlPlane({ controllers: false, users: [{ name: 'mallory' }] });
const { kube } = plane;
const root = `/apis/${apiVersion}`;

/** Names chosen to be mistaken for one another, and for parts of a template. */
const victim = 'shop';
const attackers = ['shop-2', 'sho', 'keywright', 'secret', 'data', 'x'];
/** Mallory's home in most tests. */
const home = 'shop-2';

const templates = [
  'keywright/{namespace}/{name}',
  '{namespace}/{name}',
  '{namespace}/keys/{name}/value',
  'a/b/{namespace}/c/{name}/d/e',
];
const destinations: KeyDestination[] = [];
const find = (name: string) => destinations.find(({ metadata }) => metadata.name === name);

/** What mallory writes wherever a name or a path goes. Some are fine names; none may lead out. */
const texts: readonly string[] = [
  ...[
    '..',
    '../shop',
    '../../shop/billing',
    '../../../etc/passwd',
    './billing',
    'a/../../shop',
    'x/..',
    'x/.',
    '.',
    '...',
    '. .',
  ],
  ...['%2e%2e', '%2e%2e%2fshop', '..%2fshop', '%252e%252e', 'a%00', 'a%2fb', '..;/shop', 'a\\..\\shop', '\\\\shop\\billing'],
  ...[
    '/',
    '//',
    '/shop',
    'shop/',
    'a//b',
    '/shop/billing',
    'shop/billing',
    'shop',
    'billing',
    'keywright/shop/billing',
    'data/shop',
  ],
  ...[
    '{namespace}',
    '{name}',
    '{{namespace}}',
    '{namespace}/{name}',
    '${namespace}',
    '{other}',
    '$(namespace)',
    '{{ .Namespace }}',
  ],
  ...[
    'a?version=1',
    'a#b',
    'a;b',
    'a&b',
    'a=b',
    'a,b',
    'a|b',
    'a*',
    '*',
    '+',
    '~',
    '~root',
    '@',
    'a:b',
    '[a]',
    '"a"',
    "'a'",
    '`a`',
    '<a>',
  ],
  ...['A', 'Shop', 'ä', 'ｓｈｏｐ', '．．', '‥', '\u2024\u2024', 'shop\u200b', '\u202epohs', 'sh\u00adop', 'аpi', 'ſhop', 'K'],
  ...[
    'a\u0000b',
    'a\nb',
    'a\r\nb',
    'a\tb',
    'a b',
    ' a',
    'a ',
    '\ufeffa',
    '',
    ' ',
    '-a',
    'a-',
    '_a',
    'a_',
    '.a',
    'a.',
    'a..b',
    'a.b',
    'a_b',
  ],
  ...[
    'a'.repeat(63),
    'a'.repeat(64),
    'a'.repeat(254),
    'a/b/c/d/e',
    'a/b/c/d/e/f',
    `${'a/'.repeat(400)}a`,
    '0',
    '00',
    '-1',
    'null',
    'true',
  ],
  ...['con', 'nul', '__proto__', 'constructor', 'tostring', 'file:a', 'https://x', 'arn:aws:secretsmanager:eu-west-1:1:secret:a'],
];

beforeAll(async () => {
  await applyPermissions(kube);
  for (const name of [victim, ...attackers]) {
    await kube.request('POST', '/api/v1/namespaces', { body: { metadata: { name } } });
  }
  const ours = { apiGroups: ['keywright.dev'] };
  // Everything that a tenant can have: all types, and in their namespace every right but that to the owner of others.
  for (const name of attackers) {
    await bind(kube, name, { kind: 'User', name: 'mallory' }, [
      { ...ours, resources: ['apikeys'], verbs: ['get', 'list', 'create', 'update', 'patch', 'delete', 'revoke', 'rotate'] },
      { ...ours, resources: ['apicatalogs/accesstypes'], verbs: ['grant'] },
      { ...ours, resources: ['keyowners'], resourceNames: ['mallory-team'], verbs: ['own'] },
      { ...ours, resources: ['keydestinations', 'keydestinations/secrets'], verbs: ['deliver'] },
    ]);
  }
  for (const [at, template] of templates.entries()) {
    destinations.push(await makeDestination(`vault-${at}`, { vault: { ...vault, path: template } }));
    destinations.push(await makeDestination(`aws-${at}`, { aws: { region: 'eu-west-1', name: template, auth: { irsa: {} } } }));
  }
});

afterAll(async () => {
  await kube.close();
  await plane.stop();
});

const vault = { address: 'https://vault:8200', mount: 'secret', auth: { kubernetes: { role: 'keywright' } } };

async function makeDestination(name: string, spec: object): Promise<KeyDestination> {
  const body = { apiVersion, kind: 'KeyDestination', metadata: { name }, spec: { allowedNamespaces: { all: true }, ...spec } };
  const answer = await kube.request('POST', `${root}/keydestinations`, { body });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body as KeyDestination;
}

interface Written {
  readonly name?: string;
  readonly owner?: string;
  readonly deliverTo?: readonly object[];
}

/** Mallory writes an ApiKey; without strict validation, so that unknown fields are dropped and not refused. */
async function write(namespace: string, { name = 'mine', owner = 'mallory-team', deliverTo }: Written): Promise<KubeAnswer> {
  const spec = {
    displayName: 'Mine',
    catalog: 'default',
    owner,
    accessType: 'Integrations',
    deliverTo: deliverTo ?? [{ name: 'local', secret: { name: 'mine' } }],
  };
  const body = { apiVersion, kind: 'ApiKey', metadata: { name }, spec };
  return await kube.request('POST', `${root}/namespaces/${namespace}/apikeys?dryRun=All&fieldValidation=Ignore`, {
    body,
    user: 'mallory',
  });
}

/** Where the values of an accepted key would lie, as `<destination> <path>`. */
function placesOf(answer: KubeAnswer): readonly string[] {
  const resource = answer.body as ApiKey;
  const { namespace = '' } = resource.metadata;
  const targets = resolveTargets(resource, { name: namespace, labels: {} }, { findDestination: find });
  return targets.flatMap(({ location }) => (location === undefined ? [] : [`${location.destinationUid} ${location.path}`]));
}

/** Whether a place belongs to a namespace, judged by the template alone and segment by segment. */
function belongsTo(place: string, namespace: string): boolean {
  const [uid = '', path = ''] = place.split(' ');
  const destination = destinations.find(({ metadata }) => metadata.uid === uid);
  const template = destination?.spec.vault?.path ?? destination?.spec.aws?.name ?? '{namespace}/{name}';
  const mount = destination?.spec.vault === undefined ? [] : [destination.spec.vault.mount];
  const at = [...mount, ...template.split('/')].indexOf('{namespace}');
  const segments = path.split('/');
  const isPlain = segments.every(
    (segment) => segmentPattern.test(segment) || (uid === secretDestinationUid && segment.length <= 253),
  );
  // What a client library or a proxy would make of it.
  const asUrl = new URL(`https://vault/v1/${path}`).pathname;
  return isPlain && asUrl === `/v1/${path}` && segments[at] === namespace && segments.length > at + 1;
}

const refusedOrContained = (answer: KubeAnswer, namespace: string): string => {
  if (answer.status >= 400) return 'refused';
  const places = placesOf(answer);
  if (places.length === 0) return 'blocked';
  return places.every((place) => belongsTo(place, namespace)) ? 'contained' : `leads out: ${places.join()}`;
};
const harmless = expect.stringMatching(/^(refused|blocked|contained)$/) as unknown;

describe('whatever a tenant writes, it stays in its own namespace:', () => {
  it.each(texts)('%j as a path', async (text) => {
    for (const { metadata } of destinations) {
      const answer = await write(home, { deliverTo: [{ name: 'a', destination: metadata.name, path: text }] });
      expect([metadata.name, refusedOrContained(answer, home)]).toEqual([metadata.name, harmless]);
    }
  });

  it.each(texts)('%j as the name of the ApiKey, of a Secret, of an entry, and of a destination', async (text) => {
    const deliverTo = destinations.map(({ metadata }) => ({ name: metadata.name, destination: metadata.name }));
    const attempts: readonly Written[] = [
      { name: text, deliverTo: deliverTo.slice(0, 8) },
      { deliverTo: [{ name: 'a', secret: { name: text } }] },
      { deliverTo: [{ name: text, secret: { name: 'mine' } }] },
      { deliverTo: [{ name: 'a', destination: text }] },
    ];
    for (const attempt of attempts) expect(refusedOrContained(await write(home, attempt), home)).toEqual(harmless);
  });

  it.each([
    ['a namespace beside the name of a Secret', { name: 'a', secret: { name: 'mine', namespace: victim } }],
    ['a namespace beside a destination', { name: 'a', destination: 'vault-0', namespace: victim }],
    [
      'a mount, a template and an address',
      { name: 'a', destination: 'vault-0', mount: 'other', template: 'x', address: 'http://evil' },
    ],
    [
      'a vault in place of a destination',
      { name: 'a', secret: { name: 'mine' }, vault: { address: 'http://evil', path: victim } },
    ],
    ['a location', { name: 'a', secret: { name: 'mine' }, location: 'shop/billing' }],
  ])('%s', async (_what, entry) => {
    expect(refusedOrContained(await write(home, { deliverTo: [entry] }), home)).toBe('contained');
  });

  it.each([
    ['lists where a text belongs', { name: 'a', destination: ['vault-0'], path: ['..', 'shop'] }],
    ['an object where a text belongs', { name: 'a', destination: 'vault-0', path: { toString: 'shop' } }],
    ['a number where a text belongs', { name: 'a', destination: 'vault-0', path: 1 }],
    ['two places in one entry', { name: 'a', destination: 'vault-0', secret: { name: 'shop' } }],
    ['no place at all', { name: 'a' }],
  ])('%s', async (_what, entry) => {
    expect(refusedOrContained(await write(home, { deliverTo: [entry] }), home)).toBe('refused');
  });

  it('namespaces that resemble one another, or a part of a template', async () => {
    const deliverTo = (path: string) =>
      destinations.map(({ metadata }) => ({ name: metadata.name, destination: metadata.name, path }));
    const paths = ['billing', 'shop/billing', 'shop', 'keys/billing', 'c/billing', 'a/b/shop/c/billing'];
    const owned = new Map<string, string>();
    for (const namespace of [victim, ...attackers]) {
      for (const path of paths) {
        const spec = { displayName: 'x', catalog: 'x', owner: 'x', accessType: 'X', deliverTo: deliverTo(path) };
        const resource = { apiVersion, kind: 'ApiKey', metadata: { name: 'billing', namespace }, spec } as unknown as ApiKey;
        for (const place of placesOf({ status: 201, body: resource })) {
          expect([place, belongsTo(place, namespace)]).toEqual([place, true]);
          expect([place, owned.get(place) ?? namespace]).toEqual([place, namespace]);
          owned.set(place, namespace);
        }
      }
    }
    expect(owned.size).toBe((attackers.length + 1) * paths.length * destinations.length);
  });
});

describe('a tenant', () => {
  it('reaches its own places, so that the table above means something', async () => {
    const deliverTo = [
      { name: 'a', destination: 'vault-0', path: 'shop/billing' },
      { name: 'b', destination: 'aws-1' },
      { name: 'c', secret: { name: 'shop.billing' } },
    ];
    const answer = await write(home, { deliverTo });
    expect(placesOf(answer).map((place) => place.split(' ')[1])).toEqual([
      'secret/keywright/shop-2/shop/billing',
      'shop-2/mine',
      'shop-2/shop.billing',
    ]);
  });

  it.each([
    ...texts.filter((text) => text !== ''),
    'shop-team',
    'mallory-team ',
    'Mallory-team',
    'mallory-team.',
    'mallory-team,shop-team',
  ])('[S1-6] names no owner but its own: %j', async (owner) => {
    const answer = await write(home, { owner });
    expect([403, 422]).toContain(answer.status);
  });

  it('writes into no other namespace, and no kind of the cluster', async () => {
    const body = (namespace: string) => ({ apiVersion, kind: 'ApiKey', metadata: { name: 'mine', namespace }, spec: {} });
    const tries = [
      ['POST', `${root}/namespaces/${victim}/apikeys`, body(victim)],
      ['POST', `${root}/namespaces/${home}/apikeys`, body(victim)],
      ['POST', `${root}/namespaces/${home}%2f..%2f${victim}/apikeys`, body(victim)],
      ['POST', `${root}/apikeys`, body(victim)],
      ['GET', `${root}/namespaces/${victim}/apikeys`, undefined],
      ['GET', `${root}/apikeys`, undefined],
      ['GET', `/api/v1/namespaces/${victim}/secrets`, undefined],
      ['POST', `${root}/keydestinations`, { apiVersion, kind: 'KeyDestination', metadata: { name: 'mine' } }],
      ['POST', `${root}/keyowners`, { apiVersion, kind: 'KeyOwner', metadata: { name: 'mine' } }],
      ['PATCH', `${root}/namespaces/${home}/apikeys/any/status`, { status: {} }],
      ['PATCH', `/api/v1/namespaces/${home}`, { metadata: { labels: { 'keywright.dev/management': 'allowed' } } }],
    ] as const;
    for (const [method, path, sent] of tries) {
      const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
      const { status } = await kube.request(method, path, { body: sent, contentType, user: 'mallory' });
      expect([path, status]).toEqual([path, expect.toSatisfy((code: number) => code >= 400 && code < 500)]);
    }
  });
});

describe('the template of a KeyDestination', () => {
  it.each([
    '{name}/{namespace}',
    '{name}',
    '{namespace}',
    'keys',
    'x-{namespace}/{name}',
    '{namespace}-x/{name}',
    '{namespace}{name}',
    '{namespace}-{name}',
    '{namespace}/x-{name}',
    '{namespace}/{name}/{name}',
    '{namespace}/{namespace}/{name}',
    '{namespace}/../{name}',
    '../{namespace}/{name}',
    '{namespace}/./{name}',
    '{namespace}//{name}',
    '/{namespace}/{name}',
    '{namespace}/{name}/',
    '{namespace}/%2e%2e/{name}',
    '{Namespace}/{name}',
    '{ namespace }/{name}',
    '{namespace}/{owner}/{name}',
    '{namespace}\n/{name}',
    '',
  ])('by which one tenant could reach another is refused: %j', async (template) => {
    for (const spec of [
      { vault: { ...vault, path: template } },
      { aws: { region: 'eu-west-1', name: template, auth: { irsa: {} } } },
    ]) {
      const body = { apiVersion, kind: 'KeyDestination', metadata: { name: 'loose' }, spec };
      expect(await kube.request('POST', `${root}/keydestinations?dryRun=All`, { body })).toMatchObject({ status: 422 });
    }
  });
});
