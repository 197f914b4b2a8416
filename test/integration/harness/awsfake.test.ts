import {
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  ListSecretVersionIdsCommand,
  PutSecretValueCommand,
  RestoreSecretCommand,
  SecretsManagerClient,
  TagResourceCommand,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import { AssumeRoleCommand, AssumeRoleWithWebIdentityCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { AwsFake } from '../../harness/awsfake/awsfake.ts';
import type { Credentials } from '../../harness/awsfake/identities.ts';
import type { PolicyDocument } from '../../harness/awsfake/policy.ts';
import { until } from '../../harness/until.ts';

/** What AWS documents, our fake keeps, and moto does not; what both keep is in awscases.test.ts. */
const fake = await AwsFake.open();
const root = fake.identities.createUser();
const aws = client(root);

afterEach(() => {
  fake.liftFaults();
  fake.limitRate(undefined);
});
afterAll(() => fake.close());

function client(credentials: Credentials, endpoint = fake.endpoint): SecretsManagerClient {
  return new SecretsManagerClient({ endpoint, region: fake.region, credentials, maxAttempts: 1 });
}

function sts(credentials: Credentials): STSClient {
  return new STSClient({ endpoint: fake.endpoint, region: fake.region, credentials, maxAttempts: 1 });
}

/** The id of the nth version. */
function version(number: number): string {
  return `version-${number}`.padEnd(32, '0');
}

let names = 0;
const fresh = (): string => `keywright/payments/${(names += 1)}`;

async function created(extra: object = {}, name = fresh()): Promise<string> {
  await aws.send(new CreateSecretCommand({ Name: name, SecretString: 'one', ClientRequestToken: version(1), ...extra }));
  return name;
}

const put = (name: string, number: number, value: string, stages: string[] = ['AWSPENDING'], by = aws) =>
  by.send(
    new PutSecretValueCommand({
      SecretId: name,
      SecretString: value,
      ClientRequestToken: version(number),
      VersionStages: stages,
    }),
  );
const describeSecret = (name: string, by = aws) => by.send(new DescribeSecretCommand({ SecretId: name }));
const stages = async (name: string) => (await describeSecret(name)).VersionIdsToStages;
const refusal = (code: string): unknown => expect.objectContaining({ name: code }) as unknown;

describe('versions', () => {
  test('a token that was used takes no other content, and a repeat moves no label back', async () => {
    const name = await created();
    await put(name, 2, 'two');
    await expect(put(name, 2, 'other')).rejects.toEqual(refusal('ResourceExistsException'));
    await put(name, 3, 'three');
    expect((await put(name, 2, 'two')).VersionStages).toEqual([]);
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'], [version(3)]: ['AWSPENDING'] });
  });

  test('a read without a stage gives the promoted value, and a put without one leaves one current version', async () => {
    const name = await created();
    await put(name, 2, 'two');
    const move = { VersionStage: 'AWSCURRENT', MoveToVersionId: version(2), RemoveFromVersionId: version(1) };
    await aws.send(new UpdateSecretVersionStageCommand({ SecretId: name, ...move }));
    expect((await aws.send(new GetSecretValueCommand({ SecretId: name }))).SecretString).toBe('two');
    await aws.send(new PutSecretValueCommand({ SecretId: name, SecretString: 'three', ClientRequestToken: version(3) }));
    expect(await stages(name)).toEqual({ [version(2)]: ['AWSPENDING', 'AWSPREVIOUS'], [version(3)]: ['AWSCURRENT'] });
  });

  test('AWSCURRENT is never taken off, and a version without labels leaves the list', async () => {
    const name = await created();
    await put(name, 2, 'two');
    const off = (stage: string, number: number) =>
      aws.send(
        new UpdateSecretVersionStageCommand({ SecretId: name, VersionStage: stage, RemoveFromVersionId: version(number) }),
      );
    await expect(off('AWSCURRENT', 1)).rejects.toEqual(refusal('InvalidParameterException'));
    await expect(off('AWSPENDING', 1)).rejects.toEqual(refusal('InvalidParameterException'));
    await off('AWSPENDING', 2);
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'] });
    const ids = async (deprecated: boolean) =>
      (await aws.send(new ListSecretVersionIdsCommand({ SecretId: name, IncludeDeprecated: deprecated }))).Versions?.length;
    expect([await ids(false), await ids(true)]).toEqual([1, 2]);
  });
});

describe('deletion', () => {
  test('a secret in its deletion window takes nothing but describe, restore and delete', async () => {
    const name = await created();
    await aws.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: 7 }));
    for (const asked of [
      () => created({}, name),
      () => put(name, 2, 'two'),
      () => aws.send(new GetSecretValueCommand({ SecretId: name })),
      () => aws.send(new TagResourceCommand({ SecretId: name, Tags: [{ Key: 'a', Value: 'b' }] })),
      () =>
        aws.send(
          new UpdateSecretVersionStageCommand({
            SecretId: name,
            VersionStage: 'AWSPENDING',
            MoveToVersionId: version(1),
          }),
        ),
    ])
      await expect(asked()).rejects.toEqual(refusal('InvalidRequestException'));
    await aws.send(new RestoreSecretCommand({ SecretId: name }));
    expect((await aws.send(new GetSecretValueCommand({ SecretId: name }))).SecretString).toBe('one');
  });

  test('after its window a secret is gone, and the name is free', async () => {
    const name = await created();
    const { ARN: before } = await describeSecret(name);
    await aws.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: 7 }));
    fake.advance(8 * 86_400_000);
    await expect(describeSecret(name)).rejects.toEqual(refusal('ResourceNotFoundException'));
    await created({}, name);
    expect((await describeSecret(name)).ARN).not.toBe(before);
  });
});

describe('grammar', () => {
  test.each([
    ['a name with a space', { Name: 'keywright/a b' }, 'ValidationException'],
    ['a name of 513 characters', { Name: 'a'.repeat(513) }, 'ValidationException'],
    ['a token of 31 characters', { ClientRequestToken: 'a'.repeat(31) }, 'ValidationException'],
    ['a token of 65 characters', { ClientRequestToken: 'a'.repeat(65) }, 'ValidationException'],
    ['a value over 65,536 bytes', { SecretString: 'é'.repeat(32_769) }, 'ValidationException'],
    ['a tag of AWS', { Tags: [{ Key: 'aws:owner', Value: 'a' }] }, 'InvalidParameterException'],
    ['a tag with an asterisk', { Tags: [{ Key: 'a*', Value: 'a' }] }, 'InvalidParameterException'],
    ['51 tags', { Tags: Array.from({ length: 51 }, (_, at) => ({ Key: `t${at}`, Value: '' })) }, 'InvalidParameterException'],
    ['an unknown KMS key', { KmsKeyId: 'alias/unknown' }, 'InvalidParameterException'],
  ])('refuses %s', async (_what, extra, code) => {
    await expect(created(extra)).rejects.toEqual(refusal(code));
  });

  test('takes what is just within the limits', async () => {
    const tags = Array.from({ length: 50 }, (_, at) => ({ Key: `keywright.dev/t-${at} é`, Value: '@=+' }));
    const limits = { Name: `a${'/_+=.@-'}`.padEnd(512, '9'), ClientRequestToken: 'a'.repeat(64), Tags: tags };
    await expect(created({ ...limits, SecretString: 'é'.repeat(32_768) })).resolves.toBeDefined();
  });
});

describe('signatures', () => {
  const asked = (credentials: Credentials, region = fake.region) =>
    new SecretsManagerClient({ endpoint: fake.endpoint, region, credentials, maxAttempts: 1 }).send(
      new DescribeSecretCommand({ SecretId: 'any' }),
    );

  test('a wrong key, an unknown one, another region and no signature at all are told apart', async () => {
    await expect(asked(root)).rejects.toEqual(refusal('ResourceNotFoundException'));
    await expect(asked({ ...root, secretAccessKey: 'wrong' })).rejects.toEqual(refusal('InvalidSignatureException'));
    await expect(asked({ ...root, accessKeyId: 'AKIAUNKNOWN' })).rejects.toEqual(refusal('UnrecognizedClientException'));
    await expect(asked({ ...root, sessionToken: 'stray' })).rejects.toEqual(refusal('UnrecognizedClientException'));
    await expect(asked(root, 'us-east-1')).rejects.toEqual(refusal('InvalidSignatureException'));
    const unsigned = await fetch(fake.endpoint, {
      method: 'POST',
      body: '{}',
      headers: { 'x-amz-target': 'secretsmanager.DescribeSecret' },
    });
    expect(await unsigned.json()).toMatchObject({ __type: 'MissingAuthenticationTokenException' });
  });

  test('a body that was changed on the way is refused', async () => {
    const tampering = client(root);
    tampering.middlewareStack.add(
      (next) => (args) => {
        (args.request as { body: string }).body = '{"SecretId":"own"}';
        return next(args);
      },
      { step: 'deserialize', priority: 'low' },
    );
    await expect(describeSecret('any', tampering)).rejects.toEqual(refusal('InvalidSignatureException'));
  });

  test('an access key that was deleted is not recognized any more', async () => {
    const user = fake.identities.createUser();
    fake.identities.end(user.accessKeyId);
    await expect(asked(user)).rejects.toEqual(refusal('UnrecognizedClientException'));
  });
});

describe('sessions', () => {
  async function assumed(roleArn: string, externalId?: string): Promise<Credentials> {
    const { Credentials: found } = await sts(root).send(
      new AssumeRoleCommand({ RoleArn: roleArn, RoleSessionName: 'keywright', ExternalId: externalId }),
    );
    return {
      accessKeyId: found?.AccessKeyId ?? '',
      secretAccessKey: found?.SecretAccessKey ?? '',
      sessionToken: found?.SessionToken ?? '',
    };
  }

  test('a role is assumed with its external id only, and the session is somebody', async () => {
    const role = fake.identities.createRole({ name: 'writer', externalId: 'tenant-7' });
    await expect(assumed(role)).rejects.toEqual(refusal('AccessDenied'));
    await expect(assumed(role, 'tenant-8')).rejects.toEqual(refusal('AccessDenied'));
    const session = await assumed(role, 'tenant-7');
    const { Arn } = await sts(session).send(new GetCallerIdentityCommand({}));
    expect(Arn).toBe(`arn:aws:sts::${fake.account}:assumed-role/writer/keywright`);
    expect(await describeSecret(await created(), client(session))).toMatchObject({ Name: expect.any(String) as unknown });
  });

  test('a session ends by the clock and by order', async () => {
    const role = fake.identities.createRole({ name: 'short' });
    const one = await assumed(role);
    fake.advance(3601_000);
    await expect(describeSecret('any', client(one))).rejects.toEqual(refusal('ExpiredTokenException'));
    const two = await assumed(role);
    await expect(describeSecret('any', client(two))).rejects.toEqual(refusal('ResourceNotFoundException'));
    fake.identities.endSessions();
    await expect(describeSecret('any', client(two))).rejects.toEqual(refusal('ExpiredTokenException'));
  });

  test('a web identity opens its roles without a signature, until it expires', async () => {
    const role = fake.identities.createRole({ name: 'pod', webIdentity: true });
    const token = fake.identities.issueWebIdentity();
    const open = (WebIdentityToken: string, RoleArn = role) =>
      sts(root).send(new AssumeRoleWithWebIdentityCommand({ RoleArn, WebIdentityToken, RoleSessionName: 'keywright' }));
    expect((await open(token)).Credentials?.SessionToken).toBeDefined();
    await expect(open('unknown')).rejects.toEqual(refusal('InvalidIdentityTokenException'));
    const closed = fake.identities.createRole({ name: 'closed' });
    await expect(open(token, closed)).rejects.toEqual(refusal('AccessDenied'));
    fake.identities.expireWebIdentity(token);
    await expect(open(token)).rejects.toEqual(refusal('ExpiredTokenException'));
  });
});

describe('rights', () => {
  const below = `arn:aws:secretsmanager:${fake.region}:${fake.account}:secret:keywright/*`;
  const user = (statements: PolicyDocument['Statement']) => client(fake.identities.createUser({ Statement: statements }));
  const allow = (actions: string[], extra: object = {}) =>
    ({ Effect: 'Allow', Action: actions, Resource: below, ...extra }) as const;
  const denied = refusal('AccessDeniedException');

  test('allow exactly the actions and the secrets that the policy names', async () => {
    const reader = user(allow(['secretsmanager:Describe*']));
    const name = await created();
    await expect(describeSecret(name, reader)).resolves.toBeDefined();
    await expect(describeSecret('keywright/unknown', reader)).rejects.toEqual(refusal('ResourceNotFoundException'));
    await expect(describeSecret(await created({}, `other/${fresh()}`), reader)).rejects.toEqual(denied);
    await expect(put(name, 2, 'two', undefined, reader)).rejects.toEqual(denied);
  });

  test('a creation with tags needs TagResource too, and a Deny wins', async () => {
    const make = (by: SecretsManagerClient) =>
      by.send(
        new CreateSecretCommand({
          Name: fresh(),
          SecretString: 'a',
          ClientRequestToken: version(1),
          Tags: [{ Key: 'a', Value: 'b' }],
        }),
      );
    const all = ['secretsmanager:CreateSecret', 'secretsmanager:TagResource'];
    await expect(make(user(allow(all.slice(0, 1))))).rejects.toEqual(denied);
    await expect(make(user(allow(all)))).resolves.toBeDefined();
    const deny = { Effect: 'Deny', Action: '*', Resource: '*' } as const;
    await expect(make(user([allow(all), deny]))).rejects.toEqual(denied);
  });

  test('a condition on a tag of the secret is judged', async () => {
    const condition = { Condition: { StringEquals: { 'aws:ResourceTag/keywright.dev/installation': 'ours' } } };
    const deleter = user(allow(['secretsmanager:DeleteSecret'], condition));
    const remove = (name: string) => deleter.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: 7 }));
    await expect(remove(await created())).rejects.toEqual(denied);
    const tagged = await created({ Tags: [{ Key: 'keywright.dev/installation', Value: 'ours' }] });
    await expect(remove(tagged)).resolves.toBeDefined();
  });

  test('a customer managed key needs its own rights, and fails when it is disabled', async () => {
    const key = fake.kms.create('keywright');
    const name = await created({ KmsKeyId: key.alias });
    const read = (by: SecretsManagerClient) => by.send(new GetSecretValueCommand({ SecretId: name }));
    await expect(read(user(allow(['secretsmanager:GetSecretValue'])))).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message: 'Access to KMS is not allowed',
    });
    const decrypt = { Effect: 'Allow', Action: 'kms:Decrypt', Resource: key.arn } as const;
    const reader = user([allow(['secretsmanager:GetSecretValue']), decrypt]);
    await expect(read(reader)).resolves.toMatchObject({ SecretString: 'one' });
    fake.kms.disable(key.id);
    await expect(read(reader)).rejects.toEqual(refusal('DecryptionFailure'));
    await expect(put(name, 2, 'two')).rejects.toEqual(refusal('EncryptionFailure'));
  });

  test('a policy that the fake cannot judge is no policy', () => {
    expect(() => user({ ...allow(['*']), NotAction: 'a' } as never)).toThrow('NotAction');
    expect(() => user(allow(['*'], { Condition: { DateLessThan: {} } }))).toThrow('DateLessThan');
  });
});

describe('faults', () => {
  test('an action is throttled for the ordered number of calls', async () => {
    const name = await created();
    fake.fault('DescribeSecret', { kind: 'throttle' }, 2);
    for (let round = 0; round < 2; round++) await expect(describeSecret(name)).rejects.toEqual(refusal('ThrottlingException'));
    await expect(describeSecret(name)).resolves.toBeDefined();
  });

  test('what comes quicker than the rate is throttled', async () => {
    const name = await created();
    fake.limitRate(1);
    await describeSecret(name);
    await expect(describeSecret(name)).rejects.toEqual(refusal('ThrottlingException'));
  });

  test.each([
    [{ kind: 'garbage' }],
    [{ kind: 'page', status: 503 }],
    [{ kind: 'reset' }],
    [{ kind: 'redirect' }],
    [{ kind: 'error', code: 'InternalServiceError', status: 500 }],
  ] as const)('%j breaks a call before it has an effect', async (fault) => {
    const name = await created();
    const { lift } = fake.fault('PutSecretValue', fault);
    await expect(put(name, 2, 'two')).rejects.toThrow();
    lift();
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'] });
    expect(fake.calls('followed')).toBe(0);
  });

  test('a late reset breaks the answer, not the effect', async () => {
    const name = await created();
    fake.fault('PutSecretValue', { kind: 'lateReset' }, 1);
    await expect(put(name, 2, 'two')).rejects.toThrow();
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'], [version(2)]: ['AWSPENDING'] });
  });

  test('a held call goes on when it is let go', async () => {
    const name = await created();
    const held = fake.fault('PutSecretValue', { kind: 'hold' });
    const writing = put(name, 2, 'two');
    await until(() => held.met === 1, { deadlineMs: 30_000 });
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'] });
    held.lift();
    await writing;
    expect(await stages(name)).toMatchObject({ [version(2)]: ['AWSPENDING'] });
  });

  test('calls are counted and noted without any value', async () => {
    fake.forgetCalls();
    const name = await created({ SecretString: 'never-noted' });
    await expect(put(name, 1, 'never-noted-either')).rejects.toEqual(refusal('ResourceExistsException'));
    expect([fake.calls(), fake.calls('PutSecretValue')]).toEqual([2, 1]);
    expect(fake.log).toEqual([
      { action: 'CreateSecret', secretId: name, accessKeyId: root.accessKeyId, outcome: 'ok' },
      { action: 'PutSecretValue', secretId: name, accessKeyId: root.accessKeyId, outcome: 'ResourceExistsException' },
    ]);
  });
});
