import { AwsError } from './error.ts';

/** The members of a request as they came. */
export type Input = Readonly<Record<string, unknown>>;

/** Lengths in characters; `bytes` counts UTF-8 instead. */
interface Limits {
  readonly min: number;
  readonly max: number;
  readonly bytes?: true;
}

const NAME = { min: 1, max: 512 };
const SECRET_ID = { min: 1, max: 2048 };
const TOKEN = { min: 32, max: 64 };
const STAGE = { min: 1, max: 256 };
// The quota of a secret's value is counted in bytes.
const VALUE = { min: 1, max: 65_536, bytes: true } as const;
const MAX_STAGES = 20;
const MAX_TAGS = 50;
/** What AWS says it takes; `!` is only for its own secrets. */
const NAME_GRAMMAR = /^[A-Za-z0-9/_+=.@!-]+$/;
const TAG_GRAMMAR = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** A secret's name at its creation: ASCII letters, digits and `/_+=.@-`, 1–512 characters. */
export function nameOf(input: Input): string {
  return named(required('Name', text(input, 'Name', NAME)));
}

/** The name or ARN of an existing secret. */
export function secretIdOf(input: Input): string {
  const id = required('SecretId', text(input, 'SecretId', SECRET_ID));
  return id.startsWith('arn:') ? id : named(id);
}

/** The idempotency token of a new version; becomes its VersionId. SDKs make one up; a raw request must bring it. */
export function tokenOf(input: Input): string {
  const token = text(input, 'ClientRequestToken', TOKEN);
  if (token === undefined)
    throw new AwsError('InvalidRequestException', 'You must provide a ClientRequestToken value. We recommend a UUID-type value.');
  return token;
}

/** A version id in a request, by the name of its member. */
export function versionIdOf(input: Input, member: string): string | undefined {
  return text(input, member, TOKEN);
}

/** One staging label. */
export function stageOf(input: Input, member: string): string | undefined {
  return text(input, member, STAGE);
}

/** The labels of a new version; `undefined` moves AWSCURRENT. */
export function stagesOf(input: Input): readonly string[] | undefined {
  const stages = input['VersionStages'];
  if (stages === undefined || stages === null) return undefined;
  if (!Array.isArray(stages)) throw malformed('VersionStages');
  if (stages.length < 1 || stages.length > MAX_STAGES) throw length('VersionStages', 1, MAX_STAGES);
  return stages.map((stage) => required('VersionStages', text({ VersionStages: stage as unknown }, 'VersionStages', STAGE)));
}

/** SecretString or SecretBinary (base64), never both. */
export interface Content {
  readonly string?: string;
  readonly binary?: string;
}

/** The value of a new version, if the request brings one. At most 65,536 bytes. */
export function contentOf(input: Input): Content | undefined {
  const string = text(input, 'SecretString', VALUE);
  const binary = text(input, 'SecretBinary', { min: 1, max: Math.ceil(VALUE.max / 3) * 4 });
  if (string !== undefined && binary !== undefined)
    throw new AwsError('InvalidParameterException', "You can't specify both a binary secret value and a string secret value.");
  if (string !== undefined) return { string };
  return binary === undefined ? undefined : { binary };
}

/** Tags as key → value: at most 50, keys 1–128 and values 0–256 characters, none in the namespace `aws:`. */
export function tagsOf(input: Input): ReadonlyMap<string, string> {
  const tags = input['Tags'] ?? [];
  if (!Array.isArray(tags)) throw malformed('Tags');
  const found = new Map<string, string>();
  for (const tag of tags as Input[]) {
    const key = required('Key', text(tag, 'Key', { min: 1, max: 128 }));
    const value = text(tag, 'Value', { min: 0, max: 256 }) ?? '';
    if (/^aws:/i.test(key) || !TAG_GRAMMAR.test(key) || !TAG_GRAMMAR.test(value))
      throw new AwsError('InvalidParameterException', 'The tag key or value is not valid.');
    if (found.has(key)) throw new AwsError('InvalidParameterException', `Duplicate tag key ${key}.`);
    found.set(key, value);
  }
  limitTags(found);
  return found;
}

/** The quota of tags on one secret. */
export function limitTags(tags: ReadonlyMap<string, string>): void {
  if (tags.size > MAX_TAGS) throw new AwsError('InvalidParameterException', 'You can have at most 50 tags on a secret.');
}

/** The keys of tags to take away. */
export function tagKeysOf(input: Input): readonly string[] {
  const keys = input['TagKeys'];
  if (!Array.isArray(keys)) throw malformed('TagKeys');
  return keys.map((key) => required('TagKeys', text({ TagKeys: key as unknown }, 'TagKeys', { min: 1, max: 128 })));
}

/** A text of free form, such as a description. */
export function textOf(input: Input, member: string, max: number): string | undefined {
  return text(input, member, { min: 0, max });
}

/** A member that is a whole number. */
export function wholeOf(input: Input, member: string): number | undefined {
  const value = input[member];
  if (value === undefined || value === null) return undefined;
  if (!Number.isInteger(value)) throw malformed(member);
  return value as number;
}

/** A member that is true or false. */
export function flagOf(input: Input, member: string): boolean {
  const value = input[member] ?? false;
  if (typeof value !== 'boolean') throw malformed(member);
  return value;
}

function named(name: string): string {
  if (NAME_GRAMMAR.test(name)) return name;
  throw new AwsError(
    'ValidationException',
    'Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!',
  );
}

function text(input: Input, member: string, limits: Limits): string | undefined {
  const value = input[member];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw malformed(member);
  const size = limits.bytes === true ? Buffer.byteLength(value) : value.length;
  if (size < limits.min || size > limits.max) throw length(member, limits.min, limits.max);
  return value;
}

function required<T>(member: string, value: T | undefined): T {
  if (value === undefined) throw constraint(member, 'Member must not be null');
  return value;
}

/** The JSON protocol's answer to a member of another type. */
function malformed(member: string): AwsError {
  return new AwsError('SerializationException', `${member} has another type`);
}

function length(member: string, min: number, max: number): AwsError {
  return constraint(member, `Member must have length between ${min} and ${max}`);
}

function constraint(member: string, sentence: string): AwsError {
  return new AwsError(
    'ValidationException',
    `1 validation error detected: Value at '${member}' failed to satisfy constraint: ${sentence}`,
  );
}
