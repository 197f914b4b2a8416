import { describe, expect, test } from 'vitest';

import { decide } from '../../../operator/src/authorize/decide.ts';
import type { AuthRequest } from '../../../operator/src/authorize/request.ts';
import type { Grant, Verdict } from '../../../operator/src/authorize/verdict.ts';
import type { KeySettings } from '../../../operator/src/store/port.ts';
import { authRequest, decideRecord, knownKey } from '../../builders/authrequest.ts';
import { catalogModel, catalogRow, grantRule, groupRow, ownerRow } from '../../builders/clusterrows.ts';
import { keyRecord } from '../../builders/keyrecord.ts';
import type { KeyRecordChanges } from '../../builders/keyrecord.ts';

const now = Date.parse('2026-03-01T00:00:00Z');
const past = now - 1;
const { keyId } = keyRecord().record.version;

/** The key of the builder, changed, asks for `GET /v1/subscribers` of its catalog, changed. */
function ask(changes: KeyRecordChanges, request: Partial<AuthRequest> = {}): Verdict {
  return decideRecord(keyRecord(changes).record, request, now);
}

function asks(settings: Partial<KeySettings>, request: Partial<AuthRequest> = {}): Verdict {
  return ask({ settings }, request);
}

function granted(verdict: Verdict): Grant {
  if (!verdict.allowed) throw new Error(`denied: ${verdict.code}`);
  return verdict.grant;
}

const denied = (code: string): unknown => ({ allowed: false, code, keyId });
const owner = (...rules: Parameters<typeof grantRule>[0][]): KeyRecordChanges => ({
  owner: ownerRow({ uid: 'owner-1', name: 'ana', rules: rules.map((rule) => grantRule(rule)) }),
});
const send: Partial<AuthRequest> = { method: 'POST', path: '/v1/campaigns' };
const listUsers: Partial<AuthRequest> = { path: '/v1/users' };
const sendMessage: Partial<AuthRequest> = { method: 'POST', path: '/v1/messages' };
const subscriber = (app: string): Partial<AuthRequest> => ({ path: `/v1/apps/${app}/subscribers/7` });

describe('an allow', () => {
  test('says whose key it is, what it reaches, and until when [S0-2] [S3-20]', () => {
    const verdict = ask(
      { settings: { clientApplication: 'billing' }, version: { expiresAt: now + 5_000 } },
      { ...subscriber('shop-eu'), targetChannels: ['sms', 'email', 'sms'], attributes: ['phone'] },
    );
    expect(granted(verdict)).toEqual({
      keyId,
      apiKey: 'payments/billing-sync',
      owner: 'ana',
      clientApplication: 'billing',
      accessType: 'Personal',
      catalog: 'default',
      environment: 'live',
      endpoint: 'get-subscriber',
      channels: ['email', 'sms'],
      attributes: ['phone'],
      applications: 'All',
      requestApplication: 'shop-eu',
      expiresAt: now + 5_000,
    });
  });

  test('ends with the overlap where that comes first, and never where nothing ends the key', () => {
    expect(granted(ask({})).expiresAt).toBeUndefined();
    const version = { state: 'retiring', notAfter: now + 10, expiresAt: now + 20 } as const;
    expect(granted(ask({ version })).expiresAt).toBe(now + 10);
  });
});

describe('the order of the questions', () => {
  test('stale comes before everything, and is never a 401', () => {
    expect(decide({ kind: 'stale', error: undefined }, authRequest({ scheme: 'http' }), now)).toEqual({
      allowed: false,
      code: 'authorizer_stale',
    });
  });

  test('HTTPS comes before the key [S0-24]; a host of no catalog meets the default policy', () => {
    const plain = { scheme: 'http' };
    for (const kind of ['missing', 'unknown'] as const)
      expect(decide({ kind }, authRequest(plain), now)).toEqual({ allowed: false, code: 'https_required' });
    expect(ask({}, plain)).toEqual({ allowed: false, code: 'https_required' });
    expect(ask({}, { scheme: 'wss' })).toMatchObject({ code: 'https_required' });
    const open = catalogRow({ model: catalogModel({ policy: { expiredStatus: 403, requireHttps: false } }) });
    expect(ask({ catalog: open }, plain).allowed).toBe(true);
  });

  test('no key is key_missing, a wrong one key_invalid, without a key id [S1-10]', () => {
    expect(decide({ kind: 'missing' }, authRequest(), now)).toEqual({ allowed: false, code: 'key_missing' });
    expect(decide({ kind: 'unknown' }, authRequest(), now)).toEqual({ allowed: false, code: 'key_invalid' });
  });

  const faults: readonly [code: string, changes: KeyRecordChanges, request: Partial<AuthRequest>][] = [
    ['key_expired', { version: { expiresAt: past } }, {}],
    ['key_suspended', { settings: { suspended: true } }, {}],
    ['owner_inactive', { owner: ownerRow({ uid: 'owner-1', disabled: true, rules: [] }) }, {}],
    ['access_type_not_allowed', { settings: { accessType: 'Unknown' } }, {}],
    ['source_not_allowed', { settings: { selections: { allowedSources: ['10.0.0.0/8'] } } }, { sourceIp: '192.0.2.1' }],
    ['endpoint_not_allowed', {}, { path: '/nowhere' }],
    ['application_not_allowed', {}, { application: 'other' }],
    ['invalid_request', {}, { customer: '007' }],
    ['channel_not_assigned', {}, { targetChannels: ['fax'] }],
    ['attribute_not_allowed', {}, { attributes: ['iban'] }],
  ];
  test.each(faults.map((fault, at) => [fault[0], at] as const))('%s is heard before everything behind it', (code, at) => {
    const rest = faults.slice(at);
    const changes = rest.reduceRight<KeyRecordChanges>(
      (all, [, one]) => ({ ...all, ...one, settings: { ...all.settings, ...one.settings } }),
      {},
    );
    const request = rest.reduceRight<Partial<AuthRequest>>((all, [, , one]) => ({ ...all, ...one }), subscriber('shop-eu'));
    expect(ask(changes, request)).toMatchObject({ allowed: false, code, keyId });
  });
});

describe('a version', () => {
  test.each<[string, KeyRecordChanges]>([
    ['is pending', { version: { state: 'pending' } }],
    ['is retiring and not past its end', { version: { state: 'retiring', notAfter: now + 1 } }],
    ['expires later', { version: { expiresAt: now + 1 } }],
  ])('that %s authenticates', (_title, changes) => {
    expect(ask(changes).allowed).toBe(true);
  });

  const dead: readonly [string, KeyRecordChanges][] = [
    ['revoked [S4-10]', { version: { state: 'ended', endedReason: 'revoked' } }],
    ['retired', { version: { state: 'ended', endedReason: 'retired' } }],
    ['abandoned', { version: { state: 'ended', endedReason: 'abandoned' } }],
    ['past its overlap', { version: { state: 'retiring', notAfter: now } }],
    ['past its overlap and its expiry', { version: { state: 'retiring', notAfter: past, expiresAt: past } }],
    ['of a key that was revoked for good', { key: { revokedReason: 'leaked' } }],
    [
      'expired, of a key that was revoked for good',
      { version: { state: 'ended', endedReason: 'expired' }, key: { revokedReason: 'leaked' } },
    ],
    ['ended without a reason', { version: { state: 'ended' } }],
    ['of a catalog that was deleted', { catalog: undefined }],
    ['of another environment [S0-27]', { version: { display: `acme_test_${keyId}` } }],
    ['of another prefix', { version: { display: `other_live_${keyId}` } }],
  ];
  test.each(dead)('that is %s answers exactly as an unknown one', (_title, changes) => {
    const unknown = decide({ kind: 'unknown' }, authRequest(), now);
    expect(ask(changes)).toEqual(unknown);
    expect(ask({ ...changes, settings: { suspended: true } })).toEqual(unknown);
  });

  test('of another catalog than the request addresses answers as an unknown one [S2-7]', () => {
    const { record } = keyRecord();
    for (const addressed of [undefined, catalogRow({ uid: 'catalog-2', name: 'other' }), catalogRow({ uid: 'catalog-2' })])
      expect(decide(knownKey(record, addressed), authRequest(), now)).toEqual({ allowed: false, code: 'key_invalid' });
  });

  test('that expired stays known [S1-12] [S2-19]: at its instant, and after it was ended', () => {
    const expired = { allowed: false, code: 'key_expired', keyId, expiredStatus: 403 };
    expect(ask({ version: { expiresAt: now } })).toEqual(expired);
    expect(ask({ version: { state: 'ended', endedReason: 'expired', expiresAt: past } })).toEqual(expired);
    const strict = catalogRow({ model: catalogModel({ policy: { expiredStatus: 401, requireHttps: true } }) });
    expect(ask({ version: { expiresAt: past }, catalog: strict })).toMatchObject({ code: 'key_expired', expiredStatus: 401 });
  });
});

describe('an owner', () => {
  test('who is disabled or deleted takes every key along [S2-4] [S2-5]', () => {
    expect(ask({ owner: ownerRow({ uid: 'owner-1', disabled: true }) })).toEqual(denied('owner_inactive'));
    expect(ask({ owner: undefined })).toEqual(denied('owner_inactive'));
  });

  test('of the same name and another uid does not revive them [S2-6]', () => {
    expect(ask({ owner: ownerRow({ uid: 'owner-2', name: 'ana' }) })).toEqual(denied('owner_inactive'));
  });

  test('must hold the access type, by any rule', () => {
    expect(ask(owner({ accessTypes: ['Integrations'] }))).toEqual(denied('access_type_not_allowed'));
    expect(ask(owner({ accessTypes: [] }, { accessTypes: ['Personal'], endpoints: [], scopes: [] })).allowed).toBe(true);
  });

  test('gives by its groups too, and a group gives nothing without its owner [S1-1] [S1-3]', () => {
    const nothing = ownerRow({ uid: 'owner-1', rules: [] });
    expect(ask({ owner: nothing, groups: [groupRow()] }).allowed).toBe(true);
    expect(ask({ owner: nothing })).toEqual(denied('access_type_not_allowed'));
    expect(ask({ owner: undefined, groups: [groupRow()] })).toEqual(denied('owner_inactive'));
  });

  test('gives nothing for another catalog', () => {
    expect(ask(owner({ catalog: 'other' }))).toEqual(denied('access_type_not_allowed'));
  });

  test('covers an endpoint by its name or by a scope that contains it; an empty rule covers none [S4-5]', () => {
    const bare = { scopes: [], endpoints: [] };
    expect(ask(owner(bare))).toEqual(denied('endpoint_not_allowed'));
    expect(ask(owner({ ...bare, endpoints: ['list-subscribers'] })).allowed).toBe(true);
    expect(ask(owner({ ...bare, scopes: ['subscribers:read'] })).allowed).toBe(true);
    expect(ask(owner({ ...bare, scopes: ['campaigns:write'] }))).toEqual(denied('endpoint_not_allowed'));
  });

  test('with "*" for scopes covers what is in a scope, with "*" for endpoints everything', () => {
    expect(ask(owner({ endpoints: [] }), sendMessage)).toEqual(denied('endpoint_not_allowed'));
    expect(ask({ ...owner({ scopes: [] }), settings: { accessType: 'Transactional' } }, sendMessage).allowed).toBe(true);
  });

  test('who loses admin keeps the key without the admin endpoints [S1-5]', () => {
    expect(ask({}, listUsers).allowed).toBe(true);
    expect(ask(owner({ admin: false }), listUsers)).toEqual(denied('endpoint_not_allowed'));
    expect(ask(owner({ admin: false })).allowed).toBe(true);
  });

  test('admin in one rule does not lend itself to another', () => {
    expect(ask(owner({ admin: true, endpoints: ['list-subscribers'], scopes: [] }, { admin: false }), listUsers)).toEqual(
      denied('endpoint_not_allowed'),
    );
  });

  test('an application of one rule does not lend itself to the endpoint of another', () => {
    const apart = owner(
      { endpoints: ['get-subscriber'], scopes: [], applications: ['shop-us'] },
      { endpoints: ['list-subscribers'], scopes: [], applications: ['shop-eu'] },
    );
    expect(ask(apart, subscriber('shop-us')).allowed).toBe(true);
    expect(ask(apart, subscriber('shop-eu'))).toEqual(denied('application_not_allowed'));
  });
});

describe('an access type', () => {
  test('Admin reaches every endpoint and function [S0-11]', () => {
    for (const request of [{}, send, sendMessage, listUsers, subscriber('shop-eu')])
      expect(asks({ accessType: 'Admin' }, request).allowed).toBe(true);
  });

  test('Listed reaches its scopes only [S0-12]', () => {
    expect(asks({ accessType: 'Integrations' }).allowed).toBe(true);
    expect(asks({ accessType: 'Integrations' }, send)).toEqual(denied('endpoint_not_allowed'));
  });

  test('Transactional reaches all endpoints but the admin ones [S0-16], and other types are refused on its own [S0-17]', () => {
    expect(asks({ accessType: 'Transactional' }, sendMessage).allowed).toBe(true);
    expect(asks({ accessType: 'Transactional' }, listUsers)).toEqual(denied('endpoint_not_allowed'));
    expect(asks({ accessType: 'Personal' }, sendMessage)).toEqual(denied('endpoint_not_allowed'));
  });

  test('Selected reaches nothing by itself, and then what the key lists [S2-13] [S2-2]', () => {
    expect(asks({ accessType: 'Management' })).toEqual(denied('endpoint_not_allowed'));
    const chosen = { accessType: 'Management', selections: { endpoints: ['start-campaign'] } };
    expect(asks(chosen, send).allowed).toBe(true);
    expect(asks(chosen)).toEqual(denied('endpoint_not_allowed'));
  });
});

describe('a selection', () => {
  test('narrows every type, also Admin, by scope or endpoint [S4-3] [S4-9]', () => {
    const reader = { accessType: 'Admin', selections: { scopes: ['subscribers:read'] } };
    expect(asks(reader).allowed).toBe(true);
    expect(asks(reader, send)).toEqual(denied('endpoint_not_allowed'));
    expect(asks({ selections: { scopes: ['subscribers:read'], endpoints: ['start-campaign'] } }, send).allowed).toBe(true);
  });

  test('never widens: what the type or the owner does not have stays out', () => {
    expect(asks({ accessType: 'Integrations', selections: { endpoints: ['start-campaign'] } }, send)).toEqual(
      denied('endpoint_not_allowed'),
    );
    const selections = { endpoints: ['start-campaign'] };
    expect(ask({ ...owner({ endpoints: [], scopes: ['subscribers:read'] }), settings: { selections } }, send)).toEqual(
      denied('endpoint_not_allowed'),
    );
  });

  test('of names that the catalog does not have grants nothing', () => {
    expect(asks({ selections: { scopes: ['gone'], endpoints: ['gone'] } })).toEqual(denied('endpoint_not_allowed'));
  });

  test('of applications leaves only endpoints that work per application [S2-11]', () => {
    const selections = { applications: ['shop-eu'] };
    expect(asks({ selections })).toEqual(denied('endpoint_not_allowed'));
    expect(asks({ selections }, subscriber('shop-eu')).allowed).toBe(true);
    expect(asks({ selections }, subscriber('shop-us'))).toEqual(denied('application_not_allowed'));
  });
});

describe('an application', () => {
  test('is free where nothing is selected [S2-10], and refused outside the list [S2-12]', () => {
    expect(granted(ask({}, subscriber('shop-us')))).toMatchObject({ applications: 'All', requestApplication: 'shop-us' });
    const some = owner({ applications: ['shop-eu', 'gone'] });
    expect(granted(ask(some, subscriber('shop-eu'))).applications).toEqual(['shop-eu']);
    expect(ask(some, subscriber('shop-us'))).toEqual(denied('application_not_allowed'));
  });

  test('that the catalog does not know answers as one that is not assigned', () => {
    expect(ask({}, subscriber('shop-xx'))).toEqual(denied('application_not_allowed'));
    expect(ask({}, subscriber('Shop-EU'))).toEqual(denied('application_not_allowed'));
  });

  test('said twice must be said alike', () => {
    expect(ask({}, { ...subscriber('shop-eu'), application: 'shop-eu' }).allowed).toBe(true);
    expect(ask({}, { ...subscriber('shop-eu'), application: 'shop-us' })).toEqual(denied('application_not_allowed'));
  });

  test('that is not named is refused where it is limited', () => {
    const { application: _, ...elsewhere } = catalogModel().requests;
    const catalog = catalogRow({ model: catalogModel({ requests: { ...elsewhere, application: { header: 'X-App' } } }) });
    const request = { path: '/v1/apps/any/subscribers/7' };
    expect(granted(ask({ catalog }, request))).toMatchObject({ applications: 'All', requestApplication: undefined });
    expect(ask({ catalog, settings: { selections: { applications: ['shop-eu'] } } }, request)).toEqual(
      denied('application_not_allowed'),
    );
    expect(ask({ catalog, ...owner({ applications: ['shop-eu'] }) }, request)).toEqual(denied('application_not_allowed'));
    expect(ask({ catalog, ...owner({ applications: ['shop-eu'] }) }, { ...request, application: 'shop-eu' }).allowed).toBe(true);
  });

  test('does not matter where the endpoint does not work per application', () => {
    expect(granted(ask({}, { application: 'other' })).requestApplication).toBeUndefined();
  });
});

describe('channels', () => {
  const scoped = { selections: { channels: ['email', 'sms', 'gone'] } };

  test('without a selection and without targets are all of them [S0-15] [S3-6] [S3-12]', () => {
    expect(granted(ask({}, send)).channels).toBe('All');
  });

  test('without a selection and with targets are exactly those [S3-13]', () => {
    expect(granted(ask({}, { ...send, targetChannels: ['sms', 'email'] })).channels).toEqual(['email', 'sms']);
  });

  test('of a channel-scoped key without targets are the assigned ones, without removed slugs [S3-14] [S3-19]', () => {
    expect(granted(asks(scoped, send)).channels).toEqual(['email', 'sms']);
  });

  test('outside the assignment refuse the request as a whole, and are named [S3-7] [S3-15] [S3-17] [S3-18]', () => {
    expect(granted(asks(scoped, { ...send, targetChannels: ['sms', 'sms'] })).channels).toEqual(['sms']);
    const targetChannels = ['sms', 'marketing', 'fax', 'marketing', 'SMS', 'gone'];
    expect(asks(scoped, { ...send, targetChannels })).toEqual({
      ...(denied('channel_not_assigned') as object),
      violatingChannels: ['marketing', 'fax', 'SMS', 'gone'],
    });
  });

  test('that the catalog does not have are refused like unassigned ones, also for a key without limits [S3-16]', () => {
    expect(ask({}, { ...send, targetChannels: ['fax'] })).toMatchObject({ violatingChannels: ['fax'] });
  });

  test('an empty target list is an invalid request, never "all" [S3-19]', () => {
    expect(ask({}, { ...send, targetChannels: [] })).toEqual({
      ...(denied('invalid_request') as object),
      fault: 'target channels',
    });
  });

  test('are the union over the rules that cover the request, and of no other rule', () => {
    const rules = owner(
      { endpoints: ['start-campaign'], scopes: [], channels: ['email'] },
      { endpoints: ['start-campaign'], scopes: [], channels: ['sms'] },
      { endpoints: ['list-subscribers'], scopes: [], channels: ['*'] },
    );
    expect(granted(ask(rules, send)).channels).toEqual(['email', 'sms']);
    expect(granted(ask(rules)).channels).toBe('All');
    expect(granted(ask(owner({ channels: [] }), send)).channels).toEqual([]);
  });

  test('of the owner and the key together are what both have [S3-3]', () => {
    const both = { ...owner({ channels: ['sms', 'marketing'] }), settings: scoped };
    expect(granted(ask(both, send)).channels).toEqual(['sms']);
  });

  describe('by customer [S0-14]', () => {
    const selections = {
      channels: ['email', 'sms'],
      customerChannels: [
        { customer: '42', channels: ['email', 'marketing'] },
        { customer: 'acme', channels: ['email', 'sms'] },
      ],
    };
    const channelsOf = (customer: string | undefined, changes: KeyRecordChanges = {}): unknown =>
      granted(ask({ settings: { selections }, ...changes }, { ...send, customer })).channels;

    test('a customer with a row is held to it too', () => {
      expect(channelsOf('42')).toEqual(['email']);
      expect(channelsOf('acme')).toEqual(['email', 'sms']);
    });

    test('a customer without one has what the key has', () => {
      expect(channelsOf('7')).toEqual(['email', 'sms']);
    });

    test('leaving the customer out gains nothing', () => {
      expect(channelsOf(undefined)).toEqual(['email']);
      const rows = { customerChannels: selections.customerChannels };
      expect(channelsOf(undefined, { settings: { selections: rows } })).toEqual(['email']);
    });

    test.each(['007', 'Acme', ' 42', '42 ', '', '4,2', 'a'.repeat(65), '４２', '42\n'])(
      '%j is an invalid request',
      (customer) => {
        expect(ask({}, { customer })).toEqual({ ...(denied('invalid_request') as object), fault: 'customer' });
      },
    );

    test('a pattern with a class of Unicode means letters, as it did when it was checked', () => {
      const requests = { ...catalogModel().requests, customer: { header: 'X-Customer', pattern: '^[\\p{L}0-9_-]+$' } };
      const catalog = catalogRow({ model: catalogModel({ requests }) });
      for (const customer of ['müller', '北京', '𝒜-1']) expect(ask({ catalog }, { customer }).allowed).toBe(true);
      for (const customer of ['p{L}', 'm\u0000', 'a b'])
        expect(ask({ catalog }, { customer })).toMatchObject({ code: 'invalid_request' });
    });

    test('a pattern of two halves is taken for the whole customer id', () => {
      const requests = { ...catalogModel().requests, customer: { header: 'X-Customer', pattern: '^a|b$' } };
      const catalog = catalogRow({ model: catalogModel({ requests }) });
      expect(ask({ catalog }, { customer: 'a' }).allowed).toBe(true);
      expect(ask({ catalog }, { customer: 'anything' })).toMatchObject({ code: 'invalid_request' });
    });
  });
});

describe('attributes', () => {
  test('without a selection are all [S0-15], with one only those are shared [S0-13]', () => {
    expect(granted(ask({})).attributes).toBe('All');
    expect(granted(asks({ selections: { attributes: ['phone', 'email', 'gone'] } })).attributes).toEqual(['email', 'phone']);
  });

  test('requested within the list are those, and outside it refuse the request', () => {
    const selections = { attributes: ['email'] };
    expect(granted(asks({ selections }, { attributes: ['email', 'email'] })).attributes).toEqual(['email']);
    expect(asks({ selections }, { attributes: ['email', 'phone'] })).toEqual(denied('attribute_not_allowed'));
    expect(ask({}, { attributes: ['Email'] })).toEqual(denied('attribute_not_allowed'));
  });

  test('requested as an empty list are what there is', () => {
    expect(granted(ask(owner({ attributes: ['email'] }), { attributes: [] })).attributes).toEqual(['email']);
  });
});

describe('a source', () => {
  const from = (sourceIp: string | undefined, ...allowedSources: string[]): boolean =>
    asks({ selections: { allowedSources } }, { sourceIp }).allowed;

  test.each<[string | undefined, string, boolean]>([
    ['10.20.0.1', '10.20.0.0/16', true],
    ['10.21.0.1', '10.20.0.0/16', false],
    ['10.20.0.1', '10.20.0.1/32', true],
    ['::ffff:10.20.0.1', '10.20.0.0/16', true],
    ['::FFFF:0A14:0001', '10.20.0.0/16', true],
    ['2001:db8::1', '2001:db8::/32', true],
    ['2001:DB8:0:0::1', '2001:db8::/32', true],
    ['2001:db9::1', '2001:db8::/32', false],
    ['2001:db8::1', '0.0.0.0/0', false],
    ['10.20.0.1', '::/0', false],
    ['::10.20.0.1', '10.20.0.0/16', false],
    [undefined, '0.0.0.0/0', false],
    ['', '0.0.0.0/0', false],
    ['unknown', '0.0.0.0/0', false],
    ['010.20.0.1', '10.20.0.0/16', false],
    ['10.1310721', '10.20.0.0/16', false],
    ['0xa.20.0.1', '10.20.0.0/16', false],
    ['10.20.0.1:80', '10.20.0.0/16', true],
    ['10.20.0.1, 10.20.0.2', '10.20.0.0/16', false],
    ['fe80::1%eth0', 'fe80::/10', true],
    ['[fe80::1%25]:443', 'fe80::/10', true],
    ['[::ffff:10.20.0.1]:443', '10.20.0.0/16', true],
    ['[2001:db8::1]', '2001:db8::/32', true],
    ['[2001:db8::1]:443', '2001:db8::/32', true],
    ['[2001:db9::1]:443', '2001:db8::/32', false],
    // Without brackets the last part is one of the address.
    ['2001:db8::1:443', '2001:db8::1/128', false],
  ])('%j is in %s: %s', (address, network, expected) => {
    expect(from(address, network)).toBe(expected);
  });

  test.each<[string, string]>([
    ['10.20.0.1:', 'no port'],
    ['10.20.0.1:http', 'a port that is no number'],
    ['10.20.0.1:123456', 'a port of six digits'],
    ['10.20.0.1:80:80', 'two ports'],
    [':80', 'no address'],
    ['10.20:80', 'a short address'],
    ['010.20.0.1:80', 'octal'],
    ['[10.20.0.1]:80', 'IPv4 in brackets'],
    ['10.20.0.1%eth0', 'IPv4 with a zone'],
    ['[::10.20.0.1]:80', 'a retired form'],
    ['[2001:db8::1', 'an open bracket'],
    ['2001:db8::1]:443', 'a closed one'],
    ['[[2001:db8::1]]:443', 'two'],
    ['[2001:db8::1]443', 'no colon'],
    ['[2001:db8::1]:', 'no port'],
    ['[]:443', 'nothing in brackets'],
    ['fe80::1%', 'no zone'],
    ['fe80::1%eth0%eth1', 'two zones'],
    ['fe80::1%eth0/64', 'a network'],
    ['fe80::1%eth 0', 'a space'],
    [' 10.20.0.1', 'a space before it'],
    ['10.20.0.1\n', 'a line break'],
    ['https://10.20.0.1', 'a URL'],
    ['_hidden', 'an obfuscated name (RFC 7239 section 6.3)'],
  ])('%j is not an address, and the denial says so: %s', (sourceIp) => {
    const settings = { selections: { allowedSources: ['0.0.0.0/0', '::/0'] } };
    expect(asks(settings, { sourceIp })).toEqual({ allowed: false, code: 'source_not_allowed', keyId, fault: 'source' });
    // Where no rule asks for it, nothing depends on it.
    expect(ask({}, { sourceIp }).allowed).toBe(true);
  });

  test('that is an address, or not said, is not named as malformed', () => {
    for (const sourceIp of ['192.0.2.1', '[2001:db8::1]:443', undefined])
      expect(asks({ selections: { allowedSources: ['10.0.0.0/8'] } }, { sourceIp })).toEqual(denied('source_not_allowed'));
  });

  test('does not matter to a key without sources; one of several networks is enough; a broken one is none', () => {
    expect(ask({}, { sourceIp: undefined }).allowed).toBe(true);
    expect(from('192.0.2.1', '10.0.0.0/8', '192.0.2.0/24')).toBe(true);
    for (const broken of ['', '192.0.2.1', '192.0.2.0/', '192.0.2.0/33', 'x/0', '192.0.2.0/0x8'])
      expect(from('192.0.2.1', broken)).toBe(false);
  });
});

describe('a target in absolute form', () => {
  const at = (path: string, more: Partial<AuthRequest> = {}): Verdict => ask({}, { path, ...more });

  test('is decided as its path', () => {
    expect(granted(at('https://api.example.com/v1/apps/shop-eu/subscribers/7?x'))).toEqual(
      granted(ask({}, subscriber('shop-eu'))),
    );
    expect(at('https://api.example.com/nowhere')).toEqual(denied('endpoint_not_allowed'));
  });

  test('of another origin leads nowhere', () => {
    for (const path of ['https://api.example.net/v1/subscribers', 'http://api.example.com/v1/subscribers'])
      expect(at(path)).toEqual({ ...(denied('endpoint_not_allowed') as object), fault: 'another origin' });
  });

  test('does not say the scheme in place of its member', () => {
    const path = 'https://api.example.com/v1/subscribers';
    expect(at(path, { scheme: undefined })).toEqual({ allowed: false, code: 'https_required' });
    const open = catalogRow({ model: catalogModel({ policy: { expiredStatus: 403, requireHttps: false } }) });
    expect(ask({ catalog: open }, { path, scheme: undefined }).allowed).toBe(true);
    expect(ask({ catalog: open }, { path, scheme: 'http' })).toMatchObject({
      code: 'endpoint_not_allowed',
      fault: 'another origin',
    });
  });
});

describe('a target that two programs could read differently', () => {
  test('leads nowhere, and a caller with the whole key hears why', () => {
    for (const [path, fault] of [
      ['/v1/subscribers/', 'empty segment'],
      ['/v1/../v1/subscribers', 'dot segment'],
      ['/v1/subscribers;v=1', 'semicolon'],
      ['/v1/subscribers%2f7', 'encoded delimiter'],
    ] as const)
      expect(ask({}, { path })).toEqual({ ...(denied('endpoint_not_allowed') as object), fault });
  });
});

describe('an upgrade', () => {
  test('is allowed only where the catalog says so', () => {
    expect(ask({}, { upgrade: true })).toEqual(denied('endpoint_not_allowed'));
    const endpoints = catalogModel().endpoints.map((endpoint) => ({ ...endpoint, upgrade: true }));
    expect(ask({ catalog: catalogRow({ model: catalogModel({ endpoints }) }) }, { upgrade: true }).allowed).toBe(true);
  });
});
