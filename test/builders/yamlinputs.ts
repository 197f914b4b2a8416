import { keySpecText } from './keytext.ts';

/** What a manifest means, as far as a case says it: an object of those that it declares, in order. */
export interface Meaning {
  readonly kind?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** A manifest, and what kubectl with the API server makes of it. */
export interface YamlInput {
  readonly title: string;
  readonly text: string;
  readonly means: 'refused' | readonly Meaning[];
}

interface Parts {
  /** Lines of metadata; default: a name. */
  readonly metadata?: string;
  /** Lines of spec beyond those that must be there. */
  readonly spec?: string;
  readonly displayName?: string;
  /** Before the document. */
  readonly before?: string;
}

function key({ metadata = 'name: one', spec = '', displayName = 'One', before = '' }: Parts): string {
  const indented = (lines: string): string => lines.replaceAll(/^(?=.)/gm, '  ');
  return `${before}apiVersion: keywright.dev/v1alpha1
kind: ApiKey
metadata:
${indented(metadata)}
spec:
${keySpecText({ displayName, secret: 'one' })}${indented(spec)}
`;
}

const json = (name: string, more: object = {}) => ({
  apiVersion: 'keywright.dev/v1alpha1',
  kind: 'KeyOwner',
  metadata: { name },
  spec: { type: 'User', displayName: 'Ana' },
  ...more,
});

const shown = (displayName: string): readonly Meaning[] => [{ spec: { displayName } }];
const limited = (requests: string): string => key({ spec: `rateLimit: { requests: ${requests}, per: 1s }` });
const limit = (requests: number): readonly Meaning[] => [{ spec: { rateLimit: { requests, per: '1s' } } }];
const annotated = (text: string): string => key({ metadata: `name: one\nannotations: ${text}` });
const annotations = (found: Readonly<Record<string, string>>): readonly Meaning[] => [{ metadata: { annotations: found } }];
const owner = (text: string): string =>
  `apiVersion: keywright.dev/v1alpha1\nkind: KeyOwner\nmetadata: ${text}\nspec: { type: User, displayName: Ana }\n`;

/** Fields that a case is about → its name, text and meaning. */
const rows: readonly (readonly [title: string, text: string, means: YamlInput['means']])[] = [
  // true and false
  ...['yes', 'Yes', 'YES', 'y', 'on', 'On', 'true', 'TRUE', '!!bool yes', '!!bool "on"'].map(
    (word) => [`suspend: ${word}`, key({ spec: `suspend: ${word}` }), [{ spec: { suspend: true } }]] as const,
  ),
  ...['no', 'n', 'off', 'OFF', 'False'].map(
    (word) => [`suspend: ${word}`, key({ spec: `suspend: ${word}` }), [{ spec: { suspend: false } }]] as const,
  ),
  ...['"yes"', 'tRue', '1', '!!str true', '!local true', '!!bool maybe'].map(
    (word) => [`suspend: ${word}`, key({ spec: `suspend: ${word}` }), 'refused'] as const,
  ),
  // texts
  ...['yes', 'off', '1', '1_000', '0x1F', '1e3', '.5', '~', 'null', '.inf', '12:', '[a]', '{a}', '{{hvs.ABC}}', '@x', '%x'].map(
    (word) => [`displayName: ${word}`, key({ displayName: word }), 'refused'] as const,
  ),
  ...(
    [
      ['2001-01-01', '2001-01-01'],
      ['2001-12-14T21:59:43.10-05:00', '2001-12-14T21:59:43.10-05:00'],
      ['!!timestamp 2001-01-01', '2001-01-01'],
      ['190:20:30', '190:20:30'],
      ['1:30', '1:30'],
      ['"yes"', 'yes'],
      ['!!str 1', '1'],
      ['!foo 5', '5'],
      ['! 5', '5'],
      ['!!binary aGVsbG8=', 'hello'],
      ['_1', '_1'],
      ['0o8', '0o8'],
      ['1e400', '1e400'],
      ['0x1p4', '0x1p4'],
      ['nUll', 'nUll'],
      ['<<', '<<'],
      ['=', '='],
      ['a:b', 'a:b'],
      ['a#b # c', 'a#b'],
      ["'it''s'", "it's"],
      ['>-\n    two\n    lines', 'two lines'],
    ] as const
  ).map(([text, value]) => [`displayName: ${text}`, key({ displayName: text }), shown(value)] as const),
  ['displayName: !!timestamp foo', key({ displayName: '!!timestamp foo' }), 'refused'],
  ['displayName: !!binary "%%"', key({ displayName: '!!binary "%%"' }), 'refused'],
  ['displayName: a bell', key({ displayName: '"\u0007"' }), 'refused'],
  // numbers
  ...(
    [
      ['1_000', 1000],
      ['0123', 83],
      ['0o17', 15],
      ['08', 8],
      ['0x1F', 31],
      ['0b101', 5],
      ['0b-1', undefined],
      ['1e3', 1000],
      ['5.', 5],
      ['+12', 12],
      ['1_0.0', 10],
      ['!!int "5"', 5],
      ['!!float 5', 5],
      ['2.5', undefined],
      ['"5"', undefined],
      ['1:30', undefined],
      ['.nan', undefined],
      ['!!int 5.5', undefined],
      ['18446744073709551616', undefined],
    ] as const
  ).map(
    ([text, value]) => [`rateLimit.requests: ${text}`, limited(text), value === undefined ? 'refused' : limit(value)] as const,
  ),
  // names of members
  [
    'annotations of true, 1, 1.50, 0x10 and a date',
    annotated('{ yes: a, 1: b, 1.50: c, 0x10: d, 2001-01-01: e }'),
    annotations({ true: 'a', '1': 'b', '1.5': 'c', '16': 'd', '2001-01-01': 'e' }),
  ],
  ['an annotation named null', annotated('{ ~: a }'), 'refused'],
  ['an annotation named by a map', annotated('{ { a: b }: c }'), 'refused'],
  ['an annotation that is a number', annotated('{ a: 1 }'), 'refused'],
  ['an annotation that is yes', annotated('{ a: yes }'), 'refused'],
  ['no annotations', key({ metadata: 'name: one\nannotations:\nlabels: ~' }), [{ metadata: { name: 'one' } }]],
  ['metadata.name: 123', key({ metadata: 'name: 123' }), 'refused'],
  ['metadata.name: on', key({ metadata: 'name: on' }), 'refused'],
  ['metadata.name: "123"', key({ metadata: 'name: "123"' }), [{ metadata: { name: '123' } }]],
  ['an unknown member of metadata', key({ metadata: 'name: one\nlabel: { a: b }' }), 'refused'],
  ['a label of two words', key({ metadata: 'name: one\nlabels: { a: two words }' }), 'refused'],
  ['an empty label', key({ metadata: 'name: one\nlabels: { a: "" }' }), [{ metadata: { labels: { a: '' } } }]],
  ['a label named by two words', key({ metadata: 'name: one\nlabels: { two words: a }' }), 'refused'],
  ['a label with capitals in its prefix', key({ metadata: 'name: one\nlabels: { Example.com/a: b }' }), 'refused'],
  [
    'an annotation with capitals in its prefix',
    annotated('{ Example.com/a: two words }'),
    annotations({ 'Example.com/a': 'two words' }),
  ],
  ['an annotation with two slashes', annotated('{ a/b/c: d }'), 'refused'],
  ['a label without a value', key({ metadata: 'name: one\nlabels: { a: }' }), [{ metadata: { labels: { a: '' } } }]],
  // namespaces
  ['namespace: ""', key({ metadata: 'name: one\nnamespace: ""' }), [{ metadata: { namespace: 'default' } }]],
  ['namespace without a value', key({ metadata: 'name: one\nnamespace:' }), [{ metadata: { namespace: 'default' } }]],
  ['namespace: no', key({ metadata: 'name: one\nnamespace: no' }), 'refused'],
  ['a KeyOwner with namespace: ""', owner('{ name: ana, namespace: "" }'), [{ kind: 'KeyOwner', metadata: { name: 'ana' } }]],
  ['a KeyOwner with a namespace', owner('{ name: ana, namespace: default }'), [{ kind: 'KeyOwner', metadata: { name: 'ana' } }]],
  // merges and aliases
  [
    '<< of an alias',
    key({ metadata: 'name: one\nlabels: &x { a: one, b: two }\nannotations: { <<: *x, a: three }' }),
    annotations({ a: 'three', b: 'two' }),
  ],
  [
    '<< behind the member',
    key({ metadata: 'name: one\nlabels: &x { a: one }\nannotations: { a: three, <<: *x }' }),
    annotations({ a: 'one' }),
  ],
  ['<< of a list', annotated('{ <<: [{ a: one }, { a: two, b: two }] }'), annotations({ a: 'one', b: 'two' })],
  ['<< in a <<', annotated('{ <<: { <<: { a: one }, b: two } }'), annotations({ a: 'one', b: 'two' })],
  ['"<<" in quotes', annotated('{ "<<": one }'), 'refused'],
  ['<< of a text', annotated('{ <<: one }'), 'refused'],
  ['<< of an alias of a list', key({ metadata: 'name: one\nannotations: { <<: &x [{ a: b }] }\nlabels: { <<: *x }' }), 'refused'],
  ['<< of spec', key({ metadata: 'name: one', spec: '<<: { suspend: yes }' }), [{ spec: { suspend: true } }]],
  ['an alias as a name', annotated('{ a: &x b, *x : c }'), annotations({ a: 'b', b: 'c' })],
  ['an alias of itself', annotated('&x { a: *x }'), 'refused'],
  ['a map with a tag', annotated('!!omap { a: b }'), annotations({ a: 'b' })],
  // Secrets and Namespaces
  [
    'a Secret with a slip in a field',
    'apiVersion: v1\nkind: Secret\nmetadata: { name: vault, namespace: keywright-system }\nstringdata: { token: x }\n',
    'refused',
  ],
  [
    'a Secret with an unquoted template',
    'apiVersion: v1\nkind: Secret\nmetadata: { name: vault, namespace: keywright-system }\nstringData: { token: {{hvs.ABC}} }\n',
    'refused',
  ],
  [
    'a Secret with a number',
    'apiVersion: v1\nkind: Secret\nmetadata: { name: vault, namespace: keywright-system }\nstringData: { token: 0123 }\n',
    'refused',
  ],
  [
    'a Namespace with labels and nothing else',
    'apiVersion: v1\nkind: Namespace\nmetadata: { name: payments, labels: { team: "yes" }, annotations: }\n',
    [{ kind: 'Namespace', metadata: { name: 'payments', labels: { team: 'yes' } } }],
  ],
  ['a Namespace with a slip in a field', 'apiVersion: v1\nkind: Namespace\nmetadata: { name: payments, label: {} }\n', 'refused'],
  // documents
  ['a directive', key({ before: '%YAML 1.1\n---\n' }), 'refused'],
  ['a document on the line of ---', '--- { apiVersion: v1 }\n', 'refused'],
  ['a comment on the line of ---', key({ before: '--- # one\n' }), [{ metadata: { name: 'one' } }]],
  ['a line of ----', key({ before: '----\n' }), 'refused'],
  [
    'two documents',
    `${owner('{ name: ana }')}---\n${owner('{ name: eve }')}`,
    [{ metadata: { name: 'ana' } }, { metadata: { name: 'eve' } }],
  ],
  ['JSON', JSON.stringify(json('ana'), undefined, '\t'), [{ metadata: { name: 'ana' } }]],
  [
    'JSON objects one after another',
    `${JSON.stringify(json('ana'))}\n${JSON.stringify(json('eve'))}`,
    [{ metadata: { name: 'ana' } }, { metadata: { name: 'eve' } }],
  ],
  [
    'a JSON escape that YAML 1.1 does not have',
    JSON.stringify(json('ana')).replace('"Ana"', '"A\\/B"'),
    [{ spec: { displayName: 'A/B' } }],
  ],
  ['half of a character in an escape', key({}).replace(/displayName: .*/, String.raw`displayName: "a\ud800b"`), 'refused'],
  ['Windows line ends', key({}).replaceAll('\n', '\r\n'), [{ metadata: { name: 'one' } }]],
  ['a byte order mark', `\ufeff${key({})}`, [{ metadata: { name: 'one' } }]],
  ['a tab as indentation', key({}).replace('  displayName', '\tdisplayName'), 'refused'],
  // lists
  [
    'a List',
    JSON.stringify({ apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '' }, items: [json('ana'), json('eve')] }),
    [{ metadata: { name: 'ana' } }, { metadata: { name: 'eve' } }],
  ],
  [
    'a KeyOwnerList, whose items do not say their kind',
    JSON.stringify({
      apiVersion: 'keywright.dev/v1alpha1',
      kind: 'KeyOwnerList',
      items: [{ metadata: { name: 'ana' }, spec: { type: 'User', displayName: 'Ana' } }],
    }),
    [{ kind: 'KeyOwner', metadata: { name: 'ana' } }],
  ],
  [
    'a List in a List',
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'List',
      items: [{ apiVersion: 'v1', kind: 'List', items: [json('ana')] }, json('eve')],
    }),
    'refused',
  ],
  ['a List with an item that is none', JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [json('ana'), null] }), 'refused'],
  ['a List without items', 'apiVersion: v1\nkind: List\n', 'refused'],
  ['a List of nothing', 'apiVersion: v1\nkind: List\nitems: []\n', []],
];

/** Each in a file of its own. */
export const yamlInputs: readonly YamlInput[] = rows.map(([title, text, means]) => ({ title, text, means }));
