import { randomUUID } from 'node:crypto';

/** Does one operation of Secrets Manager with every right; rejects with what the server said. */
export type AwsCall = (action: string, input: Readonly<Record<string, unknown>>) => Promise<object>;

/** Somebody who works on secrets past our destination, on whatever server. Names are secret names. */
export interface AwsStranger {
  /** A secret of his own, or a new current value of one that is there. */
  put(name: string, value: string): Promise<void>;
  /** A new current value, with tags and the rest as they are. */
  change(name: string, value: string): Promise<void>;
  /** Deletes at once, without a window. */
  remove(name: string): Promise<void>;
  /** What a workload reads now; `undefined` when it gets nothing. */
  read(name: string): Promise<string | undefined>;
  /** What the current version, its label and the tags are. */
  describe(name: string): Promise<SecretDescription | undefined>;
}

/** What DescribeSecret says, as far as tests ask. */
export interface SecretDescription {
  readonly ARN: string;
  readonly KmsKeyId?: string;
  /** Seconds since 1970. */
  readonly DeletedDate?: number;
  readonly Tags?: readonly { readonly Key: string; readonly Value: string }[];
  readonly VersionIdsToStages?: Readonly<Record<string, readonly string[]>>;
}

/** Carries a version until it is current; gone after that. */
const PASSING = 'STRANGER';

export function awsStranger(call: AwsCall): AwsStranger {
  const describe = async (name: string): Promise<SecretDescription | undefined> => {
    try {
      return (await call('DescribeSecret', { SecretId: name })) as SecretDescription;
    } catch {
      return undefined;
    }
  };
  const change = async (name: string, value: string): Promise<void> => {
    const token = randomUUID();
    const before = (await describe(name))?.VersionIdsToStages ?? {};
    const current = Object.keys(before).find((id) => before[id]?.includes('AWSCURRENT'));
    // Never a put without stages: moto then leaves two current versions.
    await call('PutSecretValue', { SecretId: name, SecretString: value, ClientRequestToken: token, VersionStages: [PASSING] });
    const moved = { VersionStage: 'AWSCURRENT', MoveToVersionId: token, RemoveFromVersionId: current };
    await call('UpdateSecretVersionStage', { SecretId: name, ...moved });
    await call('UpdateSecretVersionStage', { SecretId: name, VersionStage: PASSING, RemoveFromVersionId: token });
  };
  return {
    change,
    describe,
    put: async (name, value) => {
      if ((await describe(name)) !== undefined) await change(name, value);
      else await call('CreateSecret', { Name: name, SecretString: value, ClientRequestToken: randomUUID() });
    },
    remove: async (name) => {
      await call('DeleteSecret', { SecretId: name, ForceDeleteWithoutRecovery: true });
    },
    read: async (name) => {
      try {
        const answer = await call('GetSecretValue', { SecretId: name, VersionStage: 'AWSCURRENT' });
        return (answer as { SecretString?: string }).SecretString;
      } catch {
        return undefined;
      }
    },
  };
}
