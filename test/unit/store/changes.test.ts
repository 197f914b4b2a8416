import { describe, expect, test } from 'vitest';

import { catalogChange, groupChange, ownerChange, settingsChange } from '../../../operator/src/store/changes.ts';
import { catalogModel, catalogRow, grantRule, groupRow, ownerRow } from '../../builders/clusterrows.ts';
import { keySettings } from '../../builders/mintrequest.ts';

describe('the audit of a change of rights [S0-18]', () => {
  test('says everything that a new owner may, and everything that a deleted one lost', () => {
    const owner = ownerRow({ name: 'ana', groups: ['analysts'], rules: [grantRule({ admin: false, scopes: ['a'] })] });
    const rule =
      '{accessTypes: [*], admin: false, applications: [*], attributes: [*], catalog: default, channels: [*], endpoints: [*], scopes: [a]}';
    expect(ownerChange(undefined, owner)).toEqual({
      kind: 'KeyOwner',
      name: 'ana',
      disabled: 'absent → false',
      groups: 'absent → [analysts]',
      rules: `absent → [${rule}]`,
    });
    expect(ownerChange(owner, undefined)).toMatchObject({ groups: '[analysts] → absent', rules: `[${rule}] → absent` });
  });

  test('names the member of the rule, and nothing that stayed', () => {
    const group = groupRow({ rules: [grantRule(), grantRule({ admin: false })] });
    const edited = { ...group, rules: [grantRule(), grantRule({ admin: true, channels: [] }), grantRule({ catalog: 'other' })] };
    const { 'rules.3': added, ...rest } = groupChange(group, edited);
    expect(rest).toEqual({
      kind: 'KeyOwnerGroup',
      name: 'analysts',
      'rules.2.admin': 'false → true',
      'rules.2.channels': '[*] → []',
    });
    expect(added).toContain('absent → {accessTypes: [*]');
    expect(added).toContain('catalog: other');
  });

  test('tells entries of a catalog by their names: one that is put first does not move the others', () => {
    const row = catalogRow();
    const [first, ...others] = row.model.endpoints;
    const added = { ...(first ?? others[0]), name: 'ping', path: '/v1/ping' } as (typeof row.model.endpoints)[number];
    const model = catalogModel({ endpoints: [added, { ...added, ...first, admin: true }, ...others.slice(0, -1)] });
    const change = catalogChange(row, { ...row, digest: 'new', model });
    expect(Object.keys(change)).toEqual([
      'kind',
      'name',
      'digest',
      'endpoints.list-subscribers.admin',
      'endpoints.list-users',
      'endpoints.ping',
    ]);
    expect(change['endpoints.list-subscribers.admin']).toBe('false → true');
    expect(change['endpoints.ping']).toContain('path: /v1/ping');
  });

  test('of a great list names what came and what went, and of a great edit says how much more there is', () => {
    const names = Array.from({ length: 200 }, (_, index) => `application-${index}`);
    const [gone, ...kept] = names;
    const settings = keySettings({ selections: { applications: names } });
    const edited = keySettings({ selections: { applications: [...kept, 'new'] } });
    expect(settingsChange(settings, edited)).toEqual({ applications: `added [new], removed [${gone ?? ''}]` });

    const endpoint = catalogModel().endpoints[0];
    const many = (path: string) => names.map((name) => ({ ...endpoint, name, path })) as (typeof row.model.endpoints)[number][];
    const row = catalogRow();
    const before = { ...row, model: catalogModel({ endpoints: many('/a'), channels: ['x'] }) };
    const after = { ...row, digest: 'new', model: catalogModel({ endpoints: many('/b'), channels: ['y'] }) };
    const change = catalogChange(before, after);
    expect(change['more']).toBe(1);
    expect(Object.keys(change)).toHaveLength(2 + 1 + 200 + 1);
  });

  test('tells the row of one customer from that of another, and an absent list from an empty one', () => {
    const of = (customer: string, ...channels: readonly string[]) => ({ customer, channels });
    const before = keySettings({ selections: { customerChannels: [of('1', 'email'), of('2', 'sms')] } });
    const after = keySettings({ suspended: true, selections: { scopes: [], customerChannels: [of('2', 'email')] } });
    expect(settingsChange(before, after)).toEqual({
      suspended: 'false → true',
      'customerChannels.1': '{channels: [email], customer: 1} → absent',
      'customerChannels.2.channels': '[sms] → [email]',
      scopes: 'absent → []',
    });
  });
});
