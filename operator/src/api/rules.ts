import { isDeepStrictEqual } from 'node:util';
import type { Rule, TransitionRule } from './rule.ts';

type Members = Readonly<Record<string, unknown>>;

const has = (self: Members, member: string) => self[member] !== undefined;
const countOf = (self: Members, members: readonly string[]) => members.filter((member) => has(self, member)).length;
const celCount = (members: readonly string[]) =>
  `[${members.map((member) => `has(self.${member})`).join(', ')}].filter(x, x).size()`;

/** Exactly one of the optional members is there. */
export function exactlyOneOf(members: readonly string[]): Rule<Members> {
  return {
    cel: `${celCount(members)} == 1`,
    message: `exactly one of ${members.join(', ')} is needed`,
    holds: (self) => countOf(self, members) === 1,
  };
}

/** None or one of the optional members is there. */
export function atMostOneOf(members: readonly string[]): Rule<Members> {
  return {
    cel: `${celCount(members)} <= 1`,
    message: `at most one of ${members.join(', ')} may be set`,
    holds: (self) => countOf(self, members) <= 1,
  };
}

/**
 * How every refusal to change a field begins. These are Kubernetes' own words (`FieldImmutableErrorMsg` of
 * apimachinery): tools look for them, Pulumi's provider to preview a replacement.
 */
const isImmutable = 'field is immutable';

/** A required member that never changes. `why` reads on after a colon. */
export function immutable(member: string, why: string): TransitionRule<Members> {
  return {
    cel: `self.${member} == oldSelf.${member}`,
    message: `${isImmutable}: ${why}`,
    field: member,
    immutable: true,
    holds: (self, old) => isDeepStrictEqual(self[member], old[member]),
  };
}

interface Target {
  readonly destination?: string;
  readonly path?: string;
  readonly secret?: { readonly name: string };
}

/** `path` takes the place of `{name}` in a destination's template, so it means nothing without one. */
export const pathNeedsDestination: Rule<Target> = {
  cel: '!has(self.path) || has(self.destination)',
  message: 'path needs a destination: a Secret has a name only',
  field: 'path',
  holds: (self) => self.path === undefined || self.destination !== undefined,
};

/** Two entries of one key at one place would overwrite each other for ever. */
export const distinctTargets: Rule<{ readonly deliverTo: readonly Target[] }> = {
  cel: [
    'self.deliverTo.all(t, !has(t.secret) || self.deliverTo.exists_one(u, has(u.secret) && u.secret.name == t.secret.name))',
    "self.deliverTo.all(t, !has(t.destination) || self.deliverTo.exists_one(u, has(u.destination) && u.destination == t.destination && (has(u.path) ? u.path : '') == (has(t.path) ? t.path : '')))",
  ].join(' && '),
  message: 'deliverTo must not name one Secret, or one path of one destination, twice',
  field: 'deliverTo',
  holds: ({ deliverTo }) => {
    const places = deliverTo.map((t) => (t.secret === undefined ? `d:${t.destination}:${t.path ?? ''}` : `s:${t.secret.name}`));
    return new Set(places).size === places.length;
  },
};

/** Irreversible: whoever revoked a key can rely on it. */
export const revokedStays: TransitionRule<{ readonly revoked?: unknown }> = {
  cel: '!has(oldSelf.revoked) || has(self.revoked)',
  message: 'revoked cannot be removed: a revocation is final, declare another ApiKey',
  field: 'revoked',
  holds: (self, old) => old.revoked === undefined || self.revoked !== undefined,
};

/** Scopes on an access type are its fixed allow-list; other types have none, and a Listed one without would be dead. */
export const scopesMeanListed: Rule<{ readonly endpoints: string; readonly scopes?: readonly string[] }> = {
  cel: "has(self.scopes) == (self.endpoints == 'Listed')",
  message: 'scopes belong to an access type with endpoints: Listed, and only to that',
  field: 'scopes',
  holds: (self) => (self.scopes !== undefined) === (self.endpoints === 'Listed'),
};

interface DestinationPlace {
  readonly vault?: Members;
  readonly aws?: Members;
}

const moving = 'moving keys needs a new KeyDestination';

/** Vault stays Vault and AWS stays AWS. */
export const providerStays: TransitionRule<DestinationPlace> = {
  cel: 'has(self.vault) == has(oldSelf.vault) && has(self.aws) == has(oldSelf.aws)',
  message: `${isImmutable}: the provider stays, ${moving}`,
  holds: (self, old) =>
    (self.vault === undefined) === (old.vault === undefined) && (self.aws === undefined) === (old.aws === undefined),
};

/** Words that CEL keeps for itself are written with underscores around them. */
const celName = (member: string) => (member === 'namespace' ? '__namespace__' : member);

function memberStays(provider: keyof DestinationPlace, member: string): TransitionRule<DestinationPlace> {
  const [now, then] = [`self.${provider}.${celName(member)}`, `oldSelf.${provider}.${celName(member)}`];
  return {
    cel: `!has(self.${provider}) || !has(oldSelf.${provider}) || (has(${now}) == has(${then}) && (!has(${now}) || ${now} == ${then}))`,
    message: `${isImmutable}: ${moving}`,
    field: `${provider}.${member}`,
    immutable: true,
    holds: ({ [provider]: here }, { [provider]: before }) =>
      here === undefined || before === undefined || here[member] === before[member],
  };
}

/** Where a destination's keys lie never changes: what was delivered there could not be withdrawn any more. */
export const placeStays: readonly TransitionRule<DestinationPlace>[] = [
  providerStays,
  memberStays('vault', 'address'),
  memberStays('vault', 'mount'),
  memberStays('vault', 'path'),
  memberStays('vault', 'namespace'),
  memberStays('aws', 'region'),
  memberStays('aws', 'name'),
  memberStays('aws', 'endpoint'),
];
