import type {
  CreateSecretCommandInput,
  CreateSecretCommandOutput,
  DeleteSecretCommandInput,
  DescribeSecretCommandOutput,
  GetSecretValueCommandInput,
  GetSecretValueCommandOutput,
  PutSecretValueCommandInput,
  PutSecretValueCommandOutput,
  UpdateSecretVersionStageCommandInput,
} from '@aws-sdk/client-secrets-manager';
import { call, sealed, type Answer, type Caller } from './call.ts';
import { garbage } from './faults.ts';
import type { Tags } from './state.ts';
import type { Transport } from './transport.ts';

/**
 * The calls of Secrets Manager that a delivery needs. Each is safe to repeat; each throws only `Failure`. A `secretId` is
 * an ARN, but for {@link SecretsClient.describe}.
 */
export interface SecretsClient {
  describe(secretId: string): Promise<Answer<DescribeSecretCommandOutput>>;
  create(input: CreateSecretCommandInput): Promise<Answer<CreateSecretCommandOutput>>;
  get(input: GetSecretValueCommandInput): Promise<Answer<GetSecretValueCommandOutput>>;
  put(input: PutSecretValueCommandInput): Promise<Answer<PutSecretValueCommandOutput>>;
  moveStage(input: UpdateSecretVersionStageCommandInput): Promise<Answer<unknown>>;
  tag(secretId: string, tags: Tags): Promise<Answer<unknown>>;
  delete(input: DeleteSecretCommandInput): Promise<Answer<unknown>>;
  restore(secretId: string): Promise<Answer<unknown>>;
  close(): Promise<void>;
}

/** Where the service is, and how it is spoken to. */
export interface SecretsClientOptions extends Caller {
  readonly region: string;
  readonly endpoint: string | undefined;
  readonly transport: Transport;
}

/** Tags in the form of the service. */
export function listTags(tags: Tags): { readonly Key: string; readonly Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

/** Opens a client. The SDK is loaded here and not before: a process without AWS destinations never pays for it. */
export async function openSecretsClient(options: SecretsClientOptions): Promise<SecretsClient> {
  const { region, endpoint, transport, credentials } = options;
  const sdk = await import('@aws-sdk/client-secrets-manager');
  const identity = () => credentials.current();
  const client = new sdk.SecretsManagerClient(sealed({ region, endpoint, handler: transport.handler, identity }));
  const run = <T>(action: string, send: () => Promise<T>) => call(options, `secretsmanager:${action}`, send);
  // What answers with anything else has not done what it was asked for.
  const runOn = async (arn: string | undefined, action: string, send: () => Promise<{ ARN?: string | undefined }>) => {
    const answer = await run(action, send);
    if (answer.kind === 'ok' && answer.value.ARN !== arn) throw garbage();
    return answer;
  };
  return {
    describe: (SecretId) => run('DescribeSecret', () => client.send(new sdk.DescribeSecretCommand({ SecretId }))),
    create: (input) => run('CreateSecret', () => client.send(new sdk.CreateSecretCommand(input))),
    get: (input) => run('GetSecretValue', () => client.send(new sdk.GetSecretValueCommand(input))),
    put: (input) => run('PutSecretValue', () => client.send(new sdk.PutSecretValueCommand(input))),
    moveStage: (input) =>
      runOn(input.SecretId, 'UpdateSecretVersionStage', () => client.send(new sdk.UpdateSecretVersionStageCommand(input))),
    tag: (SecretId, tags) =>
      run('TagResource', () => client.send(new sdk.TagResourceCommand({ SecretId, Tags: listTags(tags) }))),
    delete: (input) => runOn(input.SecretId, 'DeleteSecret', () => client.send(new sdk.DeleteSecretCommand(input))),
    restore: (SecretId) => runOn(SecretId, 'RestoreSecret', () => client.send(new sdk.RestoreSecretCommand({ SecretId }))),
    close: () => transport.close(),
  };
}
