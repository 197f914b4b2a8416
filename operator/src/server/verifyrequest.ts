import { z } from 'zod';

import { normaliseScheme } from '../authorize/origin.ts';
import type { AuthRequest } from '../authorize/request.ts';
import { Plaintext } from '../domain/plaintext.ts';

/** The most requests that one batch may hold. */
export const batchMaxLength = 100;

/**
 * Text that every later part can store and compare: PostgreSQL refuses NUL, and an unpaired surrogate has no UTF-8 form, so two
 * parts would see different texts.
 */
const text = z.string().refine((value) => !/[\0\p{Surrogate}]/u.test(value));

const requestSchema = z.strictObject({
  host: text,
  method: text,
  path: text,
  scheme: text.optional(),
  application: text.optional(),
  customer: text.optional(),
  targetChannels: z.array(text).optional(),
  attributes: z.array(text).optional(),
  sourceIp: text.optional(),
  userAgent: text.optional(),
  upgrade: z.boolean().optional(),
});

/** Wrapped at the door: from here on the value can neither be printed nor serialised. */
const credentialSchema = z.unknown().transform((key) => {
  if (key === undefined) return undefined;
  return typeof key === 'string' ? new Plaintext(key) : ('malformed' as const);
});

const verifySchema = z
  .strictObject({ key: credentialSchema.optional(), catalog: text.optional(), request: requestSchema })
  .transform(({ key, catalog, request }): AuthRequest => ({
    credential: key,
    catalog,
    scheme: request.scheme === undefined ? undefined : normaliseScheme(request.scheme),
    host: request.host,
    method: request.method,
    path: request.path,
    application: request.application,
    customer: request.customer,
    targetChannels: request.targetChannels,
    attributes: request.attributes,
    sourceIp: request.sourceIp,
    userAgent: request.userAgent,
    ...(request.upgrade === undefined ? {} : { upgrade: request.upgrade }),
  }));

const batchSchema = z.strictObject({ requests: z.array(verifySchema).min(1).max(batchMaxLength) });

/** A body that was understood, or one sentence that names the member at fault and quotes no value. */
export type Parsed<T> = { readonly kind: 'parsed'; readonly value: T } | { readonly kind: 'faulty'; readonly detail: string };

/** Reads the body of `POST /v1/verify`. Types are checked here; the values are judged by the rules. */
export function parseVerify(body: unknown): Parsed<AuthRequest> {
  return read(verifySchema.safeParse(body));
}

/** Reads the body of `POST /v1/verify/batch`: `{"requests": [...]}`, each as one verify, 1 to 100 of them. */
export function parseBatch(body: unknown): Parsed<readonly AuthRequest[]> {
  const batch = read(batchSchema.safeParse(body));
  return batch.kind === 'faulty' ? batch : { kind: 'parsed', value: batch.value.requests };
}

function read<T>(result: z.ZodSafeParseResult<T>): Parsed<T> {
  return result.success ? { kind: 'parsed', value: result.data } : { kind: 'faulty', detail: describe(result.error.issues[0]) };
}

function describe(issue: z.core.$ZodIssue | undefined): string {
  if (issue === undefined) return 'The body is not as documented.';
  const at = issue.path.map((part) => (typeof part === 'number' ? `[${String(part)}]` : `.${String(part)}`)).join('');
  const where = at === '' ? 'The body' : `"${at.replace(/^\./, '')}"`;
  switch (issue.code) {
    case 'unrecognized_keys':
      return `${where} has an unknown member${nameMember(issue.keys[0])}.`;
    case 'invalid_type':
      return `${where} is missing or not ${issue.expected === 'array' || issue.expected === 'object' ? 'an' : 'a'} ${issue.expected}.`;
    case 'too_big':
      return `${where} has more than ${String(issue.maximum)} entries.`;
    case 'too_small':
      return `${where} is empty.`;
    case 'custom':
      return `${where} contains NUL or an unpaired surrogate.`;
    default:
      return `${where} is not as documented.`;
  }
}

/** Long names are not repeated: a key that was sent as a member's name by mistake must not come back in an error. */
function nameMember(name: string | undefined): string {
  return name !== undefined && /^[A-Za-z_][A-Za-z0-9_-]{0,31}$/.test(name) ? `, "${name}"` : '';
}
