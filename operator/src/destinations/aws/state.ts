import type { DescribeSecretCommandOutput } from '@aws-sdk/client-secrets-manager';
import { stalled } from '../../domain/failure.ts';
import { unknownVersion, type Mark } from '../../domain/version.ts';
import type { Reading } from '../port.ts';
import { garbage } from './faults.ts';
import { parseVersionId } from './versionid.ts';

/** Whose a secret is: the part of a mark that its tags say. */
export type Owner = Pick<Mark, 'installationId' | 'namespace' | 'name' | 'uid'>;

/** Tags as plain texts. */
export type Tags = Readonly<Record<string, string>>;

/** Everything about a secret that a reading or a condition needs. */
export interface SecretState {
  /** With its random end it tells this secret from a later one of the same name: every later call names it. */
  readonly arn: string;
  /** `undefined`: the tags do not say that the secret is ours. */
  readonly owner: Owner | undefined;
  /** The version under AWSCURRENT: what readers get. */
  readonly current: string | undefined;
  /** The version under AWSPENDING, when it is another one. */
  readonly pending: string | undefined;
  /** A version of ours that is neither, only while none of those two is ours: it says which value was replaced. */
  readonly earlier: string | undefined;
  /** Scheduled for deletion: nothing can be read, until it is restored. */
  readonly deleted: boolean;
  /** Whether the secret has every tag that the KeyDestination asks for. */
  readonly tagged: boolean;
}

/** The stages of a version that AWS knows. */
export const stages = { current: 'AWSCURRENT', pending: 'AWSPENDING', previous: 'AWSPREVIOUS' } as const;

const tagNames = {
  installationId: 'keywright.dev/installation',
  namespace: 'keywright.dev/namespace',
  name: 'keywright.dev/name',
  uid: 'keywright.dev/uid',
} as const satisfies Record<keyof Owner, string>;
const nothing: Reading = { kind: 'absent', revision: 'absent' };

/** Tags that say whose a secret is; they win over the ones of the KeyDestination. */
export function ownerTags(owner: Owner): Tags {
  return {
    [tagNames.installationId]: owner.installationId,
    [tagNames.namespace]: owner.namespace,
    [tagNames.name]: owner.name,
    [tagNames.uid]: owner.uid,
  };
}

/**
 * The user's tags as they may be sent. Throws `stalled InvalidSpec` for one that AWS does not take (API reference of
 * Secrets Manager, Tag: keys of at most 128 characters, not beginning with `aws:`), or that is one of ours.
 */
export function checkTags(tags: Tags): Tags {
  for (const [key, value] of Object.entries(tags)) {
    const isText = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(`${key}${value}`);
    if (!isText || key === '' || key.length > 128 || value.length > 256 || /^(aws:|keywright\.dev\/)/i.test(key)) {
      throw stalled(
        'InvalidSpec',
        'spec.aws.tags: a tag has a key of 1 to 128 and a value of at most 256 letters, digits, spaces and "_.:/=+-@", and its key begins neither with aws: nor with keywright.dev/',
      );
    }
  }
  return tags;
}

/** What DescribeSecret says of the secret `name`, of which the KeyDestination wants `tags`. */
export function parseState(described: DescribeSecretCommandOutput, name: string, tags: Tags): SecretState {
  const { ARN: arn, Name, VersionIdsToStages: versions = {}, Tags: found = [] } = described;
  if (typeof arn !== 'string' || !arn.startsWith('arn:') || arn.length > 2048 || Name !== name) throw garbage();
  if (!Array.isArray(found) || !Object.values(versions).every(Array.isArray)) throw garbage();
  const texts = new Map(found.map(({ Key, Value }) => [Key, Value] as const));
  const holderOf = (stage: string) => Object.keys(versions).find((id) => versions[id]?.includes(stage));
  const current = holderOf(stages.current);
  const staged = holderOf(stages.pending);
  const pending = staged === current ? undefined : staged;
  const owner = ownerOf(texts);
  const isOurs = parseVersionId(current) !== undefined || parseVersionId(pending) !== undefined;
  const earlier = isOurs ? undefined : (newestOf([holderOf(stages.previous)]) ?? newestOf(Object.keys(versions)));
  return {
    arn,
    owner,
    current,
    pending,
    earlier,
    deleted: described.DeletedDate !== undefined,
    tagged: Object.entries(tags).every(([key, value]) => texts.get(key) === value),
  };
}

/** The secret as a reading. A name in its deletion window is an empty place, if what stood there was ours. */
export function readingOf(state: SecretState | undefined): Reading {
  if (state === undefined) return nothing;
  const { owner, current, pending, earlier, deleted } = state;
  const revision = formatState(state);
  if (owner === undefined) return { kind: 'unmarked', revision };
  if (deleted) return { kind: 'absent', revision };
  const staged = parseVersionId(pending);
  if (pending !== undefined && staged !== undefined) {
    return { kind: 'marked', mark: { ...owner, ...staged }, carries: true, staged: true, providerVersion: pending, revision };
  }
  const said = parseVersionId(current);
  // If no version has a readable id, somebody else wrote all of them.
  const mark: Mark = { ...owner, ...(said ?? parseVersionId(earlier) ?? unknownVersion) };
  return { kind: 'marked', mark, carries: said !== undefined, providerVersion: current ?? '', revision };
}

/** The state that a reading was made of; `undefined` = nothing was there. */
export function observedState(reading: Reading): SecretState | undefined {
  if (reading.revision === nothing.revision) return undefined;
  const [arn, owner, current, pending, earlier, deleted, tagged] = JSON.parse(reading.revision) as Written;
  return {
    arn,
    owner: owner ?? undefined,
    current: current ?? undefined,
    pending: pending ?? undefined,
    earlier: earlier ?? undefined,
    deleted,
    tagged,
  };
}

/** The version whose value a reading speaks of: the staged one, else what readers get. */
export function spokenVersion({ current, pending }: SecretState): string | undefined {
  return parseVersionId(pending) === undefined ? current : pending;
}

type Written = readonly [
  arn: string,
  owner: Owner | null,
  current: string | null,
  pending: string | null,
  earlier: string | null,
  deleted: boolean,
  tagged: boolean,
];

function formatState(state: SecretState): string {
  const { arn, owner, current, pending, earlier, deleted, tagged } = state;
  const written: Written = [arn, owner ?? null, current ?? null, pending ?? null, earlier ?? null, deleted, tagged];
  return JSON.stringify(written);
}

function ownerOf(texts: ReadonlyMap<string | undefined, string | undefined>): Owner | undefined {
  const installationId = texts.get(tagNames.installationId);
  const namespace = texts.get(tagNames.namespace);
  const name = texts.get(tagNames.name);
  const uid = texts.get(tagNames.uid);
  if (!installationId || !namespace || !name || !uid) return undefined;
  return { installationId, namespace, name, uid };
}

/** The one of the highest epoch; `undefined` when none is ours. */
function newestOf(ids: readonly (string | undefined)[]): string | undefined {
  const epochOf = (id: string | undefined) => parseVersionId(id)?.epoch ?? 0;
  return ids.filter((id) => epochOf(id) > 0).sort((a, b) => epochOf(b) - epochOf(a))[0];
}
