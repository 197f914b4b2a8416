import { z } from 'zod';

import { denyCodes } from '../authorize/verdict.ts';
import type { Denial, Grant, Verdict } from '../authorize/verdict.ts';
import { formatInstant } from '../domain/time.ts';
import { codes, denialStatuses, detailOf } from './codes.ts';
import { problemStatuses } from './problems.ts';

const names = z.union([z.literal('All'), z.array(z.string()).readonly()]);

/** The answer to a request that may pass. */
export const allowedSchema = z
  .object({
    allowed: z.literal(true).describe('The request may pass.'),
    keyId: z
      .string()
      .describe(
        'The public id of the key version. Log it: `keywright revoke --direct` takes it. It says nothing about the value.',
      ),
    apiKey: z.string().describe('The ApiKey that the value belongs to, as `namespace/name`.'),
    owner: z.string().describe('The KeyOwner of the key. It is accountable for the request.'),
    clientApplication: z.string().optional().describe('The program that uses the key, if the ApiKey names one.'),
    accessType: z.string().describe('The access type of the key.'),
    catalog: z.string().describe('The ApiCatalog that decided.'),
    environment: z.string().describe('The environment of the catalog, such as `live`.'),
    endpoint: z.string().describe('The endpoint of the catalog that the request reaches. Use it as a name in logs and metrics.'),
    channels: names.describe(
      'The channels that the API may send to: those that the request names, or else all that the key has. `All` = every channel of the catalog. An empty list = none.',
    ),
    attributes: names.describe(
      'The attributes that the API may return: those that the request names, or else all that the key has. `All` = every attribute of the catalog. An empty list = none.',
    ),
    applications: names.describe(
      'The applications that the key may name on this endpoint. `All` = every application of the catalog.',
    ),
    requestApplication: z
      .string()
      .optional()
      .describe('The application that this request is for, on an endpoint that works per application.'),
    expiresAt: z
      .union([z.literal('never'), z.string().meta({ format: 'date-time' })])
      .describe('When the value stops working, in UTC, or `never`. A gateway can warn its clients before that.'),
  })
  .describe('The request may pass. Members that do not apply are absent.');

/** The answer to a request that may not pass. */
export const deniedSchema = z
  .object({
    allowed: z.literal(false).describe('The request may not pass.'),
    status: z.literal(denialStatuses).describe('The HTTP status to send to the client.'),
    code: z.enum(denyCodes).describe('The reason. Programs can rely on it: its meaning never changes.'),
    detail: z.string().describe('A sentence for the developer of the client. It never says which rights the key has.'),
    violatingChannels: z
      .array(z.string())
      .readonly()
      .optional()
      .describe('With `channel_not_assigned`: the channels of the request that the key does not have, in their order.'),
    keyId: z
      .string()
      .optional()
      .describe('The public id of the key version. Present only if the complete value of the key was correct.'),
    retryAfterSeconds: z
      .number()
      .optional()
      .meta({ type: 'integer', description: 'Send it as `Retry-After`. Absent = trying again does not help.' }),
  })
  .describe('The request may not pass. Send `status` to the client, and `code` and `detail` with it if you like.');

/** What one request came to. */
export const verdictSchema = z
  .discriminatedUnion('allowed', [allowedSchema, deniedSchema])
  .describe('The verdict on one request.');

/** The answer to a batch. */
export const batchVerdictsSchema = z
  .object({ results: z.array(verdictSchema).describe('One verdict for each request, in the order of the requests.') })
  .describe('The verdicts on a batch.');

/** The answer to a request that gets no verdict (RFC 9457). */
export const problemSchema = z
  .object({
    type: z.literal('about:blank').describe('Always `about:blank`: `status` says what it is.'),
    title: z.string().describe('The name of the HTTP status.'),
    status: z.literal(problemStatuses).describe('The HTTP status of the answer.'),
    detail: z.string().describe('What is wrong, in one sentence. It may name members of the request, and never quotes a value.'),
  })
  .describe('Why there is no verdict (RFC 9457).');

/** The JSON of {@link verdictSchema}. A member that is `undefined` is left out by the serialiser. */
export type VerdictAnswer = z.infer<typeof verdictSchema>;

/** A verdict in the form in which it is sent. */
export function answerOf(verdict: Verdict): VerdictAnswer {
  return verdict.allowed ? describeGrant(verdict.grant) : describeDenial(verdict);
}

function describeGrant(grant: Grant): z.infer<typeof allowedSchema> {
  const { keyId, apiKey, owner, clientApplication, accessType, catalog, environment, endpoint } = grant;
  const { channels, attributes, applications, requestApplication, expiresAt } = grant;
  return {
    ...{ allowed: true, keyId, apiKey, owner, clientApplication, accessType, catalog, environment, endpoint },
    ...{ channels, attributes, applications, requestApplication },
    // The same word as in a delivered record.
    expiresAt: expiresAt === undefined ? 'never' : formatInstant(expiresAt),
  };
}

function describeDenial(denial: Denial): z.infer<typeof deniedSchema> {
  const { code, expiredStatus, violatingChannels, keyId } = denial;
  const { status, retryAfterSeconds } = codes[code];
  const answered = { allowed: false, status: expiredStatus ?? status, code, detail: detailOf(denial) } as const;
  return { ...answered, violatingChannels, keyId, retryAfterSeconds };
}
