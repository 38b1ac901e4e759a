/** How much alike two maps order the places of an image, whatever their scales are. */

/** The rank of each value, from 1; equal values share the mean of their ranks. */
export function ranksOf(values: ArrayLike<number>): Float64Array {
  const order = Uint32Array.from({ length: values.length }, (_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const ranks = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    // The mean of start + 1 … end.
    for (let i = start; i < end; i++) ranks[order[i]!] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
}

/** Spearman's rank correlation, −1 to 1: Pearson's, of the ranks. Null where one of them is the same everywhere, or their sizes differ. */
export function rankCorrelation(one: Float64Array, other: Float64Array): number | null {
  if (one.length !== other.length) return null;
  const mean = (one.length + 1) / 2;
  let [product, ones, others] = [0, 0, 0];
  for (let i = 0; i < one.length; i++) {
    const [a, b] = [one[i]! - mean, other[i]! - mean];
    product += a * b;
    ones += a * a;
    others += b * b;
  }
  return ones > 0 && others > 0 ? Math.min(1, Math.max(-1, product / Math.sqrt(ones * others))) : null;
}
