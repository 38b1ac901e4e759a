/** Colour maps for importance: perceptually even ones, and diverging ones whose neutral colour is zero. */

import { interpolateCividis, interpolateInferno, interpolatePuOr, interpolateRdBu, interpolateViridis } from "d3-scale-chromatic";
import { parseColour, type Rgb } from "./hex";

export const SEQUENTIAL = ["inferno", "viridis", "cividis"] as const;
export const DIVERGING = ["blue-red", "purple-orange"] as const;

export type SequentialName = (typeof SEQUENTIAL)[number];
export type DivergingName = (typeof DIVERGING)[number];
export type ColourMapName = SequentialName | DivergingName;

const INTERPOLATORS: Readonly<Record<ColourMapName, (t: number) => string>> = {
  inferno: interpolateInferno,
  viridis: interpolateViridis,
  cividis: interpolateCividis,
  // Both turned round, so that the warm end is the positive one.
  "blue-red": (t) => interpolateRdBu(1 - t),
  "purple-orange": (t) => interpolatePuOr(1 - t),
};

/** An odd number of steps, so that the middle of a diverging map is exactly its neutral colour. */
export const STEPS = 257;

const tables = new Map<ColourMapName, readonly Rgb[]>();

/** The colours of a map from its low to its high end. */
export function colourTable(name: ColourMapName): readonly Rgb[] {
  let table = tables.get(name);
  if (table === undefined) {
    table = Array.from({ length: STEPS }, (_, i) => parseColour(INTERPOLATORS[name](i / (STEPS - 1))));
    tables.set(name, table);
  }
  return table;
}
