import { closest, distance } from 'fastest-levenshtein';

/** What is compared at most, in names and in characters: comparisons hold up everything else. */
const most = { names: 1_000, length: 100 };

/**
 * The end of a sentence about a name that is not known: `; did you mean billing:read?`, or nothing if no known name is similar.
 *
 * @example `there is no scope biling:read${didYouMean('biling:read', scopes)}`
 */
export function didYouMean(name: string, known: Iterable<string>): string {
  const names = name.length > most.length ? [] : firstOf(known);
  if (names.length === 0) return '';
  const lower = names.map((one) => one.toLowerCase());
  const wanted = name.toLowerCase();
  const best = closest(wanted, lower);
  const found = names[lower.indexOf(best)];
  return found === undefined || distance(wanted, best) > Math.max(1, name.length / 3) ? '' : `; did you mean ${found}?`;
}

function firstOf(known: Iterable<string>): readonly string[] {
  const names: string[] = [];
  for (const name of known) if (names.push(name) === most.names) break;
  return names;
}
