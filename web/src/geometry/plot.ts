/** Numbers as places of a plot, and back. */

export interface Axis {
  low: number;
  high: number;
  /** In pixels; `from` belongs to the low end and may be the larger one. */
  from: number;
  to: number;
}

export function toPixel(axis: Axis, value: number): number {
  return axis.from + ((value - axis.low) / (axis.high - axis.low)) * (axis.to - axis.from);
}

export function toValue(axis: Axis, pixel: number): number {
  const value = axis.low + ((pixel - axis.from) / (axis.to - axis.from)) * (axis.high - axis.low);
  return Math.min(Math.max(value, axis.low), axis.high);
}

/** The ends of an axis for numbers from 0 to 1: whole, or the tenths around them where they fill but a part. */
export function endsOf(values: Iterable<number | null>): { low: number; high: number } {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return { low: 0, high: 1 };
  const ends = { low: Math.floor(low * 10) / 10, high: Math.ceil(high * 10) / 10 };
  return ends.high - ends.low > 0.6 || ends.high === ends.low ? { low: 0, high: 1 } : ends;
}

/** Round numbers between the ends, both of which are multiples of a tenth. */
export function ticksOf({ low, high }: { low: number; high: number }): number[] {
  const tenths = Math.round((high - low) * 10);
  const step = tenths > 5 ? 0.2 : tenths > 2 ? 0.1 : 0.05;
  const count = Math.floor((high - low) / step + 1e-6);
  return Array.from({ length: count + 1 }, (_, i) => Number((low + i * step).toFixed(2)));
}

export interface Spot {
  x: number;
  y: number;
}

/** The position of the nearest spot that isn't farther than `reach`; null where there is none. */
export function nearestSpot(spots: readonly (Spot | null)[], place: Spot, reach: number): number | null {
  let [best, found]: [number, number | null] = [reach * reach, null];
  spots.forEach((spot, i) => {
    if (spot === null) return;
    const distance = (spot.x - place.x) ** 2 + (spot.y - place.y) ** 2;
    if (distance <= best) [best, found] = [distance, i];
  });
  return found;
}

/** Between two pixels, in whichever order they came, as numbers of the axis. */
export function rangeBetween(axis: Axis, a: number, b: number): { low: number; high: number } {
  const [first, second] = [toValue(axis, a), toValue(axis, b)];
  return { low: Math.min(first, second), high: Math.max(first, second) };
}

/** How many numbers fall into each of equally wide bins from 0 to 1; 1 itself belongs to the last one. */
export function binsOf(values: Iterable<number | null>, count: number): number[] {
  const bins = new Array<number>(count).fill(0);
  for (const value of values) {
    if (value !== null) bins[Math.min(count - 1, Math.max(0, Math.floor(value * count)))]! += 1;
  }
  return bins;
}
