import type { VerdictAnswer } from './answers.ts';

/** One exchange of the verify API, as its reference shows it. A test sends the body and compares the answer. */
export interface Example {
  readonly title: string;
  readonly path: '/v1/verify' | '/v1/verify/batch';
  readonly body: object;
  readonly answer: VerdictAnswer | { readonly results: readonly VerdictAnswer[] };
}

/** A key of the tests: it opens nothing. */
const key = 'acme_live_4lBK4QZuK8qt_wXQL3aumHIMyIFok6gKlNNj0nKUT3iFE4W1PK1';
const keyId = '4lBK4QZuK8qt';
const host = { host: 'api.example.com', scheme: 'https' };

const reading = {
  title: 'A request that may pass',
  path: '/v1/verify',
  body: {
    key,
    request: {
      ...host,
      method: 'GET',
      path: '/v1/apps/shop-eu/subscribers/7?expand=1',
      sourceIp: '203.0.113.7',
      userAgent: 'curl/8.5.0',
    },
  },
  answer: {
    allowed: true,
    keyId,
    apiKey: 'payments/billing-sync',
    owner: 'ana',
    clientApplication: 'billing',
    accessType: 'Personal',
    catalog: 'default',
    environment: 'live',
    endpoint: 'get-subscriber',
    channels: ['email', 'sms'],
    attributes: 'All',
    applications: 'All',
    requestApplication: 'shop-eu',
    expiresAt: '2027-03-01T00:00:00Z',
  },
} as const satisfies Example;

const sending = {
  title: 'A channel that the key does not have',
  path: '/v1/verify',
  body: {
    key,
    request: { ...host, method: 'POST', path: '/v1/campaigns', targetChannels: ['email', 'marketing'] },
  },
  answer: {
    allowed: false,
    status: 403,
    code: 'channel_not_assigned',
    detail: 'The API key does not give access to these channels: marketing.',
    violatingChannels: ['marketing'],
    keyId,
  },
} as const satisfies Example;

const anonymous = {
  title: 'A request without a key',
  path: '/v1/verify',
  body: { request: { ...host, method: 'GET', path: '/v1/subscribers' } },
  answer: { allowed: false, status: 401, code: 'key_missing', detail: 'The request carries no API key.' },
} as const satisfies Example;

const batch = {
  title: 'A batch',
  path: '/v1/verify/batch',
  body: { requests: [sending.body, anonymous.body] },
  answer: { results: [sending.answer, anonymous.answer] },
} as const satisfies Example;

/** By the name that the OpenAPI document gives it. */
export const examples = { allowed: reading, channelNotAssigned: sending, keyMissing: anonymous, batch } satisfies Readonly<
  Record<string, Example>
>;
