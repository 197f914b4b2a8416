import { expect, test } from 'vitest';

import { denyCodes } from '../../../operator/src/authorize/verdict.ts';
import { codes } from '../../../operator/src/server/codes.ts';

test('every code has the status that clients were promised', () => {
  const statuses = Object.fromEntries(denyCodes.map((code) => [code, codes[code].status]));
  expect(statuses).toEqual({
    key_missing: 401,
    key_invalid: 401,
    https_required: 403,
    key_expired: 403,
    key_suspended: 403,
    owner_inactive: 403,
    access_type_not_allowed: 403,
    source_not_allowed: 403,
    endpoint_not_allowed: 403,
    application_not_allowed: 403,
    channel_not_assigned: 403,
    attribute_not_allowed: 403,
    invalid_request: 422,
    rate_limited: 429,
    authorizer_stale: 503,
  });
});

test('every code has a sentence of its own', () => {
  const details = denyCodes.map((code) => codes[code].detail);
  expect(new Set(details).size).toBe(denyCodes.length);
  for (const detail of details) expect(detail).toMatch(/^[A-Z].*\.$/);
});
