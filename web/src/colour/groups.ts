/** Groups of pixels in colours that aren't those of the classes: Paul Tol's muted set, told apart with any colour vision. */

import { parseColour, type Rgb } from "./hex";
import type { Bytes } from "./paint";

export const GROUP_COLOURS: readonly string[] = ["#cc6677", "#332288", "#ddcc77", "#117733", "#88ccee", "#882255", "#44aa99", "#999933", "#aa4499"];

export function groupColour(group: number): string {
  return GROUP_COLOURS[group % GROUP_COLOURS.length]!;
}

/** What is pointed at: a group by its number, or all outliers. */
export type Pointed = number | "outliers" | null;

/** How much of its colour a pixel keeps beside what is pointed at. */
const FAINT = 40;
const WHITE: Rgb = [255, 255, 255];
const BLACK: Rgb = [0, 0, 0];

/** Outliers are hatched, in light and dark lines that are seen on every colour. */
function hatched(row: number, column: number): Rgb | null {
  const step = (row + column) % 6;
  return step < 2 ? WHITE : step === 2 ? BLACK : null;
}

export function paintGroups(groups: Uint8Array, outliers: Uint8Array, width: number, pointed: Pointed): Bytes {
  const bytes = new Uint8ClampedArray(groups.length * 4);
  const colours = GROUP_COLOURS.map(parseColour);
  for (let i = 0; i < groups.length; i++) {
    const group = groups[i]!;
    const isOutlier = outliers[i] === 1;
    const lines = isOutlier ? hatched(Math.floor(i / width), i % width) : null;
    const colour = lines ?? colours[group % colours.length]!;
    const meant = pointed === null || (pointed === "outliers" ? isOutlier : pointed === group);
    bytes[i * 4] = colour[0];
    bytes[i * 4 + 1] = colour[1];
    bytes[i * 4 + 2] = colour[2];
    bytes[i * 4 + 3] = meant ? 255 : FAINT;
  }
  return bytes;
}
