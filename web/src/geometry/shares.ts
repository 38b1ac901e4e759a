/** How a map's importance is divided among the classes of a mask. */

import type { Labels } from "./region";

export interface Shares {
  /** For each class, its part of all positive importance; together less than 1 where pixels belong to no class. Null where all is negative. */
  positive: Float64Array | null;
  /** The part of all importance, by magnitude, that is negative: it is left out above. */
  negative: number;
}

/** Divide a map's positive importance among classes; null where it has no importance at all. */
export function importanceShares(values: ArrayLike<number>, labels: Labels, classes: number): Shares | null {
  // The last place is for pixels of no class.
  const sums = new Float64Array(classes + 1);
  let negative = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value > 0) sums[Math.min(labels[i]!, classes)]! += value;
    else if (value < 0) negative -= value;
  }
  let total = 0;
  for (const sum of sums) total += sum;
  const all = total + negative;
  if (!(all > 0 && all < Infinity)) return null;
  return { positive: total > 0 ? sums.subarray(0, classes).map((sum) => sum / total) : null, negative: negative / all };
}

/** A share in percent, with one digit after the point where it is small. */
export function formatShare(share: number): string {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

/** A probability that came as a byte, 255 for 1; never written as certain. */
export function formatProbability(byte: number): string {
  const percent = Math.round(byte / 2.55);
  return percent >= 100 ? "> 99 %" : `${percent} %`;
}
