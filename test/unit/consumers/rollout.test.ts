import { describe, expect, it } from 'vitest';
import { restartedFor } from '../../../operator/src/consumers/port.ts';
import { rolloutOf } from '../../../operator/src/consumers/rollout.ts';
import { rolledOut, sought, withMetadata, withSpec, withStatus, workload } from '../../builders/workload.ts';

const kinds = ['Deployment', 'StatefulSet', 'DaemonSet'] as const;
const onDelete = { updateStrategy: { type: 'OnDelete' } };
const partition = (count: number) => ({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: count } } });
const progressing = (reason: string) => ({ conditions: [{ type: 'Progressing', status: 'False', reason }] });

describe.each(kinds)('the rollout of a %s', (kind) => {
  it('is complete when every pod is new and available', () => {
    expect(rolloutOf(rolledOut(workload(kind)), sought)).toEqual({ kind: 'complete' });
  });

  it('is in progress while old pods are there, with the counts', () => {
    expect(rolloutOf(workload(kind), sought)).toEqual({ kind: 'inProgress', pods: { wanted: 3, updated: 0, available: 3 } });
  });

  it('is in progress while a new pod is not available', () => {
    const counts = kind === 'DaemonSet' ? { numberAvailable: 2 } : { availableReplicas: 2 };
    expect(rolloutOf(withStatus(rolledOut(workload(kind)), counts), sought)).toMatchObject({ kind: 'inProgress' });
  });

  it('is not complete by the counts of the template before it', () => {
    const unseen = withMetadata(rolledOut(workload(kind)), { generation: 3 });
    expect(rolloutOf(unseen, sought)).toMatchObject({ kind: 'inProgress' });
    const { status: _none, ...new_ } = workload(kind);
    expect(rolloutOf(new_, sought)).toMatchObject({ kind: 'inProgress' });
  });

  it('has not begun without the annotation, or with that of another version or key', () => {
    const complete = rolledOut(workload(kind));
    expect(rolloutOf(withSpec(complete, { template: {} }), sought)).toMatchObject({ kind: 'notAsked' });
    expect(rolloutOf(complete, { ...sought, keyId: 'newerKey' })).toMatchObject({ kind: 'notAsked' });
    expect(rolloutOf(complete, { ...sought, apiKeyName: 'search' })).toMatchObject({ kind: 'notAsked' });
  });

  it('does not exist without the workload, or when that is being deleted', () => {
    expect(rolloutOf(undefined, sought)).toEqual({ kind: 'missing' });
    const leaving = withMetadata(rolledOut(workload(kind)), { deletionTimestamp: '2026-01-01T00:00:00Z' });
    expect(rolloutOf(leaving, sought)).toEqual({ kind: 'missing' });
  });

  it('is complete with no pod at all, when none is wanted', () => {
    const counts =
      kind === 'DaemonSet'
        ? { desiredNumberScheduled: 0, numberAvailable: 0 }
        : { replicas: 0, updatedReplicas: 0, availableReplicas: 0 };
    const none = withStatus(kind === 'DaemonSet' ? workload(kind) : withSpec(workload(kind), { replicas: 0 }), counts);
    expect(rolloutOf(none, sought)).toEqual({ kind: 'complete' });
  });
});

describe('the rollout of a Deployment', () => {
  it('is not complete while an old pod stays beside the new ones', () => {
    expect(rolloutOf(withStatus(rolledOut(workload()), { replicas: 4, availableReplicas: 4 }), sought)).toMatchObject({
      kind: 'inProgress',
    });
  });

  it('is not complete while the pods of a Deployment that was scaled to none are still there', () => {
    expect(rolloutOf(withSpec(workload(), { replicas: 0 }), sought)).toMatchObject({ kind: 'inProgress' });
  });

  it('is stuck when its progress deadline has passed, and only then', () => {
    expect(rolloutOf(withStatus(workload(), progressing('ProgressDeadlineExceeded')), sought)).toEqual({
      kind: 'stuck',
      pods: { wanted: 3, updated: 0, available: 3 },
    });
    expect(rolloutOf(withStatus(workload(), progressing('ReplicaSetUpdated')), sought)).toMatchObject({ kind: 'inProgress' });
    // The deadline of the rollout before this one.
    const unseen = withMetadata(withStatus(workload(), progressing('ProgressDeadlineExceeded')), { generation: 3 });
    expect(rolloutOf(unseen, sought)).toMatchObject({ kind: 'inProgress' });
  });

  it('is paused when the Deployment is', () => {
    expect(rolloutOf(withSpec(workload(), { paused: true }), sought)).toEqual({ kind: 'paused' });
    expect(rolloutOf(withSpec(rolledOut(workload()), { paused: true }), sought)).toEqual({ kind: 'complete' });
  });

  it('wants one pod where nobody said how many', () => {
    const { replicas: _three, ...spec } = workload().spec;
    expect(rolloutOf({ ...workload(), spec }, sought)).toMatchObject({ pods: { wanted: 1 } });
  });
});

describe('a rollout that a person must finish', () => {
  it.each(['StatefulSet', 'DaemonSet'] as const)('is one of a %s with the strategy OnDelete, until all pods are new', (kind) => {
    expect(rolloutOf(withSpec(workload(kind), onDelete), sought)).toMatchObject({ kind: 'byHand', strategy: 'OnDelete' });
    expect(rolloutOf(withSpec(rolledOut(workload(kind)), onDelete), sought)).toEqual({ kind: 'complete' });
  });

  it('is one of a StatefulSet with a partition, when all above it are new', () => {
    const above = (updated: number) => withSpec(withStatus(workload('StatefulSet'), { updatedReplicas: updated }), partition(2));
    expect(rolloutOf(above(0), sought)).toMatchObject({ kind: 'inProgress' });
    expect(rolloutOf(above(1), sought)).toMatchObject({ kind: 'byHand', strategy: 'partition', pods: { updated: 1 } });
    expect(rolloutOf(above(3), sought)).toEqual({ kind: 'complete' });
    expect(rolloutOf(withSpec(workload('StatefulSet'), partition(9)), sought)).toMatchObject({ kind: 'byHand' });
    expect(rolloutOf(withSpec(workload('StatefulSet'), partition(0)), sought)).toMatchObject({ kind: 'inProgress' });
  });
});

describe('a rollout whose pods are all new', () => {
  it.each([onDelete, partition(2)])('waits for them and for nobody else while one is not available: %j', (spec) => {
    const replaced = withStatus(rolledOut(workload('StatefulSet')), { availableReplicas: 2 });
    expect(rolloutOf(withSpec(replaced, spec), sought)).toMatchObject({ kind: 'inProgress' });
  });
});

describe('the annotation of a restart', () => {
  it('has a valid name for every name of an ApiKey', () => {
    const qualified = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/(?=.{1,63}$)([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
    for (const name of ['a', 'billing', 'search.index', 'x'.repeat(63)]) expect(restartedFor(name)).toMatch(qualified);
  });
});
