import { AwsError } from './error.ts';
import type { Input } from './grammar.ts';
import type { Caller } from './identities.ts';
import type { KmsKeys } from './kms.ts';
import type { Question } from './policy.ts';
import type { Secrets } from './secrets.ts';

/** What the rights of a call are judged by. */
export interface Realm {
  readonly region: string;
  readonly secrets: Secrets;
  readonly kms: KmsKeys;
}

const ENCRYPTING = ['kms:GenerateDataKey', 'kms:Decrypt'];
const KMS_USE: Readonly<Record<string, readonly string[]>> = {
  CreateSecret: ENCRYPTING,
  PutSecretValue: ENCRYPTING,
  GetSecretValue: ['kms:Decrypt'],
};

/**
 * Refuses a Secrets Manager call that the caller's policy does not allow: the action itself, TagResource where a
 * creation brings tags, and the customer managed key, as the documentation of each action asks.
 */
export function authorize(caller: Caller, action: string, input: Input, realm: Realm): void {
  const name = input['SecretId'] ?? input['Name'];
  const named = typeof name === 'string' ? name : '';
  const context = contextOf(input, named, realm);
  const actions = [action, ...(action === 'CreateSecret' && input['Tags'] !== undefined ? ['TagResource'] : [])];
  for (const one of actions)
    for (const resource of resourcesOf(named, realm))
      if (!caller.may({ action: `secretsmanager:${one}`, resource, context })) throw denied(caller, one, named);
  const key = input['KmsKeyId'] ?? realm.secrets.find(named)?.kmsKeyId;
  const arn = typeof key === 'string' ? realm.kms.arnOf(key) : undefined;
  if (arn === undefined) return;
  const questions: Question[] = (KMS_USE[action] ?? []).map((use) => ({ action: use, resource: arn, context }));
  if (!questions.every((question) => caller.may(question)))
    throw new AwsError('AccessDeniedException', 'Access to KMS is not allowed');
}

/**
 * The documentation does not say whether the ARN of a secret that is not there ends with six characters: a policy has to
 * allow both.
 */
function resourcesOf(named: string, realm: Realm): readonly string[] {
  const arn = realm.secrets.arnOf(named);
  return realm.secrets.find(named) !== undefined || named.startsWith('arn:') ? [arn] : [arn, `${arn}-aB3dE6`];
}

/** Condition keys of the request, in lower case. */
function contextOf(input: Input, named: string, realm: Realm): ReadonlyMap<string, readonly string[]> {
  const context = new Map<string, readonly string[]>();
  const put = (key: string, ...values: readonly unknown[]): void => {
    if (!values.includes(undefined)) context.set(key.toLowerCase(), values.map(String));
  };
  put('aws:RequestedRegion', realm.region);
  put('kms:ViaService', `secretsmanager.${realm.region}.amazonaws.com`);
  put('secretsmanager:Name', input['Name']);
  put('secretsmanager:SecretId', input['SecretId'] === undefined ? undefined : realm.secrets.arnOf(named));
  put('secretsmanager:KmsKeyId', input['KmsKeyId']);
  put('secretsmanager:VersionStage', input['VersionStage']);
  put('secretsmanager:RecoveryWindowInDays', input['RecoveryWindowInDays']);
  put('secretsmanager:ForceDeleteWithoutRecovery', input['ForceDeleteWithoutRecovery']);
  const tags = Array.isArray(input['Tags']) ? (input['Tags'] as { Key?: string; Value?: string }[]) : [];
  for (const tag of tags) put(`aws:RequestTag/${tag.Key}`, tag.Value);
  const tagKeys = Array.isArray(input['TagKeys']) ? (input['TagKeys'] as string[]) : tags.map((tag) => tag.Key ?? '');
  if (tagKeys.length > 0) put('aws:TagKeys', ...tagKeys);
  for (const [key, value] of realm.secrets.find(named)?.tags ?? []) {
    put(`aws:ResourceTag/${key}`, value);
    put(`secretsmanager:ResourceTag/${key}`, value);
  }
  return context;
}

function denied(caller: Caller, action: string, named: string): AwsError {
  return new AwsError(
    'AccessDeniedException',
    `User: ${caller.arn} is not authorized to perform: secretsmanager:${action} on resource: ${named} ` +
      `because no identity-based policy allows the secretsmanager:${action} action`,
  );
}
