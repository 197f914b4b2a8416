/**
 * How many objects the files of a folder may name together. Each look goes through all of them in the thread that answers verdicts:
 * 20,000 take some 20 ms.
 */
export const objectsLimit = 20_000;

/** A file, and how many objects it names. */
export interface Naming {
  readonly path: string;
  readonly objects: number;
  /** It counted at the last look, or an object came from it. */
  readonly hasPlace: boolean;
}

/** The files beyond the limit: files that have their place are kept before new ones, and then the smallest first. */
export function crowdedOut(files: readonly Naming[]): ReadonlySet<string> {
  const inTurn = files.toSorted(
    (a, b) => Number(b.hasPlace) - Number(a.hasPlace) || a.objects - b.objects || (a.path < b.path ? -1 : 1),
  );
  let left = objectsLimit;
  const fits = ({ objects }: Naming): boolean => objects <= left && (left -= objects) >= 0;
  return new Set(inTurn.filter((one) => !fits(one)).map(({ path }) => path));
}
