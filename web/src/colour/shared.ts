/** One scale for several maps. */

import { rangeOf, type Range } from "./scale";

export interface Magnitude {
  /** Largest magnitude. */
  limit: number;
  signed: boolean;
}

export interface Scale {
  range: Range;
  signed: boolean;
}

export function ownScale(map: Magnitude): Scale {
  return { range: rangeOf(map.limit, map.signed), signed: map.signed };
}

/** From zero to the largest of all; around zero where any of them is signed, so that zero has one colour. Null without maps. */
export function sharedScale(maps: readonly Magnitude[]): Scale | null {
  if (maps.length === 0) return null;
  const signed = maps.some((map) => map.signed);
  return { range: rangeOf(Math.max(...maps.map((map) => map.limit)), signed), signed };
}
