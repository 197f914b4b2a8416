import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  areRolledOut,
  consumersStatement,
  consumersToLookAt,
  consumersToRestart,
  nextLookAt,
  restartsOf,
  switchedOffMessage,
  wasAdopted,
} from '../../../operator/src/consumers/adoption.ts';
import type { ConsumerSight, ConsumerState, NamedConsumer } from '../../../operator/src/consumers/adoption.ts';
import type { ApiKeyStatus } from '../../../operator/src/api/kinds.ts';
import { transient, waiting } from '../../../operator/src/domain/failure.ts';
import { workload } from '../../builders/workload.ts';

const activatedAt = Date.parse('2026-01-01T00:00:00Z');
const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const consumer = { kind: 'Deployment', name: 'billing' } as const;
const named: NamedConsumer = { ...consumer, restart: true, restartAfterMs: 0 };
const pods = { wanted: 3, updated: 1, available: 2 };
const state = (sight: ConsumerSight, at = activatedAt): ConsumerState => ({ consumer, due: { kind: 'at', at }, sight });
const notAsked: ConsumerSight = { kind: 'notAsked', observed: workload() };
const failed = (failure = waiting('NotPermitted', 'no right')): ConsumerSight => ({ kind: 'failed', failure });

describe('a restart', () => {
  const due = (adopting: Partial<Parameters<typeof restartsOf>[0]>) =>
    restartsOf({ consumers: [named], activatedAt, secrets: 'delivered', ...adopting }).map((one) => one.due);

  it('is due at the activation, when a Secret holds the value', () => {
    expect(due({})).toEqual([{ kind: 'at', at: activatedAt }]);
  });

  it('is due after restartAfter, with and without a Secret, on a whole second', () => {
    const consumers = [{ ...named, restartAfterMs: hour }];
    expect(due({ consumers })).toEqual([{ kind: 'at', at: activatedAt + hour }]);
    expect(due({ consumers, secrets: 'none', activatedAt: activatedAt - 1 })).toEqual([{ kind: 'at', at: activatedAt + hour }]);
  });

  it('waits for the Secret that lacks the value: a workload must not be restarted for the old one', () => {
    expect(due({ secrets: 'waiting' })).toEqual([{ kind: 'undelivered' }]);
  });

  it('has no instant where another tool brings the value and nobody said how long that takes', () => {
    expect(due({ secrets: 'none' })).toEqual([{ kind: 'unscheduled' }]);
  });

  it('is not made of a consumer that did not ask for it', () => {
    expect(due({ consumers: [{ ...named, restart: false }] })).toEqual([]);
  });

  it('is preceded by a look, and made once', () => {
    const now = activatedAt;
    expect(consumersToLookAt([state({ kind: 'unseen' })], now)).toEqual([consumer]);
    expect(consumersToRestart([state({ kind: 'unseen' })], now)).toEqual([]);
    expect(consumersToRestart([state(notAsked)], now)).toEqual([consumer]);
    for (const sight of [{ kind: 'complete' }, { kind: 'missing' }, { kind: 'paused' }, failed()] as const) {
      expect(consumersToRestart([state(sight)], now)).toEqual([]);
      expect(consumersToLookAt([state(sight)], now)).toEqual([]);
    }
  });

  it('neither looks nor restarts before its instant', () => {
    const now = activatedAt - 1;
    expect(consumersToLookAt([state({ kind: 'unseen' })], now)).toEqual([]);
    expect(consumersToRestart([state(notAsked)], now)).toEqual([]);
  });
});

describe('rollouts', () => {
  const complete = state({ kind: 'complete' });

  it('prove that the old value is gone when every consumer is complete', () => {
    expect(areRolledOut([named], [complete])).toBe(true);
    expect(areRolledOut([named], [state({ kind: 'inProgress', pods })])).toBe(false);
  });

  it('prove nothing without a consumer, or with one that is not restarted', () => {
    expect(areRolledOut([], [])).toBe(false);
    expect(areRolledOut([{ ...named, restart: false }], [])).toBe(false);
    expect(areRolledOut([named, { ...named, kind: 'DaemonSet', restart: false }], [complete])).toBe(false);
  });
});

describe('the part of Adopted that the rollouts have', () => {
  const now = activatedAt + minute;

  it('says nothing when all are complete, or none is restarted', () => {
    expect(consumersStatement([state({ kind: 'complete' })], now)).toBeUndefined();
    expect(consumersStatement([], now)).toBeUndefined();
  });

  it.each<[string, ConsumerSight, string, string]>([
    ['is about to begin', notAsked, 'RolloutInProgress', 'Deployment billing is about to be restarted'],
    [
      'goes on',
      { kind: 'inProgress', pods },
      'RolloutInProgress',
      'Deployment billing is rolling out: 1 of 3 pods are new, 2 available',
    ],
    [
      'has passed its deadline',
      { kind: 'stuck', pods },
      'RolloutStuck',
      'Deployment billing has passed its progress deadline: 1 of 3 pods are new, 2 available',
    ],
    ['is paused', { kind: 'paused' }, 'RolloutStuck', 'Deployment billing is paused: it rolls out when somebody resumes it'],
    [
      'needs a hand',
      { kind: 'byHand', pods, strategy: 'OnDelete' },
      'RolloutStuck',
      'Deployment billing waits for a person: 1 of 3 pods are new, 2 available, and by the update strategy OnDelete the others keep the old value until somebody deletes them',
    ],
    ['has no workload', { kind: 'missing' }, 'ConsumerNotFound', 'Deployment billing does not exist'],
    ['is refused', failed(), 'NotPermitted', 'Deployment billing cannot be restarted or followed: no right'],
    [
      'is out of reach',
      failed(transient('InternalError', 'no answer')),
      'RolloutInProgress',
      'Deployment billing cannot be restarted or followed: no answer',
    ],
  ])('tells a rollout that %s', (_title, sight, reason, message) => {
    expect(consumersStatement([state(sight)], now)).toEqual({ status: 'False', reason, message });
  });

  it('tells when a restart comes, and why one does not', () => {
    expect(consumersStatement([state({ kind: 'unseen' }, now + hour)], now)).toMatchObject({
      reason: 'RolloutInProgress',
      message: 'Deployment billing is restarted at 2026-01-01T01:01:00Z',
    });
    const unseen = { kind: 'unseen' } as const;
    expect(consumersStatement([{ consumer, due: { kind: 'undelivered' }, sight: unseen }], now)).toMatchObject({
      reason: 'RolloutInProgress',
    });
    expect(consumersStatement([{ consumer, due: { kind: 'unscheduled' }, sight: unseen }], now)).toMatchObject({
      reason: 'InvalidSpec',
    });
  });

  it('names what is not restarted because restarts are switched off', () => {
    expect(switchedOffMessage([named, { ...named, kind: 'DaemonSet', restart: false }])).toBe(
      'KEYWRIGHT_CONSUMERS is off: not restarted: Deployment billing',
    );
    expect(switchedOffMessage([{ ...named, restart: false }])).toBeUndefined();
  });

  it('names all that is open, and gives the reason that asks for a person', () => {
    const told = consumersStatement(
      [state({ kind: 'inProgress', pods }), state({ kind: 'complete' }), state({ kind: 'missing' })],
      now,
    );
    expect(told?.reason).toBe('ConsumerNotFound');
    expect(told?.message.split('; ')).toHaveLength(2);
  });
});

describe('a version that is adopted', () => {
  const condition = {
    type: 'Adopted',
    status: 'True',
    reason: 'SeenInUse',
    message: '',
    observedGeneration: 3,
    lastTransitionTime: '2026-01-01T00:00:00Z',
  } as const;
  const status: ApiKeyStatus = { conditions: [condition], currentKey: { id: 'newKey', display: 'd', epoch: 2, issuedAt: 'i' } };
  const version = { keyId: 'newKey', generation: 3 };

  it('is known by its status, so that its consumers are left alone', () => {
    expect(wasAdopted(status, version)).toBe(true);
  });

  it('is another one after a rotation or an edit, and none without a status', () => {
    expect(wasAdopted(status, { ...version, keyId: 'newerKey' })).toBe(false);
    expect(wasAdopted(status, { ...version, generation: 4 })).toBe(false);
    expect(wasAdopted({ ...status, conditions: [{ ...condition, status: 'False' }] }, version)).toBe(false);
    expect(wasAdopted(undefined, version)).toBe(false);
  });
});

describe('the next look', () => {
  const after = (elapsedMs: number, sight: ConsumerSight = { kind: 'inProgress', pods }) => {
    const now = activatedAt + elapsedMs;
    const at = nextLookAt([state(sight)], now);
    return at === undefined ? undefined : at - now;
  };

  it('is the instant of a restart that is not due yet', () => {
    expect(after(-hour, { kind: 'unseen' })).toBe(hour);
  });

  it('comes within seconds at first, then more slowly, and never less often than every ten minutes', () => {
    expect([0, 10 * second, 40 * second, 4 * minute, hour, 1_000 * hour].map((elapsed) => after(elapsed))).toEqual([
      5 * second,
      5 * second,
      10 * second,
      minute,
      10 * minute,
      10 * minute,
    ]);
  });

  it('is not asked for by what is complete, or waits for something else than time', () => {
    expect(after(minute, { kind: 'complete' })).toBeUndefined();
    expect(nextLookAt([], activatedAt)).toBeUndefined();
    const unseen = { kind: 'unseen' } as const;
    expect(nextLookAt([{ consumer, due: { kind: 'undelivered' }, sight: unseen }], activatedAt)).toBeUndefined();
    expect(nextLookAt([{ consumer, due: { kind: 'unscheduled' }, sight: unseen }], activatedAt)).toBeUndefined();
  });

  it('gives an API server the pause that it asks for', () => {
    expect(after(0, failed(transient('InternalError', 'busy', 30 * second)))).toBe(30 * second);
  });

  it('is the first of several', () => {
    const now = activatedAt + hour;
    const states = [state({ kind: 'missing' }), state({ kind: 'unseen' }, now + minute), state({ kind: 'complete' })];
    expect(nextLookAt(states, now)).toBe(now + minute);
  });

  it('costs 16 reads in a rollout of five minutes, and 28 in one of an hour', () => {
    const readsWithin = (endMs: number) => {
      let reads = 0;
      for (let at: number | undefined = activatedAt; at !== undefined && at < activatedAt + endMs; reads += 1)
        at = nextLookAt([state({ kind: 'inProgress', pods })], at);
      return reads;
    };
    expect([5 * minute, hour].map(readsWithin)).toEqual([16, 28]);
  });

  it('is always in the future, and on a whole second', () => {
    fc.assert(
      fc.property(fc.integer({ min: -100 * hour, max: 100 * hour }), fc.integer({ min: 0, max: 999 }), (elapsed, ms) => {
        const now = activatedAt + elapsed + ms;
        const at = nextLookAt([state(notAsked)], now) ?? 0;
        expect(at).toBeGreaterThan(now);
        expect(at % second).toBe(0);
      }),
    );
  });
});
