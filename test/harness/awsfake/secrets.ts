import { randomBytes } from 'node:crypto';
import { AwsError } from './error.ts';
import * as grammar from './grammar.ts';
import type { Content, Input } from './grammar.ts';

const CURRENT = 'AWSCURRENT';
const PREVIOUS = 'AWSPREVIOUS';
const DAY_MS = 86_400_000;

/** A version of a secret. */
export interface Version {
  readonly id: string;
  readonly content: Content;
  readonly createdAt: number;
  accessedAt?: number;
}

/** A secret as the account keeps it. */
export interface StoredSecret {
  readonly name: string;
  readonly arn: string;
  readonly description: string | undefined;
  /** As given; `undefined` is the account's own key `aws/secretsmanager`. */
  readonly kmsKeyId: string | undefined;
  readonly createdAt: number;
  readonly tags: Map<string, string>;
  readonly versions: Map<string, Version>;
  /** Label → version id: a label sits on one version at most. */
  readonly stages: Map<string, string>;
  changedAt: number;
  /** The day on which AWS may delete it, when its deletion is scheduled. */
  deletionAt: number | undefined;
}

/** What an account's secrets need of the world around them. */
export interface Surroundings {
  readonly region: string;
  readonly account: string;
  now(): number;
  /** Throws when the key is unknown, or may not be used. */
  useKey(kmsKeyId: string, use: 'encrypt' | 'decrypt'): void;
}

/**
 * AWS Secrets Manager in one account and region, by the API reference (2017-10-17). Each operation takes the request's
 * members and answers the response's; every refusal is an {@link AwsError} of the documented class.
 */
export class Secrets {
  readonly #around: Surroundings;
  readonly #secrets = new Map<string, StoredSecret>();

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** The secret of this name or ARN, also one in its deletion window; `undefined` when there is none. */
  find(secretId: string): StoredSecret | undefined {
    this.#purge();
    return this.#secrets.get(secretId) ?? [...this.#secrets.values()].find((secret) => secret.arn === secretId);
  }

  /** The ARN of a secret that may not exist yet: then without the six characters that its creation adds. */
  arnOf(secretId: string): string {
    return this.find(secretId)?.arn ?? (secretId.startsWith('arn:') ? secretId : this.#arn(secretId));
  }

  create(input: Input): object {
    const name = grammar.nameOf(input);
    const content = grammar.contentOf(input);
    const token = content === undefined ? undefined : grammar.tokenOf(input);
    const tags = grammar.tagsOf(input);
    const kmsKeyId = grammar.textOf(input, 'KmsKeyId', 2048);
    const existing = this.find(name);
    if (existing !== undefined) return this.#createAgain(existing, token, content);
    this.#useKey(kmsKeyId, 'encrypt');
    const now = this.#around.now();
    const secret: StoredSecret = {
      name,
      arn: `${this.#arn(name)}-${suffix()}`,
      description: grammar.textOf(input, 'Description', 2048),
      kmsKeyId,
      createdAt: now,
      changedAt: now,
      tags: new Map(tags),
      versions: new Map(),
      stages: new Map(),
      deletionAt: undefined,
    };
    this.#secrets.set(name, secret);
    if (content === undefined || token === undefined) return answer(secret);
    secret.versions.set(token, { id: token, content, createdAt: now });
    attach(secret, CURRENT, token);
    return { ...answer(secret), VersionId: token };
  }

  describe(input: Input): object {
    const secret = this.#known(grammar.secretIdOf(input));
    const accessed = [...secret.versions.values()].flatMap((version) => version.accessedAt ?? []);
    return withoutGaps({
      ...answer(secret),
      Description: secret.description,
      KmsKeyId: secret.kmsKeyId,
      CreatedDate: seconds(secret.createdAt),
      LastChangedDate: seconds(secret.changedAt),
      LastAccessedDate: accessed.length === 0 ? undefined : seconds(startOfDay(Math.max(...accessed))),
      DeletedDate: secret.deletionAt === undefined ? undefined : seconds(secret.deletionAt),
      Tags: secret.tags.size === 0 ? undefined : [...secret.tags].map(([Key, Value]) => ({ Key, Value })),
      VersionIdsToStages: secret.stages.size === 0 ? undefined : labels(secret),
    });
  }

  getValue(input: Input): object {
    const versionId = grammar.versionIdOf(input, 'VersionId');
    const stage = grammar.stageOf(input, 'VersionStage');
    const secret = this.#live(grammar.secretIdOf(input));
    const id = versionId ?? secret.stages.get(stage ?? CURRENT);
    const version = id === undefined ? undefined : secret.versions.get(id);
    if (version === undefined) throw missingValue(versionId, stage);
    if (stage !== undefined && secret.stages.get(stage) !== version.id)
      throw new AwsError(
        'InvalidRequestException',
        'You provided a VersionStage that is not associated to the provided VersionId.',
      );
    this.#useKey(secret.kmsKeyId, 'decrypt');
    version.accessedAt = this.#around.now();
    return withoutGaps({
      ...answer(secret),
      VersionId: version.id,
      SecretString: version.content.string,
      SecretBinary: version.content.binary,
      VersionStages: stagesOf(secret, version.id),
      CreatedDate: seconds(version.createdAt),
    });
  }

  put(input: Input): object {
    const token = grammar.tokenOf(input);
    const content = grammar.contentOf(input);
    const stages = grammar.stagesOf(input);
    if (content === undefined)
      throw new AwsError('InvalidParameterException', 'You must provide either SecretString or SecretBinary.');
    const secret = this.#live(grammar.secretIdOf(input));
    const existing = secret.versions.get(token);
    if (existing !== undefined) {
      if (!same(existing.content, content)) throw tokenTaken(token, secret);
      // "The request is ignored": a repeat moves no label back.
      return withVersion(secret, token);
    }
    this.#useKey(secret.kmsKeyId, 'encrypt');
    secret.versions.set(token, { id: token, content, createdAt: this.#around.now() });
    const wanted = secret.stages.has(CURRENT) ? (stages ?? [CURRENT]) : [...(stages ?? []), CURRENT];
    for (const stage of wanted) attach(secret, stage, token);
    this.#changed(secret);
    return withVersion(secret, token);
  }

  updateStage(input: Input): object {
    const stage = grammar.stageOf(input, 'VersionStage');
    if (stage === undefined) throw new AwsError('ValidationException', "Value at 'versionStage' must not be null");
    const from = grammar.versionIdOf(input, 'RemoveFromVersionId');
    const to = grammar.versionIdOf(input, 'MoveToVersionId');
    const secret = this.#live(grammar.secretIdOf(input));
    for (const id of [from, to]) if (id !== undefined && !secret.versions.has(id)) throw missingValue(id, undefined);
    const holder = secret.stages.get(stage);
    if (from !== undefined && from !== holder)
      throw new AwsError('InvalidParameterException', `The staging label ${stage} is not attached to version ${from}.`);
    if (to !== undefined && holder !== undefined && holder !== to && from === undefined) throw holderUnnamed(stage, holder);
    if (to === undefined) {
      if (from === undefined)
        throw new AwsError('InvalidParameterException', 'You must name a version to move the label to or from.');
      if (stage === CURRENT)
        throw new AwsError(
          'InvalidParameterException',
          'You can only move staging label AWSCURRENT to a different secret version. It can not be completely removed.',
        );
      secret.stages.delete(stage);
    } else attach(secret, stage, to);
    this.#changed(secret);
    return answer(secret);
  }

  tag(input: Input): undefined {
    const tags = grammar.tagsOf(input);
    const secret = this.#live(grammar.secretIdOf(input));
    grammar.limitTags(new Map([...secret.tags, ...tags]));
    for (const [key, value] of tags) secret.tags.set(key, value);
    this.#changed(secret);
  }

  untag(input: Input): undefined {
    const keys = grammar.tagKeysOf(input);
    const secret = this.#live(grammar.secretIdOf(input));
    for (const key of keys) secret.tags.delete(key);
    this.#changed(secret);
  }

  delete(input: Input): object {
    const days = grammar.wholeOf(input, 'RecoveryWindowInDays');
    const force = grammar.flagOf(input, 'ForceDeleteWithoutRecovery');
    if (force && days !== undefined)
      throw new AwsError(
        'InvalidParameterException',
        "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
      );
    if (days !== undefined && (days < 7 || days > 30))
      throw new AwsError(
        'InvalidParameterException',
        'The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).',
      );
    const secret = this.#known(grammar.secretIdOf(input));
    const now = this.#around.now();
    if (force) {
      this.#secrets.delete(secret.name);
      return { ...answer(secret), DeletionDate: seconds(now) };
    }
    secret.deletionAt ??= now + (days ?? 30) * DAY_MS;
    return { ...answer(secret), DeletionDate: seconds(secret.deletionAt) };
  }

  restore(input: Input): object {
    const secret = this.#known(grammar.secretIdOf(input));
    secret.deletionAt = undefined;
    return answer(secret);
  }

  /** Versions without a label are deprecated and left out, unless IncludeDeprecated asks for them. One page. */
  listVersionIds(input: Input): object {
    const deprecated = grammar.flagOf(input, 'IncludeDeprecated');
    const secret = this.#known(grammar.secretIdOf(input));
    const versions = [...secret.versions.values()].filter((one) => deprecated || stagesOf(secret, one.id).length > 0);
    return {
      ...answer(secret),
      Versions: versions.map((one) =>
        withoutGaps({
          VersionId: one.id,
          VersionStages: stagesOf(secret, one.id).length === 0 ? undefined : stagesOf(secret, one.id),
          CreatedDate: seconds(one.createdAt),
          LastAccessedDate: one.accessedAt === undefined ? undefined : seconds(startOfDay(one.accessedAt)),
          KmsKeyIds: [secret.kmsKeyId ?? 'DefaultEncryptionKey'],
        }),
      ),
    };
  }

  #createAgain(existing: StoredSecret, token: string | undefined, content: Content | undefined): object {
    if (existing.deletionAt !== undefined)
      throw new AwsError(
        'InvalidRequestException',
        "You can't create this secret because a secret with this name is already scheduled for deletion.",
      );
    const version = token === undefined ? undefined : existing.versions.get(token);
    if (token === undefined || version === undefined || content === undefined)
      throw new AwsError('ResourceExistsException', `The operation failed because the secret ${existing.name} already exists.`);
    if (!same(version.content, content)) throw tokenTaken(token, existing);
    return { ...answer(existing), VersionId: token };
  }

  #known(secretId: string): StoredSecret {
    const secret = this.find(secretId);
    if (secret === undefined) throw new AwsError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
    return secret;
  }

  #live(secretId: string): StoredSecret {
    const secret = this.#known(secretId);
    if (secret.deletionAt === undefined) return secret;
    throw new AwsError(
      'InvalidRequestException',
      "You can't perform this operation on the secret because it was marked for deletion.",
    );
  }

  #changed(secret: StoredSecret): void {
    secret.changedAt = this.#around.now();
  }

  #useKey(kmsKeyId: string | undefined, use: 'encrypt' | 'decrypt'): void {
    if (kmsKeyId !== undefined && kmsKeyId !== '') this.#around.useKey(kmsKeyId, use);
  }

  #purge(): void {
    for (const secret of this.#secrets.values())
      if (secret.deletionAt !== undefined && secret.deletionAt <= this.#around.now()) this.#secrets.delete(secret.name);
  }

  #arn(name: string): string {
    return `arn:aws:secretsmanager:${this.#around.region}:${this.#around.account}:secret:${name}`;
  }
}

/** Puts a label on a version and takes it from another; AWSCURRENT leaves AWSPREVIOUS behind. */
function attach(secret: StoredSecret, stage: string, versionId: string): void {
  const before = secret.stages.get(stage);
  secret.stages.set(stage, versionId);
  if (stage === CURRENT && before !== undefined && before !== versionId) secret.stages.set(PREVIOUS, before);
}

function labels(secret: StoredSecret): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const id of secret.versions.keys()) {
    const stages = stagesOf(secret, id);
    if (stages.length > 0) found[id] = stages;
  }
  return found;
}

function stagesOf(secret: StoredSecret, versionId: string): string[] {
  return [...secret.stages].flatMap(([stage, id]) => (id === versionId ? [stage] : [])).sort();
}

function answer(secret: StoredSecret): { ARN: string; Name: string } {
  return { ARN: secret.arn, Name: secret.name };
}

function withVersion(secret: StoredSecret, versionId: string): object {
  return { ...answer(secret), VersionId: versionId, VersionStages: stagesOf(secret, versionId) };
}

function same(one: Content, other: Content): boolean {
  return one.string === other.string && one.binary === other.binary;
}

function tokenTaken(token: string, secret: StoredSecret): AwsError {
  return new AwsError(
    'ResourceExistsException',
    `You can't use ClientRequestToken ${token} because that value is already in use for a version of secret ${secret.arn}.`,
  );
}

function holderUnnamed(stage: string, holder: string): AwsError {
  return new AwsError(
    'InvalidParameterException',
    `The parameter RemoveFromVersionId can't be empty. Staging label ${stage} is currently attached to version ${holder}, ` +
      'so you must explicitly reference that version in RemoveFromVersionId.',
  );
}

function missingValue(versionId: string | undefined, stage: string | undefined): AwsError {
  const what = versionId === undefined ? `staging label: ${stage ?? CURRENT}` : `VersionId: ${versionId}`;
  return new AwsError('ResourceNotFoundException', `Secrets Manager can't find the specified secret value for ${what}`);
}

/** The six letters and digits at the end of a new secret's ARN. */
function suffix(): string {
  return randomBytes(6).toString('base64').replaceAll(/[+/]/g, 'x').slice(0, 6);
}

/** The JSON protocol writes instants as seconds since 1970. */
function seconds(ms: number): number {
  return ms / 1000;
}

function startOfDay(ms: number): number {
  return Math.floor(ms / DAY_MS) * DAY_MS;
}

function withoutGaps(members: Record<string, unknown>): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}
