/** Which of many equally long rows are in sight. */

export interface Span {
  first: number;
  /** Behind the last one. */
  end: number;
}

/** The rows that a viewport shows, and some more on either side. */
export function rowsInSight(offset: number, length: number, pitch: number, count: number, spare: number): Span {
  const first = Math.floor(offset / pitch) - spare;
  const end = Math.ceil((offset + length) / pitch) + spare;
  // A browser scrolls beyond the ends for a moment, and a list that got shorter is still scrolled to where it was.
  const last = Math.max(0, Math.min(count, end));
  return { first: Math.max(0, Math.min(first, last)), end: last };
}

/** Where to scroll so that a row is in sight: nowhere if it is, otherwise as little as needed. */
export function offsetToShow(row: number, offset: number, length: number, pitch: number): number {
  const start = row * pitch;
  if (start < offset) return start;
  return start + pitch > offset + length ? start + pitch - length : offset;
}
