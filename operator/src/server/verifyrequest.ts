import { z } from 'zod';

import { normaliseScheme } from '../authorize/origin.ts';
import type { AuthRequest } from '../authorize/request.ts';
import { Plaintext } from '../domain/plaintext.ts';
import { isStorable } from '../domain/text.ts';

/** The most bytes that the body of one verify may have: a gateway sends a few hundred. */
export const bodyMaxLength = 64 * 1024;

/** The most requests that one batch may hold. */
export const batchMaxLength = 100;

/** The most bytes that the body of a batch may have: 2.5 KiB for each request, where a full one of a browser has 1 KiB. */
export const batchBodyMaxLength = 256 * 1024;

const text = z.string().refine(isStorable);

/** A list of texts. Only the first fault is recorded: zod records all, a body has room for 100,000, and that many overflow its stack. */
const texts = z
  .array(z.unknown())
  .meta({ items: { type: 'string' } })
  .transform((list, context): readonly string[] => {
    const at = list.findIndex((one) => typeof one !== 'string' || !isStorable(one));
    if (at === -1) return list as readonly string[];
    const input = list[at];
    context.addIssue(
      typeof input === 'string'
        ? { code: 'custom', path: [at], input }
        : { code: 'invalid_type', expected: 'string', path: [at], input },
    );
    return z.NEVER;
  });

/** What is asked about. The descriptions are the reference of the API. */
export const requestSchema = z
  .strictObject({
    host: text.meta({
      description: 'The host that the client asked for, with or without its port. It finds the ApiCatalog.',
      examples: ['api.example.com'],
    }),
    method: text.meta({
      description:
        'The HTTP method, in upper case. `HEAD` follows `GET` unless the catalog lists it. `CONNECT` and `TRACE` are never allowed.',
      examples: ['GET'],
    }),
    path: text.meta({
      description:
        'The target of the request exactly as the client sent it, with its query: `/v1/x?y`. Do not decode or normalize it: a path that two programs could read differently is denied, also one that leads to another endpoint if case does not count. The absolute form `https://api.example.com/v1/x?y` is decided as its path, if it names the host and port of `host` and, where `scheme` is given, that scheme; a missing port means the default port of the scheme.',
      examples: ['/v1/subscribers?limit=10'],
    }),
    scheme: text.optional().meta({
      description:
        'How the client connected: `https`, `wss`, `http` or `ws`, in any case. `wss` counts as `https`, and `ws` as `http`. Pass it: without it the request counts as `http`, and most catalogs deny that.',
      examples: ['https'],
    }),
    application: text.optional().meta({
      description:
        'The application that the request names outside of its path. It decides on endpoints that work per application. If the path names another one, the request is denied.',
    }),
    customer: text.optional().meta({
      description:
        'The customer that the request is for. Keys with channels per customer are held to the channels of this customer; without it, to what all of their customers have in common. A value that does not fit the pattern of the catalog is an `invalid_request`.',
    }),
    targetChannels: texts.optional().meta({
      description:
        'The channels that the request sends to. The key must have all of them, or the whole request is denied. Leave it out to learn in the answer which channels the key has. An empty list is an `invalid_request`.',
    }),
    attributes: texts.optional().meta({
      description:
        'The attributes that the client wants in the answer of the API. The key must have all of them. Leave it out, or send an empty list, to learn which ones the key has.',
    }),
    sourceIp: text.optional().meta({
      description:
        'The address of the client, not that of a proxy. Pass it: keys with `allowedSources` are denied without it, it limits how often one network can guess keys, and `usedBy` in the status of the ApiKey shows its network. A port and an IPv6 zone are ignored (`203.0.113.7:4711`, `[2001:db8::1]:443`, `fe80::1%eth0`). An IPv4-mapped IPv6 address is the IPv4 address. For keys with `allowedSources`, a value that is not an address is denied, and `detail` says so; for other keys it counts as absent.',
      examples: ['203.0.113.7'],
    }),
    userAgent: text.optional().meta({
      description:
        'The `User-Agent` of the client. It decides nothing. Pass it so that `usedBy` in the status of the ApiKey shows which product still uses an old key, such as `curl/8.5.0`.',
      examples: ['curl/8.5.0'],
    }),
    upgrade: z.boolean().optional().meta({
      description:
        'Whether the client asks to switch protocols, for example to a WebSocket (`Connection: Upgrade`). Then only endpoints that the catalog marks with `upgrade: true` are allowed. Default: false.',
    }),
  })
  .describe('The request that a client made to an API.');

/** Wrapped at the door: from here on the value can neither be printed nor serialised. */
const credentialSchema = z.unknown().transform((key) => {
  if (key === undefined) return undefined;
  return typeof key === 'string' ? new Plaintext(key) : ('malformed' as const);
});

/** One request with the key that came with it. */
export const verifySchema = z
  .strictObject({
    key: credentialSchema.optional().meta({
      type: 'string',
      description:
        'The API key as the client sent it, without `Bearer` or the like. Leave it out if the client sent none: the verdict is then `key_missing`. A value that is not a string is `key_invalid`.',
    }),
    catalog: text.optional().meta({
      description:
        'The name of the ApiCatalog that must decide. It must have `request.host` too. Without it, the catalog that has the host decides.',
    }),
    request: requestSchema.meta({ description: 'The request to decide.' }),
  })
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
  }))
  .meta({ description: 'A request, and the API key that came with it.' });

/** Several of them. */
export const batchSchema = z
  .strictObject({
    requests: z
      .array(verifySchema)
      .min(1)
      .max(batchMaxLength)
      .describe(`1 to ${String(batchMaxLength)} requests. Each gets the verdict that it would get alone.`),
  })
  .describe('Several requests that are decided together.');

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
