import { lastApplied } from '../meta.ts';
import { listOf, type Variable } from './cel.ts';
import type { Ban } from './checks.ts';

/**
 * How large an ApiKey may become through writes that need none of our verbs. etcd takes 1.5 MiB, and every revocation, report, deletion and
 * status is a write of the same object: somebody who fills it up to that limit would stop them all. Near the limit, the API
 * server even drops `managedFields` to make room, which this policy refuses to whoever lacks `own`. An object that is already
 * over one of these limits may keep what it has, or lose some. Each write adds a little itself, if only its manager: so that nobody
 * stops others by filling an object exactly up to a limit, a write that uses a right of ours has some room beyond it (`isRightUsed`),
 * and one that ends the key has room whatever is there (`ends`). What `managedFields` say of spec and status has no limit: it needs `own`,
 * and the API server drops `managedFields` of an object that is too large, which a revocation may (`isEmptied` in `ownership.ts`).
 */
const limits = {
  /** Entries of each map or list of the metadata; the room is for our annotations. */
  entries: { limit: 100, room: 4 },
  /** Bytes of all annotations together. JSON takes up to six for each; the API server takes 256 KiB, before JSON. */
  annotations: { limit: 65_536, room: 4_096 },
  /** Bytes of `managedFields`, without what they say of spec and status: changing that needs `own`. */
  managers: { limit: 300_000, room: 10_000 },
  /**
   * Bytes that JSON takes for what `kubectl apply` compares with and for `customerChannels`, by far the largest of the spec. Every write of
   * them needs `own`, and what is below `fewest` always fits.
   */
  own: { limit: 900_000, fewest: 150_000 },
  /** Names that a manager owns of one map or list: the API server takes the square of it in time. */
  namesOfManager: 1_000,
  /** Longer lists, which must be older than this policy, are only counted, which costs nothing. */
  weighedManagers: 2_000,
};

/** The object as it is to be, or as it was. */
type Revision = 'object' | 'oldObject';

/**
 * What an entry of `managedFields` takes in bytes, at most: `entry` without its two texts and its names, `name` for a name in addition to
 * its length (quotes, colon, an empty object, a comma, and its time in the API server's merge), and `owner` for one owner reference, whose
 * six members have at most 64 characters each.
 */
const bytesFor = { entry: 180, name: 24, owner: 624 };

const fieldsOf = (m: string, member: string) =>
  `(has(${m}.fieldsV1) && '${member}' in ${m}.fieldsV1 ? dyn(${m}.fieldsV1)['${member}'] : dyn({}))`;
/** The API server bounds the two texts to 128 and 256 characters. */
const textsOf = (m: string) =>
  `${bytesFor.entry} + 6 * (${m}.?manager.orValue('').size() + ${m}.?subresource.orValue('').size())`;
const weightOf = (m: string) =>
  `${textsOf(m)} + [${fieldsOf(m, 'f:metadata')}].map(f, f.map(x, x.size() + ${bytesFor.name} + f[x].map(k, k.size() + (f[x][k].size() > 0 ? ${bytesFor.owner} : ${bytesFor.name})).sum()).sum()).sum()`;
const total = (object: Revision) => {
  const managers = listOf(object, 'managedFields');
  return `${managers}.size() > ${limits.weighedManagers} ? ${limits.managers.limit} + ${managers}.size() : ${managers}.map(m, ${weightOf('m')}).sum()`;
};

/** A name of a label, an annotation, a finalizer or an owner reference, as managers own them: JSON escapes nothing but quotes in it. */
const isName = (k: string) => `${k}.matches('^([.]|[fkv]:[-A-Za-z0-9._/:,{}"]+)$')`;
const isSmall = (fields: string) =>
  `${fields}.size() <= 6 && ${fields}.all(y, y.size() <= 64 && ${isName('y')} && ${fields}[y].size() == 0)`;
/** Whether an entry holds something that no write produces, and whose size nothing else limits. */
const isUnexpected = (m: string) =>
  [
    `!${m}.?apiVersion.orValue('').matches('^[-a-z0-9./]{0,64}$')`,
    `(has(${m}.fieldsV1) && !${m}.fieldsV1.all(k, k in ['f:metadata', 'f:spec', 'f:status']))`,
    `[${fieldsOf(m, 'f:metadata')}].exists(f, !f.all(x, x.size() <= 64 && ${isName('x')} && f[x].size() <= ${limits.namesOfManager} && f[x].all(k, ${isName('k')} && (f[x][k].size() == 0 || (x == 'f:ownerReferences' && ${isSmall('f[x][k]')})))))`,
    // A request may own what it changes, with another verb than "own".
    `[${fieldsOf(m, 'f:spec')}].exists(f, !['f:suspend', 'f:revoked'].all(x, !(x in f) || (${isSmall('f[x]')})))`,
  ].join(' || ');
const unexpected = (object: Revision) =>
  `${listOf(object, 'managedFields')}.size() > ${limits.weighedManagers} ? [] : ${listOf(object, 'managedFields')}.filter(m, ${isUnexpected('m')})`;

/** JSON takes six bytes for each of these, and for others two at limits. */
const isEscaped = (text: string) => `${text}.matches('[<>&\\x01-\\x08\\x0b\\x0c\\x0e-\\x1f]')`;
const lastAppliedWeight = (map: string) =>
  `[${map}[?'${lastApplied}'].orValue('')].map(a, bytes(a).size() * (${isEscaped('a')} ? 6 : 2)).sum()`;
const channelsWeight = (object: Revision) =>
  `${object}.spec.?customerChannels.orValue([]).map(c, 40 + 6 * c.customer.size() + c.channels.map(x, x.size() + 3).sum()).sum()`;

/** But for what kubectl apply compares with: changing that needs `own`. */
const bytesOf = (map: string) =>
  `${map}.filter(name, name != '${lastApplied}').map(name, name.size() + bytes(${map}[name]).size()).sum()`;

/** What the bans below ask for. */
export const sizes: readonly Variable[] = [
  { name: 'managersWeight', expression: total('object') },
  { name: 'oldManagersWeight', expression: `variables.isCreate ? 0 : (${total('oldObject')})` },
  { name: 'unexpectedManagers', expression: unexpected('object') },
  { name: 'oldUnexpectedManagers', expression: `variables.isCreate ? [] : (${unexpected('oldObject')})` },
  { name: 'lastAppliedWeight', expression: lastAppliedWeight('variables.annotations') },
  { name: 'ownWeight', expression: `variables.lastAppliedWeight + ${channelsWeight('object')}` },
  {
    name: 'oldOwnWeight',
    expression: `variables.isCreate ? 0 : ${lastAppliedWeight('variables.oldAnnotations')} + ${channelsWeight('oldObject')}`,
  },
  { name: 'ends', expression: '!variables.isCreate && (variables.revokes || variables.finalizers)' },
  { name: 'isRightUsed', expression: 'variables.ends || (!variables.isCreate && (variables.contents || variables.rotates))' },
];

const grows = (now: string, before: string, { limit, room }: { readonly limit: number; readonly room: number }) =>
  `${now} > (variables.isRightUsed ? ${limit + room} : ${limit}) && ${now} > ${before} + (variables.ends ? ${room} : 0)`;

/** The maps and lists of the metadata: how many entries each has now, and had before. */
const counted = [
  ['annotations', 'variables.annotations.size()', 'variables.oldAnnotations.size()'],
  ['labels', 'variables.labels.size()', 'variables.oldLabels.size()'],
  ...['finalizers', 'ownerReferences'].map(
    (what) =>
      [
        ...([what, `${listOf('object', what)}.size()`] as const),
        `(variables.isCreate ? 0 : ${listOf('oldObject', what)}.size())`,
      ] as const,
  ),
] as const;

/** What nobody may write, because an ApiKey would become too large for the writes that end it. */
export const sizeBans: readonly Ban[] = [
  ...counted.map(([what, now, before]): Ban => {
    return { when: grows(now, before, limits.entries), message: `an ApiKey has at most ${limits.entries.limit} ${what}` };
  }),
  {
    when: grows(bytesOf('variables.annotations'), bytesOf('variables.oldAnnotations'), limits.annotations),
    message: `all annotations of an ApiKey together have at most ${limits.annotations.limit} bytes`,
  },
  {
    when: `variables.lastAppliedWeight > ${limits.own.fewest} && variables.ownWeight > ${limits.own.limit} && variables.ownWeight > variables.oldOwnWeight`,
    message: `the annotation ${lastApplied} and customerChannels of an ApiKey together take at most ${limits.own.limit} bytes as JSON`,
  },
  {
    // The API server itself changes what was there before this policy, when it merges managers or takes a finalizer from all.
    when: `${grows('variables.managersWeight', 'variables.oldManagersWeight', limits.managers)} || (variables.ends ? variables.unexpectedManagers.size() > variables.oldUnexpectedManagers.size() : variables.unexpectedManagers.exists(m, !(m in variables.oldUnexpectedManagers)))`,
    message: `the managedFields of an ApiKey may hold only what a write produces, and at most ${limits.managers.limit} bytes`,
  },
];
