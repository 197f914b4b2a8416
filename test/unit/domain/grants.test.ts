import { describe, expect, test } from 'vitest';

import type { Selections } from '../../../operator/src/domain/catalog.ts';
import { effectiveOf, rulesFor } from '../../../operator/src/domain/grants.ts';
import type { Effective, EffectiveInput } from '../../../operator/src/domain/grants.ts';
import { Rights } from '../../../operator/src/domain/grants.ts';
import { indexCatalog } from '../../../operator/src/domain/catalogindex.ts';
import { catalogModel, grantRule, groupRow, ownerRow } from '../../builders/clusterrows.ts';
import { Chance, drawWorld } from '../../builders/rightsworld.ts';

const model = catalogModel();

function effective(accessType: string, selections: Selections = {}, changes: Partial<EffectiveInput> = {}): Effective {
  return effectiveOf({ index: indexCatalog(model), layers: [{ accessType, selections }], rules: [grantRule()], ...changes });
}

const everything = { applications: 'All', channels: 'All', attributes: 'All', limitedBy: [] };

describe('what a key may do, spelled out', () => {
  test('is everything for Admin, and all but the admin endpoints for Transactional [S0-11] [S0-16]', () => {
    const scopes = ['campaigns:write', 'subscribers:read'];
    expect(effective('Admin')).toEqual({ ...everything, endpoints: 5, scopes });
    expect(effective('Transactional')).toEqual({ ...everything, endpoints: 4, scopes });
  });

  test('is the allow-list for Listed [S0-12]', () => {
    expect(effective('Integrations')).toEqual({ ...everything, endpoints: 2, scopes: ['subscribers:read'] });
  });

  test('is nothing for Selected without a selection, and no limit is to blame [S2-13] [S4-5]', () => {
    expect(effective('Management')).toEqual({
      endpoints: 0,
      scopes: [],
      applications: [],
      channels: [],
      attributes: [],
      limitedBy: [],
    });
  });

  test('is the selection where type and owner have it all', () => {
    const selections = { endpoints: ['start-campaign'], channels: ['sms', 'email'], attributes: ['phone'] };
    expect(effective('Management', selections)).toEqual({
      endpoints: 1,
      scopes: [],
      applications: 'All',
      channels: ['email', 'sms'],
      attributes: ['phone'],
      limitedBy: [],
    });
  });

  test('is whatever the owner has now for Owner, which is no limit of its endpoints [S1-2]', () => {
    const rules = [grantRule({ endpoints: [], scopes: ['campaigns:write'] })];
    expect(effective('Personal', {}, { rules })).toEqual({ ...everything, endpoints: 1, scopes: ['campaigns:write'] });
    expect(effective('Personal', { endpoints: ['list-subscribers'] }, { rules })).toMatchObject({
      endpoints: 0,
      limitedBy: ['owner'],
    });
  });

  test('shrinks with the owner and says so', () => {
    const rules = [grantRule({ admin: false, channels: ['sms', 'gone'], attributes: [] })];
    expect(effective('Admin', {}, { rules })).toEqual({
      endpoints: 4,
      scopes: ['campaigns:write', 'subscribers:read'],
      applications: 'All',
      channels: ['sms'],
      attributes: [],
      limitedBy: ['owner'],
    });
  });

  test('is nothing without the access type, without rules, and without an owner', () => {
    const nothing = { endpoints: 0, scopes: [], applications: [], channels: [], attributes: [], limitedBy: ['owner'] };
    expect(effective('Admin', {}, { rules: [grantRule({ accessTypes: ['Personal'] })] })).toEqual(nothing);
    expect(effective('Admin', {}, { rules: [] })).toEqual(nothing);
    expect(effective('Unknown')).toEqual({ ...nothing, limitedBy: ['catalog'] });
  });

  test('says when the type or the catalog takes something of the selection away', () => {
    expect(effective('Integrations', { endpoints: ['list-subscribers', 'start-campaign'] })).toMatchObject({
      endpoints: 1,
      limitedBy: ['accessType'],
    });
    expect(effective('Admin', { channels: ['sms', 'gone'] })).toMatchObject({ channels: ['sms'], limitedBy: ['catalog'] });
    expect(effective('Management', { scopes: ['gone'] })).toMatchObject({ endpoints: 0, limitedBy: ['catalog'] });
  });

  test('counts an endpoint that needs an application only with one', () => {
    const rules = [grantRule({ applications: [] })];
    expect(effective('Integrations', {}, { rules })).toMatchObject({ endpoints: 1, limitedBy: ['owner'] });
    expect(effective('Admin', { applications: ['shop-eu'] })).toMatchObject({
      endpoints: 1,
      applications: ['shop-eu'],
      limitedBy: [],
    });
  });

  test('counts exactly the endpoints that the decision reaches, in generated worlds', () => {
    for (let seed = 1; seed <= 500; seed += 1) {
      const { record } = drawWorld(new Chance(seed));
      if (record.catalog === undefined) continue;
      const { accessType, selections } = record.key.settings;
      const rules = rulesFor('default', record.owner, record.groups);
      const index = indexCatalog(record.catalog.model);
      const rights = new Rights({ index, accessType, selections, rules });
      const reached = index.model.endpoints.filter((_, number) => {
        const reach = rights.holdsType ? rights.reach(number) : undefined;
        return [undefined, ...index.applications].some((application) => reach?.under(application) !== undefined);
      });
      expect(effectiveOf({ index, layers: [{ accessType, selections }], rules }).endpoints, String(seed)).toBe(reached.length);
    }
  });
});

describe('the rules that count', () => {
  test('are those of the owner and its groups, for one catalog', () => {
    const other = grantRule({ catalog: 'other' });
    const owner = ownerRow({ rules: [grantRule({ channels: ['sms'] }), other] });
    const group = groupRow();
    expect(rulesFor('default', owner, [group])).toEqual([grantRule({ channels: ['sms'] }), ...group.rules]);
    expect(rulesFor('other', owner, [group])).toEqual([other]);
    expect(rulesFor('default', undefined, [group])).toEqual([]);
  });
});
