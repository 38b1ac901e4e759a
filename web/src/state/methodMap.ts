/** A map of the grid of methods, with what is measured of it. */

import type { AttributionAnswer } from "../api/client";
import { hasNegative, largestMagnitude } from "../colour/scale";
import { fittingSize, shrinkValues } from "../colour/shrink";
import { ranksOf } from "../geometry/ranks";
import type { Labels } from "../geometry/region";
import { importanceShares } from "../geometry/shares";
import type { Size } from "../geometry/view";

/** Longest side, in pixels. */
const LONGEST = 80;

export interface MethodMap {
  width: number;
  height: number;
  /** Row-major, raw. */
  values: Float32Array;
  /** Largest magnitude of the whole map, which the small one may miss. */
  limit: number;
  signed: boolean;
  /** Of the small map's values. */
  ranks: Float64Array;
  /** Part of the positive importance that lies on the pixels predicted as the class. */
  share: number | null;
  seconds: number;
  passes: number;
}

/** The ranks of a whole map's values, once it is as small as the grid's maps. */
export function smallRanks(values: ArrayLike<number>, size: Size): Float64Array {
  return ranksOf(shrinkValues(values, size, fittingSize(size, LONGEST)));
}

export function toMethodMap({ header, values }: AttributionAnswer, size: Size, labels: Labels, classIndex: number, classes: number): MethodMap {
  const small = fittingSize(size, LONGEST);
  const shrunk = shrinkValues(values.data, size, small);
  return {
    ...small,
    values: shrunk,
    limit: largestMagnitude(values.data),
    signed: header.signed || hasNegative(values.data),
    ranks: ranksOf(shrunk),
    share: importanceShares(values.data, labels, classes)?.positive?.[classIndex] ?? null,
    seconds: header.seconds,
    passes: header.passes,
  };
}
