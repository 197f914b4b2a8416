/** The value at a share of sorted numbers: 0.5 is the median. NaN of nothing. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Numbers in ascending order. */
export function ascending(values: readonly number[]): readonly number[] {
  return [...values].sort((a, b) => a - b);
}

/** A value with its 95 % confidence interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const z95 = 1.96;

/** The median, with the interval that order statistics give without any assumption about the distribution. */
export function medianOf(values: readonly number[]): Estimate {
  const sorted = ascending(values);
  const halfWidth = (z95 * Math.sqrt(sorted.length)) / 2;
  const at = (rank: number): number => sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(rank)))] ?? Number.NaN;
  const middle = sorted.length / 2;
  return { value: quantile(sorted, 0.5), low: at(middle - halfWidth), high: at(middle + halfWidth) };
}

/**
 * How well a threshold on the value tells the second sample from the first (Mann-Whitney, area under the ROC curve): 0.5 = not at
 * all, 1 = always. Ties count half.
 */
export function areaUnderCurve(first: readonly number[], second: readonly number[]): Estimate {
  const all = [...first.map((value) => ({ value, of: 0 })), ...second.map((value) => ({ value, of: 1 }))];
  all.sort((a, b) => a.value - b.value);
  let rankSum = 0;
  for (let start = 0; start < all.length;) {
    let end = start;
    while (end < all.length && all[end]?.value === all[start]?.value) end += 1;
    // Ranks count from 1; equal values share their mean rank.
    const rank = (start + end + 1) / 2;
    for (let at = start; at < end; at += 1) rankSum += all[at]?.of === 1 ? rank : 0;
    start = end;
  }
  const [n, m] = [first.length, second.length];
  const value = (rankSum - (m * (m + 1)) / 2) / (n * m);
  const halfWidth = z95 * Math.sqrt((n + m + 1) / (12 * n * m));
  return { value, low: value - halfWidth, high: value + halfWidth };
}
