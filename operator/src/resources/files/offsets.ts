import { isAlias, isMap, isScalar, isSeq } from 'yaml';
import type { Document, Node } from 'yaml';

/** A way from the top of a document: names of members and indices of items. */
export type Steps = readonly (string | number)[];

/**
 * The offsets of what `spec` of the object at `at` holds, at most `depth` steps below it, by {@link stepsKey} of the steps from that
 * object: for faults that only a comparison with an older object finds. Does not enter aliases.
 */
export function offsetsInSpec(document: Document, at: Steps, depth: number): ReadonlyMap<string, number> {
  const offsets = new Map<string, number>();
  const visit = (node: unknown, steps: Steps): void => {
    if (steps.length > depth) return;
    const entries: Iterable<readonly [string | number, unknown, unknown]> = isMap(node)
      ? node.items.map(({ key, value }) => [keyText(key), key, value] as const)
      : isSeq(node)
        ? node.items.map((item, index) => [index, item, item] as const)
        : [];
    for (const [step, place, value] of entries) {
      const here = [...steps, step];
      offsets.set(stepsKey(here), offsetOf(place));
      visit(value, here);
    }
  };
  const { node } = find(document, at);
  if (isMap(node)) {
    const spec = node.items.find(({ key }) => keyText(key) === 'spec');
    if (spec !== undefined) {
      offsets.set('spec', offsetOf(spec.key));
      visit(spec.value, ['spec']);
    }
  }
  return offsets;
}

/** Steps as one text. No field name of our kinds contains a NUL. */
export function stepsKey(steps: Steps): string {
  return steps.join('\0');
}

/** The position of a field; if it is absent, that of its nearest parent. Does not enter aliases: that would be slow. */
export function offsetAt(document: Document, steps: Steps): number {
  return find(document, steps).offset;
}

/** Where a node begins. */
export function offsetOf(node: unknown, otherwise = 0): number {
  return (node as Node | null | undefined)?.range?.[0] ?? otherwise;
}

function find(document: Document, steps: Steps): { readonly node: unknown; readonly offset: number } {
  let node: unknown = document.contents;
  let offset = offsetOf(node);
  for (const step of steps) {
    if (isMap(node)) {
      // Keys are where people look for a field: its value may begin on a later line.
      const pair = node.items.find(({ key }) => keyText(key) === step);
      if (pair === undefined) return { node: undefined, offset };
      offset = offsetOf(pair.key, offset);
      node = pair.value;
    } else if (isSeq(node) && typeof step === 'number') {
      node = node.items[step];
      offset = offsetOf(node, offset);
    } else return { node: undefined, offset };
    if (isAlias(node)) return { node: undefined, offset };
  }
  return { node, offset };
}

function keyText(key: unknown): string {
  return isScalar(key) ? (key.source ?? '') : '';
}
