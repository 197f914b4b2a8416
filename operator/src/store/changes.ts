import { formatInstant } from '../domain/time.ts';
import type { Instant } from '../domain/time.ts';
import { canonicalJson } from '../domain/canonical.ts';
import type { AppliedSettings, CatalogRow, GroupRow, HandledRequests, KeySettings, OwnerRow } from './port.ts';

/** What an audit row says of a change: path of the member → `from → to`, in names. */
export type ChangeDetail = Readonly<Record<string, string | number>>;

/** A catalog has thousands of entries; an edit that touches more than these says how many more. */
const maxLines = 200;
/** Lists beyond this many characters are told by what was added and taken away. */
const maxListLength = 1_000;
const absent = 'absent';

/** `undefined` = was not there before, or is not there any more. */
export function ownerChange(from: OwnerRow | undefined, to: OwnerRow | undefined): ChangeDetail {
  return { ...subject('KeyOwner', from ?? to), ...difference(rights(from), rights(to)) };
}

/** See {@link ownerChange}. */
export function groupChange(from: GroupRow | undefined, to: GroupRow | undefined): ChangeDetail {
  return { ...subject('KeyOwnerGroup', from ?? to), ...difference(rights(from), rights(to)) };
}

/** See {@link ownerChange}; a new or deleted catalog is told by its digest, which stands for thousands of entries. */
export function catalogChange(from: CatalogRow | undefined, to: CatalogRow | undefined): ChangeDetail {
  const digest = difference({ digest: from?.digest }, { digest: to?.digest });
  // What is in the store may be no model any more, if somebody else wrote there.
  const edit = from === undefined || to === undefined || !isObject(from.model) ? {} : difference(from.model, to.model);
  return { ...subject('ApiCatalog', from ?? to), ...digest, ...edit };
}

/** What of a key's settings changed. */
export function settingsChange(from: KeySettings, to: KeySettings): ChangeDetail {
  const { selections: selectedBefore, ...before } = from;
  const { selections: selectedAfter, ...after } = to;
  return difference({ ...before, ...selectedBefore }, { ...after, ...selectedAfter });
}

/** What a new {@link AppliedSettings} changes, and how the audit names it. */
export type AppliedChange =
  | { readonly kind: 'none' }
  /** The acceptance or the terms: no verdict depends on them. */
  | { readonly kind: 'acceptance' }
  /** Which place a KeyDestination's name means: where values go, on which no verdict depends. */
  | { readonly kind: 'place'; readonly action: 'place'; readonly detail: ChangeDetail }
  | { readonly kind: 'verdict'; readonly action: 'edit' | 'propose' | 'forbid' | 'permit'; readonly detail: ChangeDetail };

/** Which places count from the first mint on; absent = none. */
export function firstPlaces(applied: AppliedSettings): ChangeDetail | undefined {
  const named = difference({ places: {} }, { places: placesOf(applied) });
  return Object.keys(named).length === 0 ? undefined : named;
}

/** Compares the effective settings with the next ones. For an edit that is not accepted, it says what the edit would change. */
export function appliedChange(from: AppliedSettings, to: AppliedSettings): AppliedChange {
  const isSame = (member: keyof AppliedSettings): boolean =>
    canonicalJson(from[member] ?? null) === canonicalJson(to[member] ?? null);
  const isEdited = !isSame('settings');
  const isProposed = !isSame('proposed');
  const isPermissionChanged = !isSame('notPermitted');
  const moved = difference({ places: placesOf(from) }, { places: placesOf(to) });
  if (!isEdited && !isProposed && !isPermissionChanged) {
    if (Object.keys(moved).length > 0) return { kind: 'place', action: 'place', detail: moved };
    return { kind: isSame('accepted') && isSame('terms') && isSame('places') ? 'none' : 'acceptance' };
  }
  const detail = {
    ...moved,
    ...(isEdited ? settingsChange(from.settings, to.settings) : {}),
    ...(isProposed ? proposalOf(to) : {}),
    ...(isPermissionChanged ? difference({ notPermitted: from.notPermitted }, { notPermitted: to.notPermitted }) : {}),
  };
  const action = isEdited ? 'edit' : isProposed ? 'propose' : to.notPermitted === true ? 'forbid' : 'permit';
  return { kind: 'verdict', action, detail };
}

/** In words, by the names of KeyDestinations. */
function placesOf({ places = {} }: AppliedSettings): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(places).flatMap(([name, { place }]) => (place === undefined ? [] : [[name, place]])));
}

function proposalOf({ settings, proposed }: AppliedSettings): ChangeDetail {
  if (proposed === undefined) return { proposed: absent };
  const { earlier: _, ...latest } = proposed;
  const lines = Object.entries(settingsChange(settings, latest)).map(([path, text]) => [`proposed.${path}`, text] as const);
  return Object.fromEntries(lines);
}

/** Which requests count as handled that did not, or do not any more. */
export function handledChange(from: HandledRequests, to: HandledRequests): ChangeDetail {
  return difference(from, to);
}

/** How an end of a version moved; absent = never. */
export function instantChange(member: string, from: Instant | undefined, to: Instant | undefined): ChangeDetail {
  const [before, after] = [from, to].map((at) => (at === undefined ? 'never' : formatInstant(at)));
  return { [member]: `${before ?? ''} → ${after ?? ''}` };
}

function subject(kind: string, row: { readonly name: string } | undefined): ChangeDetail {
  return { kind, name: row?.name ?? absent };
}

function rights(row: OwnerRow | GroupRow | undefined): object {
  if (row === undefined) return {};
  const { uid: _uid, name: _name, ...kept } = row;
  return kept;
}

function difference(from: object, to: object): ChangeDetail {
  const lines = compareMembers('', from, to);
  const told = Object.fromEntries(lines.slice(0, maxLines));
  return lines.length > maxLines ? { ...told, more: lines.length - maxLines } : told;
}

type Line = readonly [path: string, text: string];

function compareMembers(path: string, from: object, to: object): readonly Line[] {
  const [before, after] = [members(from), members(to)];
  const names = [...new Set([...before.keys(), ...after.keys()])];
  return names.flatMap((name) => compare(path === '' ? name : `${path}.${name}`, before.get(name), after.get(name)));
}

function compare(path: string, from: unknown, to: unknown): readonly Line[] {
  if (isObject(from) && isObject(to) && !isListOfNames(from) && !isListOfNames(to)) return compareMembers(path, from, to);
  const [before, after] = [show(from), show(to)];
  if (before === after) return [];
  if (isListOfNames(from) && isListOfNames(to) && before.length + after.length > maxListLength) {
    const [old, now] = [new Set(from), new Set(to)];
    const added = to.filter((one) => !old.has(one));
    const removed = from.filter((one) => !now.has(one));
    return [[path, `added ${show(added)}, removed ${show(removed)}`]];
  }
  return [[path, `${before} → ${after}`]];
}

/** Entries of a list go by their own name where they have one, so that an insertion does not move all behind it. */
function members(value: object): ReadonlyMap<string, unknown> {
  if (!Array.isArray(value)) return new Map(Object.entries(value).filter(([, member]) => member !== undefined));
  return new Map(value.map((entry: unknown, index) => [entryName(entry) ?? String(index + 1), entry]));
}

function entryName(entry: unknown): string | undefined {
  if (!isObject(entry)) return undefined;
  const name = 'name' in entry ? entry.name : 'customer' in entry ? entry.customer : undefined;
  return typeof name === 'string' ? name : undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function isListOfNames(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && !value.some(isObject);
}

function show(value: unknown): string {
  if (value === undefined) return absent;
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  if (isObject(value)) {
    return `{${[...members(value)]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => `${name}: ${show(member)}`)
      .join(', ')}}`;
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}
