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
const most = {
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
  names: 1_000,
  /** Longer lists, which must be older than this policy, are only counted, which costs nothing. */
  weighed: 2_000,
};

type Version = 'object' | 'oldObject';

const fieldsOf = (m: string, member: string) =>
  `(has(${m}.fieldsV1) && '${member}' in ${m}.fieldsV1 ? dyn(${m}.fieldsV1)['${member}'] : dyn({}))`;
/** What an entry takes besides its names, at most; the API server bounds the two texts to 128 and 256 bytes. */
const bareWeight = (m: string) => `180 + 6 * (${m}.?manager.orValue('').size() + ${m}.?subresource.orValue('').size())`;
/** A name costs time besides its bytes. Below it there is nothing, but for the owner references: six members. */
const weightOf = (m: string) =>
  `${bareWeight(m)} + [${fieldsOf(m, 'f:metadata')}].map(f, f.map(x, x.size() + 24 + f[x].map(k, k.size() + (f[x][k].size() > 0 ? 624 : 24)).sum()).sum()).sum()`;
const total = (object: Version) => {
  const managers = listOf(object, 'managedFields');
  return `${managers}.size() > ${most.weighed} ? ${most.managers.limit} + ${managers}.size() : ${managers}.map(m, ${weightOf('m')}).sum()`;
};

/** A name of a label, an annotation, a finalizer or an owner reference, as managers own them: JSON escapes nothing but quotes in it. */
const isName = (k: string) => `${k}.matches('^([.]|[fkv]:[-A-Za-z0-9._/:,{}"]+)$')`;
const isSmall = (fields: string) =>
  `${fields}.size() <= 6 && ${fields}.all(y, y.size() <= 64 && ${isName('y')} && ${fields}[y].size() == 0)`;
/** Whether an entry holds something that no write produces, and whose size nothing else limits. */
const isCrooked = (m: string) =>
  [
    `!${m}.?apiVersion.orValue('').matches('^[-a-z0-9./]{0,64}$')`,
    `(has(${m}.fieldsV1) && !${m}.fieldsV1.all(k, k in ['f:metadata', 'f:spec', 'f:status']))`,
    `[${fieldsOf(m, 'f:metadata')}].exists(f, !f.all(x, x.size() <= 64 && ${isName('x')} && f[x].size() <= ${most.names} && f[x].all(k, ${isName('k')} && (f[x][k].size() == 0 || (x == 'f:ownerReferences' && ${isSmall('f[x][k]')})))))`,
    // A request may own what it changes, with another verb than "own".
    `[${fieldsOf(m, 'f:spec')}].exists(f, !['f:suspend', 'f:revoked'].all(x, !(x in f) || (${isSmall('f[x]')})))`,
  ].join(' || ');
const crooked = (object: Version) =>
  `${listOf(object, 'managedFields')}.size() > ${most.weighed} ? [] : ${listOf(object, 'managedFields')}.filter(m, ${isCrooked('m')})`;

/** JSON takes six bytes for each of these, and for others two at most. */
const isEscaped = (text: string) => `${text}.matches('[<>&\\x01-\\x08\\x0b\\x0c\\x0e-\\x1f]')`;
const lastAppliedWeight = (map: string) =>
  `[${map}[?'${lastApplied}'].orValue('')].map(a, bytes(a).size() * (${isEscaped('a')} ? 6 : 2)).sum()`;
const channelsWeight = (object: Version) =>
  `${object}.spec.?customerChannels.orValue([]).map(c, 40 + 6 * c.customer.size() + c.channels.map(x, x.size() + 3).sum()).sum()`;

/** But for what kubectl apply compares with: changing that needs `own`. */
const bytesOf = (map: string) =>
  `${map}.filter(name, name != '${lastApplied}').map(name, name.size() + bytes(${map}[name]).size()).sum()`;

/** What the bans below ask for. */
export const sizes: readonly Variable[] = [
  { name: 'managersWeight', expression: total('object') },
  { name: 'oldManagersWeight', expression: `variables.isCreate ? 0 : (${total('oldObject')})` },
  { name: 'crooked', expression: crooked('object') },
  { name: 'oldCrooked', expression: `variables.isCreate ? [] : (${crooked('oldObject')})` },
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

/** What nobody may write, because an ApiKey would become too large for the writes that end it. */
export const sizeBans: readonly Ban[] = [
  ...['annotations', 'labels'].map((what): Ban => {
    const old = `old${what.charAt(0).toUpperCase()}${what.slice(1)}`;
    return {
      when: grows(`variables.${what}.size()`, `variables.${old}.size()`, most.entries),
      message: `an ApiKey has at most ${most.entries.limit} ${what}`,
    };
  }),
  ...['finalizers', 'ownerReferences'].map((what): Ban => ({
    when: grows(
      `${listOf('object', what)}.size()`,
      `(variables.isCreate ? 0 : ${listOf('oldObject', what)}.size())`,
      most.entries,
    ),
    message: `an ApiKey has at most ${most.entries.limit} ${what}`,
  })),
  {
    when: grows(bytesOf('variables.annotations'), bytesOf('variables.oldAnnotations'), most.annotations),
    message: `all annotations of an ApiKey together have at most ${most.annotations.limit} bytes`,
  },
  {
    when: `variables.lastAppliedWeight > ${most.own.fewest} && variables.ownWeight > ${most.own.limit} && variables.ownWeight > variables.oldOwnWeight`,
    message: `the annotation ${lastApplied} and customerChannels of an ApiKey together take at most ${most.own.limit} bytes as JSON`,
  },
  {
    // The API server itself changes what was there before this policy, when it merges managers or takes a finalizer from all.
    when: `${grows('variables.managersWeight', 'variables.oldManagersWeight', most.managers)} || (variables.ends ? variables.crooked.size() > variables.oldCrooked.size() : variables.crooked.exists(m, !(m in variables.oldCrooked)))`,
    message: `the managedFields of an ApiKey may hold only what a write produces, and at most ${most.managers.limit} bytes`,
  },
];
