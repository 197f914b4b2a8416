import { z } from 'zod';

import { denyCodes } from '../authorize/verdict.ts';
import { allowedSchema, batchVerdictsSchema, deniedSchema, problemSchema, verdictSchema } from './answers.ts';
import { mostPieces } from './body.ts';
import { codes } from './codes.ts';
import { mostPipelined } from './connections.ts';
import { examples } from './examples.ts';
import type { Example } from './examples.ts';
import { headLimits } from './heads.ts';
import * as answers from './problems.ts';
import type { Problem } from './problems.ts';
import { problemBody } from './respond.ts';
import { batchBodyMaxLength, batchMaxLength, batchSchema, bodyMaxLength, requestSchema, verifySchema } from './verifyrequest.ts';

/** The schemas of the verify API by their names in the document. */
const schemas = {
  VerifyRequest: verifySchema,
  ClientRequest: requestSchema,
  BatchRequest: batchSchema,
  Verdict: verdictSchema,
  Allowed: allowedSchema,
  Denied: deniedSchema,
  BatchVerdicts: batchVerdictsSchema,
  Problem: problemSchema,
} as const;

interface DescribedProblem {
  readonly problem: Problem;
  /** What it means for the caller. */
  readonly meaning: string;
  /** Only a request with a body can get it. */
  readonly needsBody?: boolean;
}

/** Every answer without a verdict, by its name in the document. */
export const problemTable: Readonly<Record<string, DescribedProblem>> = {
  BadRequest: {
    problem: answers.badRequest('"request.host" is missing or not a string.'),
    meaning: `The body is not as documented, is not JSON in UTF-8, names a member twice, or comes in more than ${mostPieces.toLocaleString('en-US')} pieces; or a header that may occur only once occurs twice. \`detail\` says which. Fix the caller.`,
  },
  Unauthorized: {
    problem: answers.unauthorized,
    meaning: 'You did not prove who you are. Send `Keywright-Caller`, or use your client certificate.',
  },
  NotFound: { problem: answers.notFound, meaning: 'There is nothing at this path. Check the base URL.' },
  MethodNotAllowed: { problem: answers.methodNotAllowed('POST'), meaning: 'The path serves another method; `Allow` names it.' },
  LengthRequired: {
    problem: answers.lengthRequired,
    meaning: 'You sent a chunked body without proving who you are. Send a `Content-Length`, or prove who you are.',
    needsBody: true,
  },
  ContentTooLarge: {
    problem: answers.tooLarge(bodyMaxLength),
    meaning: `The body is larger than ${kib(bodyMaxLength)}, or than ${kib(batchBodyMaxLength)} for a batch. The connection is closed.`,
    needsBody: true,
  },
  UnsupportedMediaType: { problem: answers.compressed, meaning: 'The body is compressed. Send it as it is.', needsBody: true },
  ExpectationFailed: { problem: answers.expectationFailed, meaning: '`Expect` asks for something other than `100-continue`.' },
  InternalServerError: { problem: answers.failed, meaning: 'A defect in Keywright. Its log has the details.' },
  ServiceUnavailable: {
    problem: answers.noRoom,
    meaning: 'Other requests hold all the memory for bodies and answers. Try again after `Retry-After` seconds.',
  },
};

/** What the API is for, and the one rule for its callers. */
export const purpose =
  'Ask what an API key may do with one request. A verdict is always a 200: send its own `status` to your client. ' +
  'Every other answer is a problem (RFC 9457), and there is no verdict: do not let the request pass.';

/** What a body may be, as sentences. */
export const limits: readonly string[] = [
  `The body of \`/v1/verify\` has at most ${kib(bodyMaxLength)}.`,
  `The body of \`/v1/verify/batch\` has at most ${kib(batchBodyMaxLength)}, with 1 to ${String(batchMaxLength)} requests: room for ${String(batchMaxLength)} full ones.`,
  'A body is JSON in UTF-8, not compressed, and names no member twice. Unknown members are refused.',
  'Strings must not contain NUL or unpaired surrogates.',
  `A head has at most ${kib(headLimits.bytes)} and ${String(headLimits.lines)} lines. One connection has at most ${String(mostPipelined)} unanswered requests.`,
];

/** How a caller proves itself, by the name of the scheme. */
const proofs = {
  callerToken: {
    type: 'apiKey',
    in: 'header',
    name: 'Keywright-Caller',
    description: 'The token of a caller. Its SHA-256 is in the file `KEYWRIGHT_CALLER_TOKENS_FILE` of the authorizer.',
  },
  clientCertificate: {
    type: 'mutualTLS',
    description: 'A client certificate issued by an authority in `KEYWRIGHT_CLIENT_CA_FILE`.',
  },
} as const;

/** The verify API in OpenAPI 3.1, made from the schemas that the server itself reads and writes. */
export function openApiDocument() {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Keywright verify API',
      version: 'v1',
      description: `${purpose}\n\n${limits.map((limit) => `- ${limit}`).join('\n')}`,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The authorizer that served this document.' }],
    // Either of them. On loopback and a Unix socket neither is needed while neither is configured.
    security: [{ callerToken: [] }, { clientCertificate: [] }],
    paths: {
      '/v1/verify': {
        post: {
          ...{ operationId: 'verify', summary: 'Decide one request' },
          description: `The verdict on one request and its key. These are the codes of a denial:\n\n${codeList()}`,
          ...bodies('VerifyRequest', 'Verdict', [examples.allowed, examples.channelNotAssigned, examples.keyMissing]),
        },
      },
      '/v1/verify/batch': {
        post: {
          ...{ operationId: 'verifyBatch', summary: 'Decide several requests' },
          description: 'The verdicts come in the order of the requests. One malformed request makes the whole batch a 400.',
          ...bodies('BatchRequest', 'BatchVerdicts', [examples.batch]),
        },
      },
      '/openapi.json': {
        get: {
          ...{ operationId: 'openApi', summary: 'Read this document' },
          responses: {
            200: { description: 'This document.', content: { 'application/json': { schema: { type: 'object' } } } },
            ...responses(({ needsBody = false }) => !needsBody),
          },
        },
      },
    },
    components: { schemas: jsonSchemas(), responses: problemResponses(), securitySchemes: proofs },
  };
}

/** The JSON Schemas of {@link schemas}, which refer to each other. */
function jsonSchemas(): Readonly<Record<string, object>> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id });
  const uri = (id: string): string => `#/components/schemas/${id}`;
  const made = z.toJSONSchema(registry, { io: 'input', target: 'draft-2020-12', uri }).schemas;
  return Object.fromEntries(Object.entries(made).map(([id, { $schema: _dialect, $id: _address, ...schema }]) => [id, schema]));
}

function bodies(asked: keyof typeof schemas, answered: keyof typeof schemas, shown: readonly Example[]): object {
  const named = (part: 'body' | 'answer'): object =>
    Object.fromEntries(
      Object.entries(examples)
        .filter(([, example]) => shown.includes(example))
        .map(([name, example]) => [name, { summary: example.title, value: example[part] }]),
    );
  const content = (name: string, part: 'body' | 'answer'): object => ({
    'application/json': { schema: { $ref: `#/components/schemas/${name}` }, examples: named(part) },
  });
  return {
    requestBody: { required: true, content: content(asked, 'body') },
    responses: {
      200: { description: 'The verdict, whether or not the request may pass.', content: content(answered, 'answer') },
      ...responses(() => true),
    },
  };
}

function responses(isWanted: (described: DescribedProblem) => boolean): object {
  const entries = Object.entries(problemTable)
    .filter(([, described]) => isWanted(described))
    .map(([name, { problem }]): [string, object] => [String(problem.status), { $ref: `#/components/responses/${name}` }]);
  return Object.fromEntries(entries);
}

function problemResponses(): object {
  return Object.fromEntries(
    Object.entries(problemTable).map(([name, { problem, meaning }]) => [
      name,
      {
        description: meaning,
        ...headersOf(problem),
        content: {
          'application/problem+json': {
            schema: { $ref: '#/components/schemas/Problem' },
            example: problemBody(problem),
          },
        },
      },
    ]),
  );
}

/** Without `connection`, which is not of the answer but of the connection. */
function headersOf({ headers = {} }: Problem): { readonly headers?: object } {
  const own = Object.entries(headers).filter(([name]) => name !== 'connection');
  const described = own.map(([name, value]) => [name, { schema: { type: 'string' }, example: value }]);
  return own.length === 0 ? {} : { headers: Object.fromEntries(described) as object };
}

function codeList(): string {
  return denyCodes.map((code) => `- \`${code}\` (${String(codes[code].status)}): ${codes[code].detail}`).join('\n');
}

function kib(bytes: number): string {
  return `${String(bytes / 1024)} KiB`;
}
