import { conditionTypes } from '../operator/src/api/conditions.ts';
import type { ApiKind, KindEntry } from '../operator/src/api/kinds.ts';
import { apiKinds, kindTable } from '../operator/src/api/kinds.ts';
import { annotations, apiVersion } from '../operator/src/api/meta.ts';
import type { CelValidation } from '../operator/src/api/rule.ts';
import { unenforced } from '../operator/src/reconcile/enforcement.ts';
import type { Schema } from '../operator/src/api/structural.ts';
import { toStructural } from '../operator/src/api/structural.ts';
import { reasons } from '../operator/src/domain/reason.ts';
import { longestCompromisedRequest, longestRotateRequest } from '../operator/src/reconcile/rotation/requests.ts';
import { cell } from './markdown.ts';

/** The reference page of a kind, in Markdown. */
export function kindPage(kind: ApiKind): string {
  const entry = kindTable[kind];
  const rules = [...rulesIn(toStructural(entry.spec), 'spec')];
  return [
    `# ${kind}`,
    '',
    entry.description,
    '',
    ...factsOf(entry),
    '',
    '## spec',
    '',
    ...fieldTable(toStructural(entry.spec), 'spec'),
    ...(rules.length === 0
      ? []
      : ['', '## Rules', '', 'Beyond the fields one by one, the API server and the standalone mode hold these:', '', ...rules]),
    ...unenforcedIn(kind),
    ...(kind === 'ApiKey' ? annotationTable : []),
    '',
    '## status',
    '',
    'Only the operator writes it.',
    '',
    ...fieldTable(toStructural(entry.status), 'status'),
    '',
  ].join('\n');
}

/** What a user may ask for by an annotation: its values, what follows, and the verb that the admission policy asks for. */
const annotationUses: Readonly<Record<keyof typeof annotations, readonly [values: string, meaning: string, right: string]>> = {
  rotate: [
    `a text that it did not have before, such as the time; at most ${String(longestRotateRequest)} characters`,
    'Rotates the key once: the old value works on during the overlap. Waits while the key is suspended, and while two versions live.',
    '`rotate`',
  ],
  compromised: [
    `key ids, separated by commas, or \`all\`; at most ${String(longestCompromisedRequest)} characters`,
    'Ends these versions at once, without an overlap. If the newest is among them, a new one is minted (while the key is paused: afterwards).',
    '`revoke`',
  ],
  paused: [
    '`true`; anything else counts as absent',
    'The operator mints, delivers and rotates nothing. What works goes on working; revocations and expiry take effect.',
    '`rotate`',
  ],
  confirm: [
    'the value that the message of the condition Ready names',
    'Accepts what was written while the admission policy was not in force (`AdmissionPolicyMissing`).',
    'all that a create of this ApiKey needs, and `rotate`; `revoke` too if it is suspended or revoked',
  ],
};

const annotationTable: readonly string[] = [
  '',
  '## Annotations',
  '',
  'These ask for something without a change of the spec. To write one needs `patch` on the ApiKey, and the [right](permissions.md) in the last column.',
  '',
  '| annotation | value | what it does | right |',
  '|---|---|---|---|',
  ...Object.entries(annotationUses).map(
    ([use, texts]) => `| \`${annotations[use as keyof typeof annotations]}\` | ${texts.map(cell).join(' | ')} |`,
  ),
  '',
  `A value of \`${annotations.rotate}\` or \`${annotations.compromised}\` is handled once. Give another value to ask again, or take the annotation away first. A value that is there before the first version is minted asks for nothing. [Revoke a key](../how-to/revoke-a-key.md) has the commands.`,
];

/** What of the spec has no effect, if anything. */
function unenforcedIn(kind: ApiKind): readonly string[] {
  const list = unenforced[kind].map(({ field, instead }) => `- \`${field}\`: ${instead}.`);
  if (list.length === 0) return [];
  const said =
    'This version accepts these fields and does not enforce them. The condition `Enforced` says so where somebody set one; a default is not told.';
  return ['', '## Not enforced', '', said, '', ...list];
}

/** The page of conditions and reasons, in Markdown. */
export function conditionsPage(): string {
  return [
    '# Conditions and reasons',
    '',
    'Every condition has a type, a status (True, False or Unknown), a reason from the list below, and a sentence. Conditions, events, logs and metrics use the same reasons.',
    '',
    '## Types',
    '',
    '| type | True means |',
    '|---|---|',
    ...Object.entries(conditionTypes).map(([type, meaning]) => `| \`${type}\` | ${cell(meaning)} |`),
    '',
    '## Reasons',
    '',
    '| reason | meaning |',
    '|---|---|',
    ...Object.entries(reasons).map(([reason, meaning]) => `| \`${reason}\` | ${cell(meaning)} |`),
    '',
  ].join('\n');
}

/** The list of pages, in Markdown. */
export function indexPage(): string {
  return [
    '# Reference',
    '',
    `The five kinds of \`${apiVersion}\`, each with its fields, defaults and bounds. The folder [schemas](schemas) has a JSON Schema per kind for editors.`,
    '',
    ...apiKinds.map((kind) => `- [${kind}](${kind.toLowerCase()}.md): ${lowerFirst(kindTable[kind].description)}`),
    '- [Conditions and reasons](conditions.md): what a status says, and what each word means.',
    '- [Chart](chart.md): the values of the Helm chart.',
    '- [Configuration](configuration.md): the environment variables of a process.',
    '- [Permissions](permissions.md): who may do what, and the roles.',
    '- [Verify API](verify.md): what gateways send and receive; as an OpenAPI document: [openapi.json](openapi.json).',
    '- [Verdicts](verdicts.md): the codes of a denial.',
    '',
    'An editor with the YAML language server completes and checks a manifest that begins with a line such as',
    '',
    '```yaml',
    '# yaml-language-server: $schema=../../docs/reference/schemas/apikey.json',
    '```',
    '',
    'where the address, or a path from the manifest, leads to the schema of the kind.',
    '',
  ].join('\n');
}

function factsOf(entry: KindEntry): readonly string[] {
  const names = [entry.plural, entry.singular, ...entry.shortNames].map((name) => `\`${name}\``).join(', ');
  const selectable = entry.selectableFields.map((path) => `\`${path.slice(1)}\``).join(', ');
  return [
    `- apiVersion: \`${apiVersion}\``,
    `- Scope: ${entry.scope === 'Cluster' ? 'the cluster' : 'a namespace'}`,
    `- kubectl knows it as ${names}.`,
    ...(selectable === '' ? [] : [`- Field selectors: ${selectable}.`]),
  ];
}

function fieldTable(schema: Schema, path: string): readonly string[] {
  return ['| field | type | default | |', '|---|---|---|---|', ...rowsOf(schema, path)];
}

function rowsOf(schema: Schema, path: string): readonly string[] {
  const required = new Set((schema['required'] as readonly string[] | undefined) ?? []);
  return Object.entries(membersOf(schema)).flatMap(([name, member]) => {
    const own = `${path}.${name}`;
    const description = `${required.has(name) ? '**Required.** ' : ''}${textOf(member['description'])}`;
    const row = `| \`${own}\` | ${typeOf(member)} | ${defaultOf(member)} | ${cell(description)} |`;
    const items = member['items'] as Schema | undefined;
    return [row, ...(items === undefined ? rowsOf(member, own) : rowsOf(items, `${own}[]`))];
  });
}

function membersOf(schema: Schema): Readonly<Record<string, Schema>> {
  return (schema['properties'] as Readonly<Record<string, Schema>> | undefined) ?? {};
}

function typeOf(schema: Schema): string {
  const items = schema['items'] as Schema | undefined;
  if (items !== undefined) return `list of ${typeOf(items)}`;
  if (schema['enum'] !== undefined)
    return (schema['enum'] as readonly unknown[]).map((value) => `\`${String(value)}\``).join(' \\| ');
  if (schema['additionalProperties'] !== undefined) return 'map of texts';
  if (schema['format'] === 'date-time') return 'instant';
  const names: Readonly<Record<string, string>> = {
    string: 'text',
    integer: 'whole number',
    boolean: 'true or false',
    object: 'object',
  };
  return names[String(schema['type'])] ?? 'text or list';
}

function defaultOf(schema: Schema): string {
  const value = schema['default'];
  // An empty object only lets the defaults of its members through, and a default condition is told elsewhere.
  if (
    value === undefined ||
    JSON.stringify(value) === '{}' ||
    textOf(schema['description']).startsWith('The state in conditions')
  )
    return '';
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function* rulesIn(schema: Schema, path: string): Generator<string> {
  const rules = (schema['x-kubernetes-validations'] as readonly CelValidation[] | undefined) ?? [];
  // A list's entries and a text's own bounds are told in the field's row.
  if (schema['type'] === 'object')
    for (const { message, fieldPath = '' } of rules) yield `- \`${path}${fieldPath}\`: ${message}.`;
  for (const [name, member] of Object.entries(membersOf(schema))) yield* rulesIn(member, `${path}.${name}`);
  const items = schema['items'] as Schema | undefined;
  if (items !== undefined) yield* rulesIn(items, `${path}[]`);
}

const textOf = (value: unknown) => (typeof value === 'string' ? value : '');
const lowerFirst = (text: string) => text.charAt(0).toLowerCase() + text.slice(1);
