import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { AwsSpec } from '../../../operator/src/destinations/aws/aws.ts';
import type { Destination } from '../../../operator/src/destinations/port.ts';
import { guideBlock } from '../../builders/guide.ts';
import { AwsFake } from '../../harness/awsfake/awsfake.ts';
import type { KmsKey } from '../../harness/awsfake/kms.ts';
import type { PolicyDocument, Statement } from '../../harness/awsfake/policy.ts';
import { openAws } from './openaws.ts';
import { put, version, written, type KeyRef } from './version.ts';

const [statement] = policyOf('json policy');
const [kmsStatement] = policyOf('json kms');
const actions = [statement?.Action ?? []].flat();
const kmsActions = [kmsStatement?.Action ?? []].flat();

let aws: AwsFake;
let key: KmsKey;
let count = 0;
const opened: Destination[] = [];

function policyOf(label: string): readonly Statement[] {
  return [(JSON.parse(guideBlock('aws', label)) as PolicyDocument).Statement].flat();
}

beforeAll(async () => {
  aws = await AwsFake.open();
  key = aws.kms.create('keywright');
});
afterEach(async () => {
  for (const destination of opened.splice(0)) await destination.close();
});
afterAll(() => aws.close());

/** A destination with the rights of the page, or fewer. */
async function open(change: { without?: string; kms?: boolean; kmsWithout?: string; spec?: Partial<AwsSpec> } = {}) {
  const Statement: Statement[] = [{ ...whole(statement), Action: actions.filter((action) => action !== change.without) }];
  if (change.kms === true) {
    const Action = kmsActions.filter((action) => action !== change.kmsWithout);
    if (Action.length > 0) Statement.push({ ...whole(kmsStatement), Action, Resource: key.arn });
  }
  const keys = aws.identities.createUser({ Statement });
  const spec = { ...(change.kms === true ? { kmsKeyId: key.arn } : {}), ...change.spec };
  const destination = await openAws({ endpoint: aws.endpoint, region: aws.region, keys }, spec);
  opened.push(destination);
  return destination;
}

function whole(one: Statement | undefined): Statement {
  if (one === undefined) throw new Error('the page has no such statement');
  return one;
}

/** All that ever happens to a location: also a new resource of the same name, after the deletion of the first one. */
async function liveThrough(destination: Destination): Promise<void> {
  const owner: KeyRef = { namespace: 'payments', name: 'billing', uid: 'uid-1' };
  const location = { destinationUid: 'aws', path: `keywright/payments/place-${(count += 1)}` };
  const reading = written(await put(destination, location, await destination.readMark(location), version(owner, 1)));
  const next = written(await put(destination, location, reading, version(owner, 2)));
  expect((await destination.readValue(location))?.apiKey).toBeDefined();
  expect(await destination.withdraw(location, next)).toBe('withdrawn');
  const gone = await destination.readMark(location);
  const again = version({ ...owner, uid: 'uid-2' }, 3);
  written(await put(destination, location, gone, again));
  expect(await destination.readMark(location)).toMatchObject({ mark: again.mark, carries: true });
}

it('is enough for all that happens to a key', async () => {
  const destination = await open();
  await destination.probe();
  await liveThrough(destination);
});

it('gives eight rights, each of which the next tests take away', () => {
  expect(actions).toHaveLength(8);
  expect(kmsActions).toHaveLength(2);
});

it.each(actions)('is not enough without %s, which the failure names', async (without) => {
  const destination = await open({ without });
  await expect(liveThrough(destination)).rejects.toThrow(without);
});

it('is missed by the probe before anything is written', async () => {
  const destination = await open({ without: 'secretsmanager:DescribeSecret' });
  await expect(destination.probe()).rejects.toThrow('AWS denies secretsmanager:DescribeSecret');
});

it('is enough for a KMS key with the second statement', async () => {
  await liveThrough(await open({ kms: true }));
});

it.each(kmsActions)('is not enough for a KMS key without %s', async (kmsWithout) => {
  const destination = await open({ kms: true, kmsWithout });
  await expect(liveThrough(destination)).rejects.toThrow('or the use of the KMS key');
});

it('reaches no secret beside the template', async () => {
  const destination = await open();
  for (const path of ['keywright-other/payments/billing', 'payments/billing']) {
    await expect(destination.readMark({ destinationUid: 'aws', path })).rejects.toThrow('AWS denies');
  }
});
