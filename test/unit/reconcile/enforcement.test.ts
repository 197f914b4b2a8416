import { existsSync, readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { apiKinds, kindTable, type ApiKind } from '../../../operator/src/api/kinds.ts';
import { toStructural } from '../../../operator/src/api/structural.ts';
import { enforcedOf, unenforced } from '../../../operator/src/reconcile/enforcement.ts';
import { effects } from '../../builders/enforcement.ts';
import { leavesOf } from '../../builders/schemaleaves.ts';
import { World } from '../../builders/world.ts';
import { Realm } from '../../builders/realm.ts';
import { fieldRows, samples } from '../../builders/writablefields.ts';

const source = new URL('../../../operator/src/', import.meta.url);

/** Fields of a kind in whose effect somebody must have thought. */
const fieldsOf = (kind: ApiKind) => leavesOf(toStructural(kindTable[kind].spec), 'spec');
const isListed = (kind: ApiKind, field: string) =>
  unenforced[kind].some((one) => field === one.field || field.startsWith(`${one.field}.`));

describe.each(apiKinds)('every member of %s', (kind) => {
  const effective = Object.entries(effects[kind]).flatMap(([file, fields]) =>
    fields.map((field) => ({ file, field: `spec.${field}` })),
  );
  const shown = fieldRows
    .filter((row) => row.kind === kind && row.decides.every((one) => one === 'shown'))
    .map(({ field }) => field);

  it('has its effect somewhere or is listed as not enforced', () => {
    const known = new Set([...effective.map(({ field }) => field), ...shown]);
    expect(fieldsOf(kind).filter((field) => !known.has(field) && !isListed(kind, field))).toEqual([]);
  });

  it('is said not to be enforced only where nothing enforces it', () => {
    expect(effective.filter(({ field }) => isListed(kind, field))).toEqual([]);
    for (const { field } of unenforced[kind])
      expect(fieldsOf(kind).filter((one) => one === field || one.startsWith(`${field}.`))).not.toEqual([]);
  });

  it('is read where it is said to be enforced', () => {
    const fields = fieldsOf(kind);
    for (const { file, field } of effective) {
      expect(fields).toContain(field);
      const path = new URL(file, source);
      expect(existsSync(path), file).toBe(true);
      const name =
        field
          .replaceAll(/(\[\]|\{\})/g, '')
          .split('.')
          .at(-1) ?? '';
      expect(readFileSync(path, 'utf8'), `${file} reads ${field}`).toMatch(new RegExp(`\\b${name}\\b`));
    }
  });
});

describe('the condition Enforced', () => {
  const catalog = samples.ApiCatalog;
  const plain = {
    ...catalog,
    endpoints: [],
    requests: { hosts: [] },
    credentials: { headers: [{ name: 'Authorization', scheme: 'Bearer' }, { name: 'X-API-Key' }], foreignBearer: 'Reject' },
  };

  it.each([
    ['ApiKey', 'spec.rateLimit', { ...samples.ApiKey }],
    ['ApiCatalog', 'spec.endpoints[].cost', { ...plain, endpoints: [{ cost: 1 }, { cost: 5 }] }],
    ['ApiCatalog', 'spec.requests.application.header', { ...plain, requests: { application: { header: 'X-App' } } }],
    ['ApiCatalog', 'spec.requests.customer.header', { ...plain, requests: { customer: { header: 'X-Customer' } } }],
    ['ApiCatalog', 'spec.requests.targetChannels.jsonPath', { ...plain, requests: { targetChannels: { jsonPath: '$.a' } } }],
    [
      'ApiCatalog',
      'spec.credentials.headers[]',
      { ...plain, credentials: { ...plain.credentials, headers: [{ name: 'X-Key' }] } },
    ],
    [
      'ApiCatalog',
      'spec.credentials.foreignBearer',
      { ...plain, credentials: { ...plain.credentials, foreignBearer: 'Ignore' } },
    ],
  ] as const)('of %s names %s where it is set', (kind, field, spec) => {
    const { Enforced } = enforcedOf(kind, spec);
    expect(Enforced).toMatchObject({ status: 'False', reason: 'NotEnforced' });
    expect(Enforced?.message).toContain(`This version does not enforce ${field}: `);
    expect(Enforced?.message.match(/spec\./g)).toHaveLength(1);
  });

  it('names every listed member in the case above, and all that are set at once', () => {
    expect(unenforced.ApiCatalog.map(({ field }) => field)).toHaveLength(6);
    const requests = { customer: { header: 'X-Customer' }, targetChannels: { jsonPath: '$.a' } };
    const { Enforced } = enforcedOf('ApiCatalog', { ...plain, requests });
    expect(Enforced?.message).toContain('spec.requests.customer.header: ');
    expect(Enforced?.message).toContain('; spec.requests.targetChannels.jsonPath: ');
  });

  it('is absent where nothing of the kind is set', () => {
    expect(enforcedOf('ApiCatalog', plain)).toEqual({});
    expect(enforcedOf('KeyOwner', samples.KeyOwner)).toEqual({});
  });

  it('stands in the status of an ApiKey and of a catalog, beside Ready, and goes with the member', async () => {
    const realm = await Realm.over(await World.open());
    const enforced = () => realm.world.status().conditions.find(({ type }) => type === 'Enforced');
    realm.world.createKey({ rateLimit: { requests: 60, per: '60s' } });
    await realm.quiet();
    expect(realm.world.condition('Ready')).toBe('True Available');
    expect(enforced()?.message).toContain('spec.rateLimit: nobody counts requests, and the key has no limit');
    realm.world.updateKey({ rateLimit: undefined });
    await realm.quiet();
    expect(enforced()).toBeUndefined();
    await realm.edit('ApiCatalog', 'default', {
      requests: { ...realm.catalog().requests, customer: { header: 'X-C', pattern: '^a$' } },
    });
    const conditions = realm.world.resources.peek('ApiCatalog', { name: 'default' })?.status?.conditions;
    expect(realm.ready('ApiCatalog', 'default')).toBe('True Available');
    expect(conditions?.find(({ type }) => type === 'Enforced')).toMatchObject({ status: 'False', reason: 'NotEnforced' });
    await realm.engine.drain(1000);
  });
});
