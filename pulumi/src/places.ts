import * as pulumi from '@pulumi/pulumi';
import { isLater } from './later.ts';

/** The steps to a value within another: `['deliverTo', 1, 'path']`. */
export type Steps = readonly (string | number)[];

/** Whether what the value is shows at another time: it comes later, or a preview does not know it. */
export function isOpen(value: unknown): boolean {
  return isLater(value) || pulumi.isUnknown(value);
}

/** Where the open parts are; an empty path means the value itself. */
export function openPlaces(value: unknown, steps: Steps = []): readonly Steps[] {
  if (isOpen(value)) return [steps];
  if (typeof value !== 'object' || value === null) return [];
  return entriesOf(value).flatMap(([step, member]) => openPlaces(member, [...steps, step]));
}

/** The same value with every open part replaced. */
export function replaceOpen(value: unknown, replace: (part: unknown) => unknown): unknown {
  if (isOpen(value)) return replace(value);
  if (typeof value !== 'object' || value === null) return value;
  return rebuilt(
    value,
    entriesOf(value).map(([step, member]) => [step, replaceOpen(member, replace)]),
  );
}

/** Pulumi leaves members out that are `undefined`; so does this. */
export function withoutUndefined(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || isOpen(value)) return value;
  const members = entriesOf(value).filter(([, member]) => member !== undefined);
  return rebuilt(
    value,
    members.map(([step, member]) => [step, withoutUndefined(member)]),
  );
}

/** What stands at a place; of an open part that is the part itself. */
export function valueAt(value: unknown, steps: Steps): unknown {
  const [step, ...rest] = steps;
  if (step === undefined || isOpen(value)) return value;
  return typeof value === 'object' && value !== null ? valueAt(Reflect.get(value, step), rest) : undefined;
}

/** Whether a place is another one, or lies in it. */
export function isWithin(steps: Steps, outer: Steps): boolean {
  return outer.every((step, at) => steps[at] === step);
}

type Entry = readonly [step: string | number, member: unknown];

function entriesOf(value: object): readonly Entry[] {
  return Array.isArray(value) ? value.map((member: unknown, at) => [at, member] as const) : Object.entries(value);
}

function rebuilt(like: object, entries: readonly Entry[]): unknown {
  return Array.isArray(like) ? entries.map(([, member]) => member) : Object.fromEntries(entries);
}
