import type { ChangeDetail } from '../../../../operator/src/store/changes.ts';
import type { FeedRow } from '../../../../operator/src/store/port.ts';
import { Abandon } from './rows.ts';
import type { Change, Cluster } from './rows.ts';

type Describe<T> = (from: T | undefined, to: T | undefined) => ChangeDetail;

/** What the three cluster kinds have in common: how a row is told from another, and told of. */
export interface ClusterTable<T> {
  readonly kind: FeedRow['kind'];
  readonly isSame: (known: T, row: T) => boolean;
  readonly describe: Describe<T>;
}

/** Saves a row when it differs; an older one of its name is deleted. */
export function save<T extends { readonly uid: string; readonly name: string }>(
  all: Cluster<T>,
  row: T,
  table: ClusterTable<T>,
): Change {
  const { kind, isSame, describe } = table;
  const known = all.get(row.uid);
  if (known !== undefined && (known.deleted || isSame(known.row, row))) throw new Abandon('already');
  const replaced = inForce(all).filter((other) => other.name === row.name && other.uid !== row.uid);
  for (const other of replaced) all.set(other.uid, { row: other, deleted: true });
  all.set(row.uid, { row: structuredClone(row), deleted: false });
  const action = known === undefined ? 'create' : 'edit';
  return {
    kind,
    revises: [...replaced.map((other) => other.uid), row.uid],
    audit: [
      ...replaced.map((other) => ({ action: 'delete', subjectUid: other.uid, detail: describe(other, undefined) })),
      { action, subjectUid: row.uid, detail: describe(known?.row, row) },
    ],
  };
}

/** Deletes a row; its uid stays known as dead. */
export function remove<T>(all: Cluster<T>, uid: string, { kind, describe }: ClusterTable<T>): Change {
  const known = all.get(uid);
  if (known === undefined || known.deleted) throw new Abandon('already');
  all.set(uid, { ...known, deleted: true });
  return { kind, revises: [uid], audit: [{ action: 'delete', subjectUid: uid, detail: describe(known.row, undefined) }] };
}

/** Those that were not deleted. */
export function inForce<T>(all: Cluster<T>): readonly T[] {
  return [...all.values()].filter((one) => !one.deleted).map((one) => one.row);
}
