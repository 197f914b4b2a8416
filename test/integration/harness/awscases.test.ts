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
  UntagResourceCommand,
  UpdateSecretVersionStageCommand,
} from '@aws-sdk/client-secrets-manager';
import { afterAll, describe, expect, test } from 'vitest';
import { awsStranger } from '../../harness/aws.ts';
import type { AwsCall } from '../../harness/aws.ts';
import { AwsFake } from '../../harness/awsfake/awsfake.ts';
import { useMoto } from '../../harness/parts.ts';

/** What both servers say, so that our fake is not only our opinion; what only it says is in awsfake.test.ts. */
const moto = await useMoto();
const fake = await AwsFake.open();
afterAll(() => fake.close());

const base = moto.uniqueName();
const subjects: readonly (readonly [string, SecretsManagerClient, AwsCall])[] = [
  [
    'our strict fake',
    client(fake.endpoint, fake.region, fake.identities.createUser()),
    (action, input) => fake.call(action, input),
  ],
  ['moto', client(moto.endpoint, moto.region, moto.credentials), moto.call],
];

function client(
  endpoint: string,
  region: string,
  credentials: { accessKeyId: string; secretAccessKey: string },
): SecretsManagerClient {
  return new SecretsManagerClient({ endpoint, region, credentials, maxAttempts: 1 });
}

/** The id of the nth version. */
function version(number: number): string {
  return `version-${number}`.padEnd(32, '0');
}

describe.each(subjects)('%s', (_name, aws, call) => {
  const stranger = awsStranger(call);

  async function created(): Promise<string> {
    const name = `${base}/${Math.random().toString(36).slice(2)}`;
    const tags = [{ Key: 'keywright.dev/uid', Value: 'uid-1' }];
    await aws.send(new CreateSecretCommand({ Name: name, SecretString: 'one', ClientRequestToken: version(1), Tags: tags }));
    return name;
  }

  async function pending(): Promise<string> {
    const name = await created();
    await put(name, 2, 'two', ['AWSPENDING']);
    return name;
  }

  const put = (name: string, number: number, value: string, stages?: string[]) =>
    aws.send(
      new PutSecretValueCommand({
        SecretId: name,
        SecretString: value,
        ClientRequestToken: version(number),
        ...(stages === undefined ? {} : { VersionStages: stages }),
      }),
    );

  const promote = (name: string, to: number, from?: number) =>
    aws.send(
      new UpdateSecretVersionStageCommand({
        SecretId: name,
        VersionStage: 'AWSCURRENT',
        MoveToVersionId: version(to),
        ...(from === undefined ? {} : { RemoveFromVersionId: version(from) }),
      }),
    );

  /** The labels by version, in one order, without versions that have none. */
  async function stages(name: string): Promise<Record<string, string[]>> {
    const { VersionIdsToStages = {} } = await aws.send(new DescribeSecretCommand({ SecretId: name }));
    const staged = Object.entries(VersionIdsToStages).filter(([, labels]) => labels.length > 0);
    return Object.fromEntries(staged.map(([id, labels]) => [id, [...labels].sort()]));
  }

  test('a new secret is current at once, and described with its tags', async () => {
    const name = await created();
    const described = await aws.send(new DescribeSecretCommand({ SecretId: name }));
    expect(described).toMatchObject({ Name: name, Tags: [{ Key: 'keywright.dev/uid', Value: 'uid-1' }] });
    expect(described.ARN).toMatch(new RegExp(`^arn:aws:secretsmanager:eu-west-1:123456789012:secret:${name}-\\w{6}$`));
    expect(described.DeletedDate).toBeUndefined();
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'] });
    const value = await aws.send(new GetSecretValueCommand({ SecretId: name, VersionStage: 'AWSCURRENT' }));
    expect(value).toMatchObject({ SecretString: 'one', VersionId: version(1), VersionStages: ['AWSCURRENT'] });
  });

  test('an unknown secret is a ResourceNotFoundException for every action', async () => {
    const SecretId = `${base}/nowhere`;
    const VersionStage = 'AWSCURRENT';
    const RemoveFromVersionId = version(1);
    for (const asked of [
      () => aws.send(new DescribeSecretCommand({ SecretId })),
      () => aws.send(new GetSecretValueCommand({ SecretId })),
      () => aws.send(new UpdateSecretVersionStageCommand({ SecretId, VersionStage, RemoveFromVersionId })),
      () => aws.send(new RestoreSecretCommand({ SecretId })),
      () => aws.send(new TagResourceCommand({ SecretId, Tags: [{ Key: 'a', Value: 'b' }] })),
      () => aws.send(new DeleteSecretCommand({ SecretId, RecoveryWindowInDays: 7 })),
      () => put(SecretId, 1, 'one'),
    ])
      await expect(asked()).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });

  test('a creation is repeated by its token alone, and no other creation takes the name', async () => {
    const name = await created();
    const again = { Name: name, SecretString: 'one', ClientRequestToken: version(1) };
    expect(await aws.send(new CreateSecretCommand(again))).toMatchObject({ VersionId: version(1) });
    for (const other of [{ SecretString: 'other' }, { ClientRequestToken: version(9) }])
      await expect(aws.send(new CreateSecretCommand({ ...again, ...other }))).rejects.toMatchObject({
        name: 'ResourceExistsException',
      });
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'] });
  });

  test('a pending version leaves the current one to its readers', async () => {
    const name = await pending();
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'], [version(2)]: ['AWSPENDING'] });
    expect(await stranger.read(name)).toBe('one');
    const staged = await aws.send(new GetSecretValueCommand({ SecretId: name, VersionId: version(2) }));
    expect(staged).toMatchObject({ SecretString: 'two', VersionStages: ['AWSPENDING'] });
  });

  test('a newer pending version takes the label from the older one', async () => {
    const name = await pending();
    await put(name, 3, 'three', ['AWSPENDING']);
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'], [version(3)]: ['AWSPENDING'] });
  });

  test('promotion moves AWSCURRENT, leaves AWSPREVIOUS behind, and keeps AWSPENDING where it is', async () => {
    const name = await pending();
    await promote(name, 2, 1);
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSPREVIOUS'], [version(2)]: ['AWSCURRENT', 'AWSPENDING'] });
    expect(await stranger.read(name)).toBe('two');
    const previous = await aws.send(new GetSecretValueCommand({ SecretId: name, VersionStage: 'AWSPREVIOUS' }));
    expect(previous).toMatchObject({ SecretString: 'one', VersionId: version(1) });
  });

  test('the version that was previous loses its last label with the next promotion', async () => {
    const name = await pending();
    await promote(name, 2, 1);
    await put(name, 3, 'three', ['AWSPENDING']);
    await promote(name, 3, 2);
    expect(await stages(name)).toEqual({ [version(2)]: ['AWSPREVIOUS'], [version(3)]: ['AWSCURRENT', 'AWSPENDING'] });
  });

  test('a promotion that names another current version, or none, is refused and moves nothing', async () => {
    const name = await pending();
    await put(name, 3, 'three', ['AWSPENDING']);
    for (const from of [2, undefined])
      await expect(promote(name, 3, from)).rejects.toMatchObject({ name: 'InvalidParameterException' });
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'], [version(3)]: ['AWSPENDING'] });
  });

  test('a promotion back to the previous version swaps the two', async () => {
    const name = await pending();
    await promote(name, 2, 1);
    await promote(name, 1, 2);
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'], [version(2)]: ['AWSPENDING', 'AWSPREVIOUS'] });
  });

  test('a label can be taken off', async () => {
    const name = await pending();
    const off = { SecretId: name, VersionStage: 'AWSPENDING', RemoveFromVersionId: version(2) };
    await aws.send(new UpdateSecretVersionStageCommand(off));
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSCURRENT'] });
  });

  test('a put without labels moves AWSCURRENT', async () => {
    const name = await created();
    expect((await put(name, 2, 'two')).VersionStages).toEqual(['AWSCURRENT']);
    expect(await stages(name)).toEqual({ [version(1)]: ['AWSPREVIOUS'], [version(2)]: ['AWSCURRENT'] });
  });

  test('reading a stage or a version that is not there is a ResourceNotFoundException, a mismatch an InvalidRequestException', async () => {
    const name = await pending();
    const get = (what: object) => aws.send(new GetSecretValueCommand({ SecretId: name, ...what }));
    await expect(get({ VersionStage: 'AWSPREVIOUS' })).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    await expect(get({ VersionId: version(7) })).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    const crossed = { VersionId: version(1), VersionStage: 'AWSPENDING' };
    await expect(get(crossed)).rejects.toMatchObject({ name: 'InvalidRequestException' });
  });

  test('tags are added, replaced and taken away', async () => {
    const name = await created();
    const two = [
      { Key: 'keywright.dev/uid', Value: 'uid-2' },
      { Key: 'team', Value: 'payments' },
    ];
    await aws.send(new TagResourceCommand({ SecretId: name, Tags: two }));
    expect((await aws.send(new DescribeSecretCommand({ SecretId: name }))).Tags).toEqual(two);
    await aws.send(new UntagResourceCommand({ SecretId: name, TagKeys: ['team', 'unknown'] }));
    expect((await aws.send(new DescribeSecretCommand({ SecretId: name }))).Tags).toEqual([two[0]]);
  });

  test('a scheduled deletion is described, hides the value, and is undone by a restore', async () => {
    const name = await created();
    const inSevenDays = Date.now() + 7 * 86_400_000;
    const { DeletionDate } = await aws.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays: 7 }));
    expect(Math.abs((DeletionDate?.getTime() ?? 0) - inSevenDays)).toBeLessThan(600_000);
    expect((await aws.send(new DescribeSecretCommand({ SecretId: name }))).DeletedDate).toEqual(DeletionDate);
    await expect(aws.send(new GetSecretValueCommand({ SecretId: name }))).rejects.toMatchObject({
      name: 'InvalidRequestException',
    });
    await aws.send(new RestoreSecretCommand({ SecretId: name }));
    expect((await aws.send(new DescribeSecretCommand({ SecretId: name }))).DeletedDate).toBeUndefined();
    expect(await stranger.read(name)).toBe('one');
  });

  test('a deletion window has 7 to 30 days', async () => {
    const name = await created();
    for (const RecoveryWindowInDays of [6, 31])
      await expect(aws.send(new DeleteSecretCommand({ SecretId: name, RecoveryWindowInDays }))).rejects.toMatchObject({
        name: 'InvalidParameterException',
      });
  });

  test('lists versions with their labels', async () => {
    const name = await pending();
    const { Versions = [] } = await aws.send(new ListSecretVersionIdsCommand({ SecretId: name }));
    expect(Versions.map((one) => [one.VersionId, one.VersionStages])).toEqual([
      [version(1), ['AWSCURRENT']],
      [version(2), ['AWSPENDING']],
    ]);
  });

  test('a stranger makes, changes, reads and removes secrets', async () => {
    const name = await pending();
    await promote(name, 2, 1);
    await stranger.change(name, 'by hand');
    expect(await stranger.read(name)).toBe('by hand');
    const labels = Object.values((await stranger.describe(name))?.VersionIdsToStages ?? {}).flat();
    expect(labels.sort()).toEqual(['AWSCURRENT', 'AWSPENDING', 'AWSPREVIOUS']);
    await stranger.put(name, 'again');
    expect(await stranger.read(name)).toBe('again');
    await stranger.remove(name);
    expect(await stranger.read(name)).toBeUndefined();
    await stranger.put(name, 'not ours');
    expect(await stranger.read(name)).toBe('not ours');
  });
});
