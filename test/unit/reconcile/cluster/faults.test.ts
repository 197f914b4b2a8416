import { describe, expect, it } from 'vitest';
import { catalogFaults, formatFault, hostConflict, unknownNames } from '../../../../operator/src/reconcile/cluster/faults.ts';
import { digestOf } from '../../../../operator/src/store/digest.ts';
import { toCatalogModel, toCatalogSpec } from '../../../../operator/src/reconcile/cluster/model.ts';
import { patternFault } from '../../../../operator/src/reconcile/cluster/pattern.ts';
import { catalogSpec } from '../../../builders/world.ts';

const list = { name: 'list', method: 'GET', path: '/v1/campaigns' };
const get = { name: 'get', method: 'GET', path: '/v1/apps/{app}/subscribers/{id}', perApplication: true };

function faultsOf(changes: object): readonly string[] {
  return catalogFaults(catalogSpec(changes)).map(formatFault);
}

describe('a catalog as a whole', () => {
  it('is valid when every name leads somewhere [S2-18]', () => {
    expect(
      faultsOf({
        endpoints: [list, get],
        scopes: [{ name: 'read', endpoints: ['list', 'get'] }],
        accessTypes: [{ name: 'Integrations', endpoints: 'Listed', scopes: ['read'] }],
        requests: { hosts: ['api.example.com'], application: { pathParam: 'app' } },
      }),
    ).toEqual([]);
  });

  it.each<[string, object, string]>([
    [
      'an unknown endpoint in a scope',
      { endpoints: [list], scopes: [{ name: 'read', endpoints: ['list', 'missing'] }] },
      'spec.scopes[0].endpoints[1]: the catalog has no endpoint missing',
    ],
    [
      'an unknown scope in a type',
      { accessTypes: [{ name: 'Integrations', endpoints: 'Listed', scopes: ['read'] }] },
      'spec.accessTypes[0].scopes[0]: the catalog has no scope read',
    ],
    [
      'two endpoints of one name',
      { endpoints: [list, { ...list, path: '/v1/other' }] },
      'spec.endpoints[1].name: list is taken by spec.endpoints[0]',
    ],
    [
      'two scopes of one name',
      {
        endpoints: [list],
        scopes: [
          { name: 'read', endpoints: ['list'] },
          { name: 'read', endpoints: ['list'] },
        ],
      },
      'spec.scopes[1].name: read is taken by spec.scopes[0]',
    ],
    [
      'templates that are equal but for the names of parameters',
      {
        endpoints: [
          { name: 'a', method: 'GET', path: '/v1/{x}/b' },
          { name: 'b', method: 'GET', path: '/v1/{y}/b' },
        ],
      },
      'spec.endpoints[1].path: GET /v1/{y}/b means the same requests as GET /v1/{x}/b of spec.endpoints[0]',
    ],
    [
      'a parameter twice',
      { endpoints: [{ name: 'a', method: 'GET', path: '/{x}/{x}' }] },
      'spec.endpoints[0].path: /{x}/{x} has {x} twice',
    ],
    [
      'an endpoint that names an application and does not say so',
      { endpoints: [{ ...get, perApplication: false }], requests: { application: { pathParam: 'app' } } },
      'spec.endpoints[0].perApplication: is false, but the path has the parameter {app} of spec.requests.application: /v1/apps/{app}/subscribers/{id}',
    ],
    [
      'an endpoint that says per application and names none',
      { endpoints: [{ ...list, perApplication: true }], requests: { application: { pathParam: 'app' } } },
      'spec.endpoints[0].perApplication: is true, but the path has no parameter {app} of spec.requests.application: /v1/campaigns',
    ],
    [
      'a customer pattern that is none',
      { requests: { customer: { header: 'X-Customer', pattern: '^[a$' } } },
      'spec.requests.customer.pattern: ^[a$ is no regular expression',
    ],
  ])('is refused with the field and its value: %s', (_name, changes, fault) => {
    expect(faultsOf(changes)).toEqual([fault]);
  });

  it('may have one template under two methods, and parameters beside literals', () => {
    const endpoints = [list, { ...list, name: 'create', method: 'POST' }, { ...list, name: 'one', path: '/v1/{id}' }];
    expect(faultsOf({ endpoints })).toEqual([]);
  });
});

describe('the pattern of a customer id', () => {
  it.each(['^(0|[1-9][0-9]*|[a-z][a-z0-9_-]*)$', '^cus_[A-Za-z0-9]{14}$', '^[0-9]+$', '^[a-z|^$]+\\$$'])(
    'may be %s',
    (pattern) => {
      expect(patternFault(pattern)).toBeUndefined();
    },
  );

  it.each([
    ['^a|b$', 'put its alternatives in a group'],
    ['^(a+)+$', 'must not repeat a group'],
    ['^a*a*a*a*$', 'at most 3'],
    ['^(a)\\1$', 'must not refer back'],
    ['^(?=a)a$', 'must have no groups but'],
    ['^(?<n>a)$', 'must have no groups but'],
    ['^a\\$', 'end with $'],
    ['^a$b$', 'at its ends only'],
    ['^(a|b|c|d|e|f|g|h|i|j)$', 'at most 9 alternatives'],
    ['^a{2,1}$', 'is no regular expression'],
  ])('must not be %s', (pattern, why) => {
    expect(patternFault(pattern)).toContain(why);
  });
});

describe('two catalogs that claim one host', () => {
  const claim = (name: string, created: string, hosts: readonly string[]) => ({
    metadata: { name, uid: `${name}-uid`, resourceVersion: '1', creationTimestamp: created },
    hosts,
  });
  const [elder, younger] = [
    claim('elder', '2026-01-01T00:00:00Z', ['a.example', 'b.example']),
    claim('younger', '2026-01-02T00:00:00Z', ['c.example', 'b.example']),
  ];

  const nobody = new Map<string, { readonly uid: string; readonly name: string }>();
  const held = (host: string, by: { readonly metadata: { readonly uid: string; readonly name: string } }) =>
    new Map([[host, by.metadata]]);

  it('leave a free one to the elder', () => {
    expect(hostConflict(younger, [elder], nobody)).toEqual({ host: 'b.example', at: 1, by: 'elder', why: 'elder' });
    expect(hostConflict(elder, [younger], nobody)).toBeUndefined();
  });

  it('leave one in force to the catalog that has it, whoever is older', () => {
    const holders = held('b.example', younger);
    expect(hostConflict(elder, [younger], holders)).toEqual({ host: 'b.example', at: 1, by: 'younger', why: 'inForce' });
    expect(hostConflict(younger, [elder], holders)).toBeUndefined();
  });

  it('are not kept from a free one by an elder that cannot have all that it claims', () => {
    const holders = held('a.example', claim('third', '2026-01-03T00:00:00Z', ['a.example']));
    expect(hostConflict(elder, [younger], holders)).toMatchObject({ host: 'a.example', by: 'third', why: 'inForce' });
    expect(hostConflict(younger, [elder], holders)).toBeUndefined();
  });

  it('are told apart also when they came in one second', () => {
    const twin = claim('twin', '2026-01-01T00:00:00Z', ['a.example']);
    const conflicts = [hostConflict(twin, [elder], nobody), hostConflict(elder, [twin], nobody)];
    expect(conflicts.filter((one) => one !== undefined)).toHaveLength(1);
  });
});

describe('names in rules', () => {
  const model = toCatalogModel(catalogSpec({ endpoints: [list], channels: [{ slug: 'email' }] }));
  const nothing = {
    catalog: 'default',
    admin: false,
    accessTypes: [],
    scopes: [],
    endpoints: [],
    applications: [],
    channels: [],
    attributes: [],
  };

  it('are named when they stand for nothing, and compared byte for byte', () => {
    const rules = [
      { ...nothing, accessTypes: ['Integrations', 'integrations'], endpoints: ['*', 'list', 'List'] },
      { ...nothing, channels: ['email', 'Émail'] },
      { ...nothing, catalog: 'other', scopes: ['whatever'] },
    ];
    expect(unknownNames(rules, (name) => (name === 'default' ? model : undefined))).toEqual([
      'spec.grants[0].accessTypes: no access type integrations in catalog default',
      'spec.grants[0].endpoints: no endpoint List in catalog default',
      'spec.grants[1].channels: no channel Émail in catalog default',
      'spec.grants[2].catalog: no ApiCatalog other is in force',
    ]);
  });
});

describe('a catalog in the store', () => {
  const full = catalogSpec({
    accessTypes: [
      { name: 'Integrations', endpoints: 'Listed', scopes: ['read'] },
      { name: 'Management', endpoints: 'Selected', namespaces: { names: ['admin'] } },
    ],
    endpoints: [list, get],
    scopes: [{ name: 'read', endpoints: ['list'] }],
    applications: [{ slug: 'shop' }],
    channels: [{ slug: 'email' }],
    attributes: ['firstName'],
    requests: { hosts: ['api.example.com'], application: { pathParam: 'app' }, customer: { header: 'X-Customer' } },
    policy: { maxExpiry: '100h', defaultExpiry: '50h' },
  });

  it('gives the specification back that it was made from, so that the last valid one outlives a restart', () => {
    expect(toCatalogSpec(toCatalogModel(full))).toEqual(full);
    expect(toCatalogSpec(structuredClone(toCatalogModel(full)))).toEqual(full);
    // As the database gives it back: a member that is undefined would make each pass write it again.
    expect(JSON.parse(JSON.stringify(toCatalogModel(full)))).toStrictEqual(toCatalogModel(full));
  });

  it('has one digest however its members are ordered, and another for another policy', () => {
    const model = toCatalogModel(full);
    const turned = Object.fromEntries(Object.entries(model).reverse()) as unknown as typeof model;
    expect(digestOf(turned)).toBe(digestOf(model));
    expect(digestOf(toCatalogModel({ ...full, policy: { ...full.policy, requireHttps: false } }))).not.toBe(digestOf(model));
  });
});
