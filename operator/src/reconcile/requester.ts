import { lastManager, type FieldPath } from '../api/managers.ts';
import { annotations, type ObjectMeta } from '../api/meta.ts';
import { parseInstant } from '../domain/time.ts';
import type { AppliedSettings, Proposal, RequestedBy } from '../store/port.ts';
import type { Action } from './action.ts';
import type { Observed } from './observed.ts';
import { sameData } from './settings.ts';

const spec: FieldPath = ['spec'];
const rotateRequest: FieldPath = ['metadata', 'annotations', annotations.rotate];
const confirmation: FieldPath = ['metadata', 'annotations', annotations.confirm];
const compromisedRequest: FieldPath = ['metadata', 'annotations', annotations.compromised];

/**
 * Who asked for a step, for its audit rows: the field manager of the change that caused it, or `operator` if it follows from
 * time, loss or repair. A deletion is `unknown`, because the API server does not say who deletes.
 */
export function requesterOf(o: Observed, action: Action): RequestedBy {
  const { metadata } = o.resource;
  switch (action.kind) {
    case 'saveSettings':
      return editorOf(o, action);
    case 'revokeAll':
      if (metadata.deletionTimestamp !== undefined) return 'unknown';
      return action.revokedReason === undefined ? 'operator' : managerOf(metadata, [['spec', 'revoked']]);
    case 'endVersions':
      return action.handled?.compromised === undefined ? 'operator' : managerOf(metadata, [compromisedRequest]);
    case 'saveHandled':
      return managerOf(metadata, [rotateRequest, compromisedRequest]);
    case 'setExpiry':
      return managerOf(metadata, [['spec', 'expiry']]);
    case 'beginWithdrawal':
      return metadata.deletionTimestamp === undefined ? managerOf(metadata, [['spec', 'deliverTo']]) : 'unknown';
    case 'mint':
      return minterOf(metadata, action);
    default:
      return 'operator';
  }
}

/**
 * The writer of the changed fields of the spec; who confirmed what was only proposed; or, if it is accepted only now, who wrote it.
 * Otherwise something outside the ApiKey changed.
 */
function editorOf(o: Observed, { applied }: Extract<Action, { kind: 'saveSettings' }>): RequestedBy {
  const { key } = o.store;
  const { metadata } = o.resource;
  const changed = changedMembers(key?.proposed ?? key?.settings, applied.proposed ?? applied.settings);
  if (changed.length > 0) return managerOf(metadata, changed);
  if (o.acceptance.kind === 'accepted' && o.acceptance.confirmed === true) return managerOf(metadata, [confirmation]);
  const isAccepted = applied.accepted?.generation !== key?.accepted?.generation;
  const took = isAccepted ? changedMembers(key?.settings, applied.settings) : [];
  if (took.length > 0) return managerOf(metadata, took);
  return placedNames(o, applied).some(({ wasNamed }) => !wasNamed) ? managerOf(metadata, [['spec', 'deliverTo']]) : 'operator';
}

/** The KeyDestination that came after its name was accepted, so that its author caused this step; absent = no such one. */
export function causingDestination(o: Observed, action: Action): string | undefined {
  if (action.kind !== 'saveSettings' || editorOf(o, action) !== 'operator') return undefined;
  return placedNames(o, action.applied)[0]?.name;
}

/** Who last wrote the place of a KeyDestination. */
export function placeRequester(metadata: ObjectMeta): RequestedBy {
  return managerOf(metadata, [
    ['spec', 'vault'],
    ['spec', 'aws'],
  ]);
}

/** The names that mean another place from now on; `wasNamed` = the key waited for a KeyDestination of this name. */
function placedNames(
  { store: { key } }: Observed,
  { places = {} }: AppliedSettings,
): readonly { readonly name: string; readonly wasNamed: boolean }[] {
  const known = key?.places;
  // Until now no policy was required, and all places counted.
  if (known === undefined) return [];
  return Object.entries(places).flatMap(([name, { place }]) => {
    const before = known[name];
    return place === before?.place ? [] : [{ name, wasNamed: before !== undefined && before.place === undefined }];
  });
}

/** Who last wrote the spec of a catalog, owner or group. */
export function specRequester(metadata: ObjectMeta): RequestedBy {
  return managerOf(metadata, [spec]);
}

function minterOf(metadata: ObjectMeta, { cause }: Extract<Action, { kind: 'mint' }>): RequestedBy {
  switch (cause) {
    case 'Initial':
      return managerOf(metadata, [spec]);
    case 'Requested':
      return managerOf(metadata, [rotateRequest]);
    case 'Compromise':
      return managerOf(metadata, [compromisedRequest]);
    default:
      return 'operator';
  }
}

function managerOf({ managedFields }: ObjectMeta, paths: readonly FieldPath[]): RequestedBy {
  const found = lastManager(managedFields, paths);
  if (found === undefined) return 'unknown';
  const at = found.time === undefined ? undefined : parseInstant(found.time);
  return { manager: found.manager, ...(at === undefined ? {} : { at }) };
}

/** The members of the spec behind changed settings; `suspended` is `spec.suspend`, all others have the same name. */
function changedMembers(from: Proposal | undefined, to: Proposal): readonly FieldPath[] {
  if (from === undefined) return [spec];
  const [before, after] = [from, to].map(
    ({ selections, suspended, earlier: _, ...rest }: Proposal): Readonly<Record<string, unknown>> => {
      return { ...rest, ...selections, suspend: suspended };
    },
  );
  const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})]);
  return [...names].filter((name) => !sameData(before?.[name], after?.[name])).map((name) => ['spec', name]);
}
