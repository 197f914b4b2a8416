import { examples } from '../operator/src/server/examples.ts';
import { limits, openApiDocument, problemTable, purpose } from '../operator/src/server/openapi.ts';
import { jsonBlock, table } from './markdown.ts';

/** A member of a JSON Schema, as far as a table shows it. */
interface Member {
  readonly description?: string;
  readonly type?: string;
  readonly format?: string;
  readonly const?: string | boolean;
  readonly enum?: readonly (string | number)[];
  readonly items?: Member;
  readonly anyOf?: readonly Member[];
  readonly $ref?: string;
}

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, Member>>;
  readonly required?: readonly string[];
}

/** `docs/reference/verify.md`: the verify API, from the document that the server serves. */
export function verifyPage(): string {
  const document = openApiDocument();
  const schemaOf = (name: string): ObjectSchema => document.components.schemas[name] ?? {};
  const batch = document.paths['/v1/verify/batch'].post;
  const asked = (name: string): readonly string[] => memberTable(schemaOf(name), 'Required');
  const answered = (name: string): readonly string[] => memberTable(schemaOf(name), 'Always there');
  return [
    '# Verify API',
    '',
    purpose,
    '',
    'The same in machine-readable form: [openapi.json](openapi.json) (OpenAPI 3.1). The authorizer serves it at `GET /openapi.json`. Generate your client from it.',
    '',
    '## Prove who you are',
    '',
    'Send one of these with every request, also to `/openapi.json`. On loopback and on a Unix socket you need neither if neither is configured.',
    '',
    `- The header \`${document.components.securitySchemes.callerToken.name}\`: ${lowerFirst(document.components.securitySchemes.callerToken.description)}`,
    `- Mutual TLS: ${lowerFirst(document.components.securitySchemes.clientCertificate.description)}`,
    '',
    '## POST /v1/verify',
    '',
    `${document.paths['/v1/verify'].post.summary}.`,
    '',
    ...asked('VerifyRequest'),
    '',
    '### request',
    '',
    ...asked('ClientRequest'),
    '',
    '### The answer if the request may pass',
    '',
    'Members that do not apply are absent. Ignore members that you do not know: later versions may have more.',
    '',
    ...answered('Allowed'),
    '',
    '### The answer if it may not',
    '',
    'The codes are in [Verdicts](verdicts.md).',
    '',
    ...answered('Denied'),
    '',
    '## POST /v1/verify/batch',
    '',
    `${batch.summary}. ${batch.description}`,
    '',
    ...asked('BatchRequest'),
    '',
    'The answer:',
    '',
    ...answered('BatchVerdicts'),
    '',
    '## Limits',
    '',
    ...limits.map((limit) => `- ${limit}`),
    '',
    '## Problems',
    '',
    'They are `application/problem+json` (RFC 9457).',
    '',
    ...answered('Problem'),
    '',
    ...table(
      ['Status', 'Title', 'Meaning'],
      Object.values(problemTable).map(({ problem, meaning }) => [String(problem.status), problem.title, meaning]),
    ),
    '',
    '## Examples',
    '',
    'The key is a sample: it opens nothing.',
    '',
    ...Object.values(examples).flatMap(({ title, path, body, answer }) => [
      `### ${title}`,
      '',
      `\`POST ${path}\``,
      '',
      ...jsonBlock(body),
      '',
      'The answer:',
      '',
      ...jsonBlock(answer),
      '',
    ]),
  ].join('\n');
}

function memberTable({ properties = {}, required = [] }: ObjectSchema, presence: string): readonly string[] {
  const rows = Object.entries(properties).map(([name, member]) => {
    const isRequired = required.includes(name) ? `**${presence}.** ` : '';
    return [`\`${name}\``, typeOf(member), `${isRequired}${member.description ?? ''}`];
  });
  return table(['Field', 'Type', 'Meaning'], rows);
}

function typeOf(member: Member): string {
  if (member.$ref !== undefined) return referenced[member.$ref.split('/').at(-1) ?? ''] ?? 'object';
  if (member.anyOf !== undefined) return member.anyOf.map(typeOf).join(', or ');
  if (member.items !== undefined) return `list of ${typeOf(member.items)}`;
  if (member.const !== undefined) return `\`${String(member.const)}\``;
  if (member.enum !== undefined && member.type === 'number') return member.enum.map((one) => `\`${String(one)}\``).join(', ');
  if (member.format === 'date-time') return 'instant';
  const names: Readonly<Record<string, string>> = { string: 'text', integer: 'whole number', boolean: 'true or false' };
  return names[member.type ?? ''] ?? 'object';
}

const referenced: Readonly<Record<string, string>> = {
  ClientRequest: '[request](#request)',
  VerifyRequest: 'bodies of [`/v1/verify`](#post-v1verify)',
  Verdict: 'verdicts',
};

const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);
