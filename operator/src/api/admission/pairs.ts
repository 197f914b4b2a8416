import type { Variable } from './cel.ts';

/** Lists longer than this are no pairs. An object has at most 1.5 MB in etcd, and a manager takes 120 bytes of it at least. */
const mostEntries = 15_000;
/** How many entries one expression compares: the API server bounds the cost of each expression, and of all together. */
const inOneExpression = 2_500;

/**
 * The variable `name`: whether two lists have as many entries, and each entry has its pair in the same place. The cost grows with the
 * length. Looking for each entry of one list in the other would cost its square, and anybody who makes the lists long enough
 * could have every request refused. CEL has no ranges of numbers, so indexes are sums of listed numbers.
 *
 * @param isPair CEL about `n` of the first list and `o` of the second one; asked only if the two are not equal.
 */
export function pairwise(name: string, [first, second]: readonly [string, string], isPair: string): readonly Variable[] {
  const numbers = (count: number, step: number, from = 0) =>
    `[${Array.from({ length: count }, (_, at) => from + at * step).join()}]`;
  const size = `${first}.size()`;
  const [n, o] = [`${first}[h + t + u]`, `${second}[h + t + u]`];
  const chunks = Array.from({ length: mostEntries / inOneExpression }, (_, at) => at * inOneExpression);
  const parts = chunks.map((from) => ({
    name: `${name}From${from}`,
    expression:
      `${size} <= ${from} || ${numbers(inOneExpression / 100, 100, from)}.all(h, ${size} <= h || ${numbers(10, 10)}.all(t, ${size} <= h + t ||` +
      ` ${numbers(10, 1)}.all(u, ${size} <= h + t + u || ${n} == ${o} || [${n}].all(n, [${o}].all(o, ${isPair})))))`,
  }));
  const all = parts.map((part) => `variables.${part.name}`).join(' && ');
  return [...parts, { name, expression: `${size} == ${second}.size() && ${size} <= ${mostEntries} && ${all}` }];
}
