import { randomUUID } from 'node:crypto';

import { digestOf } from '../../operator/src/store/digest.ts';
import type { CatalogModel, GrantRule } from '../../operator/src/domain/catalog.ts';
import type { CatalogRow, GroupRow, OwnerRow } from '../../operator/src/store/port.ts';

/** A small product: two scopes, every kind of endpoint, one type of each reach. */
export function catalogModel(changes: Partial<CatalogModel> = {}): CatalogModel {
  const endpoint = { method: 'GET', perApplication: false, transactional: false, admin: false, upgrade: false, cost: 1 };
  const type = { endpoints: 'All', scopes: [], admin: false, transactional: false } as const;
  return {
    key: { prefix: 'acme', environment: 'live' },
    accessTypes: [
      { ...type, name: 'Admin', admin: true, transactional: true },
      { ...type, name: 'Integrations', endpoints: 'Listed', scopes: ['subscribers:read'] },
      { ...type, name: 'Transactional', transactional: true },
      { ...type, name: 'Personal', endpoints: 'Owner', admin: true },
      { ...type, name: 'Management', endpoints: 'Selected' },
    ],
    scopes: [
      { name: 'subscribers:read', endpoints: ['list-subscribers', 'get-subscriber'] },
      { name: 'campaigns:write', endpoints: ['start-campaign'] },
    ],
    endpoints: [
      { ...endpoint, name: 'list-subscribers', path: '/v1/subscribers' },
      { ...endpoint, name: 'get-subscriber', path: '/v1/apps/{app}/subscribers/{id}', perApplication: true },
      { ...endpoint, name: 'start-campaign', method: 'POST', path: '/v1/campaigns' },
      { ...endpoint, name: 'send-message', method: 'POST', path: '/v1/messages', transactional: true },
      { ...endpoint, name: 'list-users', path: '/v1/users', admin: true },
    ],
    applications: ['shop-eu', 'shop-us'],
    channels: ['email', 'marketing', 'sms'],
    attributes: ['email', 'firstName', 'phone'],
    requests: {
      hosts: ['api.example.com'],
      application: { pathParam: 'app' },
      customer: { header: 'X-Customer-Id', pattern: '^(0|[1-9][0-9]*|[a-z][a-z0-9_-]*)$' },
      targetChannels: { jsonPath: '$.target.channels' },
    },
    credentials: { headers: [{ name: 'Authorization', scheme: 'Bearer' }, { name: 'X-API-Key' }], foreignBearer: 'Reject' },
    policy: { expiredStatus: 403, requireHttps: true },
    ...changes,
  };
}

/** A catalog in force: `default` unless named. The digest follows the model. */
export function catalogRow(changes: Partial<CatalogRow> = {}): CatalogRow {
  const model = changes.model ?? catalogModel();
  return { uid: randomUUID(), name: 'default', digest: digestOf(model), ...changes, model };
}

/** A rule that grants everything of the catalog `default`, admin endpoints included. */
export function grantRule(changes: Partial<GrantRule> = {}): GrantRule {
  const all = ['*'];
  return {
    catalog: 'default',
    admin: true,
    accessTypes: all,
    scopes: all,
    endpoints: all,
    applications: all,
    channels: all,
    attributes: all,
    ...changes,
  };
}

/** An enabled owner who may do everything. */
export function ownerRow(changes: Partial<OwnerRow> = {}): OwnerRow {
  return { uid: randomUUID(), name: 'payments-team', disabled: false, groups: [], rules: [grantRule()], ...changes };
}

/** A group that grants reading subscribers. */
export function groupRow(changes: Partial<GroupRow> = {}): GroupRow {
  const rules = [grantRule({ admin: false, scopes: ['subscribers:read'], endpoints: [] })];
  return { uid: randomUUID(), name: 'analysts', rules, ...changes };
}
