import { beforeEach, describe, expect, it } from 'vitest';
import { annotations, finalizer } from '../../../operator/src/api/meta.ts';
import { formatInstant } from '../../../operator/src/domain/time.ts';
import { placeOf } from '../../../operator/src/destinations/place.ts';
import type { AdmissionState } from '../../../operator/src/reconcile/acceptance.ts';
import { EditTimes } from '../../../operator/src/reconcile/edittimes.ts';
import { reconcile } from '../../../operator/src/reconcile/reconciler.ts';
import { sweepWithdrawals } from '../../../operator/src/reconcile/sweep.ts';
import { awsSpec, destinationSpec, keySpec, policyAway, secretPath, vaultPath, World } from '../../builders/world.ts';
import { FakeDestination } from '../../harness/fakes/destination.ts';

const minute = 60_000;
const hour = 60 * minute;
const name = 'prod-vault';
const inForce = (period: string, since = 0): AdmissionState => ({ kind: 'inForce', period, since });

/** The server of an author who may write KeyDestinations but no ApiKey. */
let theirs: FakeDestination;
let world: World;

async function open(options: Parameters<typeof World.open>[0] = {}, changes: Parameters<World['createKey']>[0] = {}) {
  world = await World.open(options);
  world.admission = inForce('first');
  world.createKey(changes);
  await world.pass();
}

/** What an author of KeyDestinations can do with one that keys deliver to. */
function remove(): void {
  world.resources.update('KeyDestination', { name }, (found) => ({
    ...found,
    metadata: { ...found.metadata, finalizers: [] },
  }));
  world.resources.delete('KeyDestination', { name });
}

const elsewhere = (address: string) =>
  destinationSpec({
    vault: {
      address,
      mount: 'secret',
      path: 'keywright/{namespace}/{name}',
      auth: { token: { secretRef: { name: 'vault-token', key: 'token' } } },
    },
  });

function createTheirs(address = 'https://theirs.example:8200'): void {
  const uid = `uid of ${address}`;
  world.others.set(uid, theirs);
  world.resources.create('KeyDestination', { metadata: { name, uid, finalizers: [finalizer] }, spec: elsewhere(address) });
}

function replace(): void {
  remove();
  createTheirs();
}

type AwsAuth = NonNullable<ReturnType<typeof awsSpec>['aws']>['auth'];

function withLogin(auth: AwsAuth) {
  const { aws } = awsSpec();
  if (aws === undefined) throw new Error('the builder makes no destination of AWS');
  return { ...awsSpec(), aws: { ...aws, auth } };
}

const role = (account: string, ofName = 'keywright'): AwsAuth => ({ roleArn: `arn:aws:iam::${account}:role/${ofName}` });
const secretOf = (secret: string): AwsAuth => ({ secretRef: { name: secret } });
/** A destination of AWS, with a role of this account. */
const withRole = (account: string) => withLogin(role(account));

const message = (type = 'Ready') => world.status().conditions.find((one) => one.type === type)?.message ?? '';
const confirmation = () => /keywright\.dev\/confirm=([0-9a-f]{16})/.exec(message())?.[1];
const confirm = (value = confirmation()) => {
  expect(value).toBeDefined();
  world.resources.annotate('ApiKey', world.name, { [annotations.confirm]: value });
};
const unconfirmed = ['False DestinationUnconfirmed', 'True DestinationUnconfirmed'];
const conditions = () => [world.condition('Ready'), world.condition('Stalled')];

beforeEach(() => {
  theirs = new FakeDestination();
});

/** What the audit says of places. */
const told = () =>
  world.store.database.rows.audit
    .filter(({ action }) => action === 'place')
    .map(({ detail, requestedBy }) => ({ detail, requestedBy }));

describe('a KeyDestination that was deleted by force and created anew for another place', () => {
  it.each([
    ['that also delivers to a Secret', {}],
    ['that delivers nowhere else', { deliverTo: [{ name: 'vault', destination: name }] }],
  ])('gets no value of a key %s: no copy, no repair and no rotation goes there', async (_, changes) => {
    await open({}, changes);
    replace();
    await world.pass({ drift: true });
    expect(conditions()).toEqual(unconfirmed);
    expect(world.condition('Delivered')).toBe('False DestinationUnconfirmed');
    expect(world.resources.events.map(({ reason }) => reason)).toContain('DestinationUnconfirmed');
    world.resources.annotate('ApiKey', world.name, { [annotations.rotate]: 'now' });
    for (let passes = 0; passes < 5; passes += 1) {
      await world.clock.advance(5 * hour);
      await world.pass({ drift: true });
    }
    expect(theirs.paths()).toEqual([]);
    expect(theirs.calls).toEqual(new FakeDestination().calls);
  });

  it('gets the key when somebody confirms what the status names, and the next one does not', async () => {
    await open();
    replace();
    await world.pass();
    confirm();
    await world.pass();
    expect(conditions()).toEqual(['True Available', 'False Steady']);
    expect(theirs.value(vaultPath)).toBe(world.secret.value(secretPath));
    // The first mint, and the confirmation.
    const [ours, other] = told().map(({ detail }) => String(detail[`places.${name}`]));
    expect(ours).toContain('absent → {"vault":{"address":"https://vault.');
    expect(other).toContain(' → {"vault":{"address":"https://theirs.example:8200"');
    const [first, confirmed] = [theirs, theirs.paths()];
    theirs = new FakeDestination();
    remove();
    createTheirs('https://third.example:8200');
    await world.pass({ drift: true });
    expect(conditions()).toEqual(unconfirmed);
    expect([theirs.paths(), first.paths()]).toEqual([[], confirmed]);
  });

  it('is not confirmed by a value that was written while the policy was not in force, or for another place', async () => {
    await open();
    replace();
    await world.pass();
    const known = confirmation();
    world.admission = policyAway;
    confirm(known);
    await world.pass();
    expect(world.condition('Ready')).toBe('False DestinationUnconfirmed');
    expect(message()).toContain('until the admission policy is in force again');
    // The last known state is not enough: the policy may have been removed a moment before.
    world.admission = inForce('second', world.clock.now());
    await world.pass();
    expect([conditions(), confirmation() === known]).toEqual([unconfirmed, false]);
    const next = confirmation();
    remove();
    createTheirs('https://third.example:8200');
    confirm(next);
    await world.pass();
    expect(conditions()).toEqual(unconfirmed);
    expect(theirs.paths()).toEqual([]);
  });

  it('is confirmed only after a check of the policy that begins after the read', async () => {
    await open();
    replace();
    await world.pass();
    confirm();
    const { deps } = world;
    world.admission = policyAway;
    const stale = { ...deps, admission: { ...deps.admission, state: () => inForce('first') } };
    const key = await world.resources.readLive('ApiKey', world.name);
    if (key !== undefined) await reconcile(stale, key, 'all');
    expect(theirs.paths()).toEqual([]);
    expect(world.condition('Ready')).toBe('False DestinationUnconfirmed');
  });

  it('is replaced in its turn by one of the accepted place, and the key goes on as before', async () => {
    await open();
    replace();
    await world.pass({ drift: true });
    remove();
    world.createDestination('restored');
    await world.pass({ drift: true });
    expect([conditions(), world.status().currentKey?.epoch]).toEqual([['True Available', 'False Steady'], 1]);
  });

  it('is a new decision when the entry was taken out and added again, by somebody with the right to', async () => {
    await open();
    replace();
    await world.pass();
    world.updateKey({ deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] });
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    world.updateKey({ deliverTo: keySpec().deliverTo });
    await world.pass();
    expect([world.condition('Ready'), theirs.paths()]).toEqual(['True Available', [vaultPath]]);
  });

  it('gets nothing while a change of the key is held, and is confirmed together with it', async () => {
    await open();
    world.admission = policyAway;
    world.updateKey({ displayName: 'Held' });
    replace();
    await world.pass();
    world.admission = inForce('second', world.clock.now());
    await world.pass({ drift: true });
    expect([world.condition('Stalled'), theirs.paths()]).toEqual(['True AdmissionPolicyMissing', []]);
    confirm();
    await world.pass();
    expect([world.condition('Ready'), theirs.value(vaultPath)]).toEqual(['True Available', world.secret.value(secretPath)]);
  });

  it('gets the key immediately where no policy is required, because the author of the manifests decides both', async () => {
    world = await World.open();
    world.createKey();
    await world.pass();
    replace();
    await world.pass();
    expect([world.condition('Ready'), theirs.paths()]).toEqual(['True Available', [vaultPath]]);
  });
});

describe('a KeyDestination of AWS', () => {
  it.each<[string, AwsAuth, AwsAuth]>([
    ['its role is of another account', role('111111111111'), role('222222222222')],
    ['it logs in with another Secret', secretOf('team-a'), secretOf('team-b')],
    ['it logs in with a Secret in place of the role of the operator', { irsa: {} }, secretOf('team-b')],
    ['it logs in with the role of the operator in place of a Secret', secretOf('team-a'), { irsa: {} }],
  ])('is another place when %s, although it is the same object', async (_, first, second) => {
    await open({ without: ['destination'] });
    world.resources.create('KeyDestination', {
      metadata: { name, uid: 'aws-uid', finalizers: [finalizer] },
      spec: withLogin(first),
    });
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    const before = world.vault.value(vaultPath);
    world.resources.update('KeyDestination', { name }, (found) => ({ ...found, spec: withLogin(second) }));
    world.resources.annotate('ApiKey', world.name, { [annotations.rotate]: 'now' });
    await world.pass({ drift: true });
    expect(conditions()).toEqual(unconfirmed);
    expect([world.status().currentKey?.epoch, world.vault.value(vaultPath)]).toEqual([2, before]);
    confirm();
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('is the same place with another role of the same account', () => {
    const [one, other] = [role('111111111111'), role('111111111111', 'another')].map((auth) =>
      placeOf({ spec: withLogin(auth) }),
    );
    expect(other).toBe(one);
  });

  it('that is edited between the plan and the write gets nothing', async () => {
    await open({ without: ['destination'] });
    world.resources.create('KeyDestination', {
      metadata: { name, uid: 'aws-uid', finalizers: [finalizer] },
      spec: withRole('111111111111'),
    });
    world.store.afterEffect = () => {
      // The row says that the value is about to be written there.
      if (world.store.database.rows.deliveries.some(({ location }) => location.destinationUid === 'aws-uid'))
        world.resources.update('KeyDestination', { name }, (found) => ({ ...found, spec: withRole('222222222222') }));
    };
    await world.pass();
    expect(world.vault.paths()).toEqual([]);
    expect(world.condition('Ready')).toBe('False DestinationUnconfirmed');
  });
});

describe('a KeyDestination whose role was edited to another account while a value lies in the first one', () => {
  const edit = (account: string) =>
    world.resources.update('KeyDestination', { name }, (found) => ({ ...found, spec: withRole(account) }));
  const leftovers = () =>
    world.resources.events
      .filter(({ message: text }) => text.includes('a value may be left there'))
      .map(({ message: text }) => text);
  const named = `KeyDestination ${name} is now a different place from the accepted one, and ${vaultPath} was not emptied at the accepted one: a value may be left there`;
  const withdrawing = async () => (await world.store.listWithdrawing(10)).length;

  /** From now on, the other account answers under the same uid. */
  async function moved(): Promise<void> {
    await open({ without: ['destination'] });
    world.resources.create('KeyDestination', {
      metadata: { name, uid: 'aws-uid', finalizers: [finalizer] },
      spec: withRole('111111111111'),
    });
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    edit('222222222222');
    world.others.set('aws-uid', theirs);
  }
  const calls = () => theirs.calls;
  const none = new FakeDestination().calls;

  it('is not read for a value that another place has lost', async () => {
    await moved();
    world.secret.lose(secretPath);
    await world.pass({ drift: true });
    expect(calls()).toEqual(none);
    expect([world.status().currentKey?.epoch, world.secret.value(secretPath) === undefined]).toEqual([2, false]);
  });

  it('is not emptied for a key that was deleted, which names the place after the deadline', async () => {
    await moved();
    world.resources.delete('ApiKey', world.name);
    await world.pass();
    expect([await withdrawing(), leftovers()]).toEqual([1, []]);
    await world.clock.advance(world.limits.withdrawDeadlineMs);
    await world.pass();
    expect([world.key(), await withdrawing(), leftovers(), calls()]).toEqual([undefined, 0, [named], none]);
  });

  it('is emptied where the value lies when it becomes the accepted place again in time', async () => {
    await moved();
    world.resources.delete('ApiKey', world.name);
    await world.pass();
    edit('111111111111');
    world.others.delete('aws-uid');
    await world.pass();
    expect([world.key(), world.vault.paths(), leftovers(), calls()]).toEqual([undefined, [], [], none]);
  });

  it('is not emptied for an entry that was taken out, which names the place after the deadline', async () => {
    await moved();
    world.updateKey({ deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] });
    await world.pass();
    expect([await withdrawing(), leftovers()]).toEqual([1, []]);
    await world.clock.advance(world.limits.withdrawDeadlineMs);
    await world.pass();
    expect([await withdrawing(), leftovers(), calls()]).toEqual([0, [named], none]);
    expect(world.store.database.rows.keys.values().next().value?.places).toEqual({});
  });

  it('is not emptied by the sweep after a key that is gone, which names the place after the deadline', async () => {
    await open({ without: ['destination'] });
    world.resources.create('KeyDestination', {
      metadata: { name, uid: 'aws-uid', finalizers: [finalizer] },
      spec: withRole('111111111111'),
    });
    await world.pass();
    world.vault.failNext({ count: 1000 });
    world.resources.delete('ApiKey', world.name);
    await world.pass();
    await world.clock.advance(world.limits.withdrawDeadlineMs - 1);
    world.resources.update('Namespace', { name: 'payments' }, (found) => ({
      ...found,
      metadata: { ...found.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
    }));
    await world.pass();
    expect([world.key(), await withdrawing()]).toEqual([undefined, 1]);
    edit('222222222222');
    world.others.set('aws-uid', theirs);
    expect(await sweepWithdrawals(world.deps)).toBe(1);
    await world.clock.advance(1);
    expect(await sweepWithdrawals(world.deps)).toBe(0);
    expect([await withdrawing(), leftovers(), calls()]).toEqual([0, [named], none]);
  });
});

describe('a KeyDestination that comes after the ApiKey that names it', () => {
  const only = { deliverTo: [{ name: 'vault', destination: name }] };

  it.each([
    ['beside a Secret, within the hour', {}, 59 * minute, 'True Available'],
    ['alone, within the hour', only, 59 * minute, 'True Available'],
    ['beside a Secret, later', {}, 61 * minute, 'False DestinationUnconfirmed'],
    ['alone, later', only, 61 * minute, 'False DestinationUnconfirmed'],
  ])('%s: %s', async (_, changes, after, ready) => {
    await open({ without: ['destination'] }, changes);
    await world.clock.advance(after);
    createTheirs();
    await world.pass();
    expect([world.condition('Ready'), theirs.paths().length]).toEqual([ready, ready === 'True Available' ? 1 : 0]);
    if (ready === 'True Available') return;
    expect(message()).toContain('was created more than an hour after it was named here');
    confirm();
    await world.pass();
    expect([world.condition('Ready'), theirs.paths()]).toEqual(['True Available', [vaultPath]]);
  });

  it('is in the audit, with who wrote it, so that its place can be read after it is gone', async () => {
    await open({ without: ['destination'] });
    await world.clock.advance(minute);
    const time = formatInstant(world.clock.now());
    const managedFields = [{ manager: 'carol', time, fieldsV1: { 'f:spec': { 'f:vault': { 'f:address': {} } } } }];
    createTheirs();
    world.resources.update('KeyDestination', { name }, (found) => ({ ...found, metadata: { ...found.metadata, managedFields } }));
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    expect(told()).toEqual([
      {
        detail: {
          [`places.${name}`]:
            'absent → {"vault":{"address":"https://theirs.example:8200","mount":"secret","path":"keywright/{namespace}/{name}"}}',
        },
        requestedBy: { manager: 'carol', at: world.clock.now() },
      },
    ]);
  });

  it('is the only one that the hour is for: another one of its name is another place', async () => {
    await open({ without: ['destination'] });
    world.createDestination();
    await world.pass();
    replace();
    await world.pass();
    expect([world.condition('Ready'), theirs.paths()]).toEqual(['False DestinationUnconfirmed', []]);
  });

  it('has its hour from the edit on that names it, whatever else is edited later', async () => {
    await open({ without: ['destination'] }, { deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] });
    await world.clock.advance(5 * hour);
    world.updateKey({ deliverTo: keySpec().deliverTo });
    await world.pass();
    await world.clock.advance(50 * minute);
    world.updateKey({ displayName: 'Later' });
    await world.pass();
    await world.clock.advance(15 * minute);
    createTheirs();
    await world.pass();
    expect([world.condition('Ready'), theirs.paths()]).toEqual(['False DestinationUnconfirmed', []]);
  });

  it('has its hour from when an operator last led, if none has led since it was named', async () => {
    await open({ without: ['destination'] }, { deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] });
    world.updateKey({ deliverTo: keySpec().deliverTo });
    const lastLedAt = world.clock.now();
    await world.clock.advance(2 * hour);
    createTheirs();
    world.edits = new EditTimes();
    world.edits.begin(lastLedAt);
    world.secret.failNext({ count: 1 });
    for (let passes = 0; passes < 2; passes += 1) await world.pass({ drift: true });
    expect([world.condition('Ready'), theirs.paths()]).toEqual(['False DestinationUnconfirmed', []]);
  });

  it('has its hour from when the store last answered, if it was away since it was named', async () => {
    await open({ without: ['destination'] }, { deliverTo: [{ name: 'local', secret: { name: 'billing-api-key' } }] });
    world.edits.alive(world.clock.now());
    world.updateKey({ deliverTo: keySpec().deliverTo });
    await world.clock.advance(2 * hour);
    createTheirs();
    await world.pass();
    expect([world.condition('Ready'), theirs.paths()]).toEqual(['False DestinationUnconfirmed', []]);
  });
});

describe('a key that was delivered while no policy was required', () => {
  it('goes on where it is delivered once a policy is required, and nowhere else', async () => {
    world = await World.open({ without: ['destination'] });
    world.createKey();
    await world.pass();
    await world.clock.advance(5 * hour);
    world.createDestination();
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    world.admission = inForce('first');
    await world.pass();
    expect(world.condition('Ready')).toBe('True Available');
    replace();
    await world.pass({ drift: true });
    expect([world.condition('Ready'), theirs.paths()]).toEqual(['False DestinationUnconfirmed', []]);
  });
});

describe('an ApiKey that was removed by force and created again', () => {
  async function again(between: () => void): Promise<void> {
    await open();
    world.resources.update('ApiKey', world.name, (key) => ({ ...key, metadata: { ...key.metadata, finalizers: [] } }));
    world.resources.delete('ApiKey', world.name);
    remove();
    await world.clock.advance(5 * hour);
    world.createKey();
    await world.pass();
    await world.clock.advance(5 * hour);
    between();
    await world.pass();
  }

  it('knows the place of a KeyDestination that is restored long after it', async () => {
    await again(() => {
      world.createDestination('restored');
    });
    expect(world.condition('Ready')).toBe('True Available');
  });

  it('gives its value to no other place of that name', async () => {
    await again(() => {
      createTheirs();
    });
    expect([conditions(), theirs.paths()]).toEqual([unconfirmed, []]);
  });

  it('names anew what is there when it is created', async () => {
    await open();
    replace();
    world.resources.update('ApiKey', world.name, (key) => ({ ...key, metadata: { ...key.metadata, finalizers: [] } }));
    world.resources.delete('ApiKey', world.name);
    await world.clock.advance(minute);
    world.createKey();
    await world.pass();
    expect([world.condition('Ready'), theirs.paths()]).toEqual(['True Available', [vaultPath]]);
  });
});
