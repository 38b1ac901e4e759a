/** The border between the pixels inside and outside of a region, as straight lines along pixel edges. */

import type { Size } from "./view";

/** Lines [column, row, column, row] × n in image coordinates; neighbours on one straight line are joined. */
export function outline(pixels: Uint8Array, size: Size): number[] {
  const { width, height } = size;
  // Most regions are small, and finding the rows they are in is fast.
  const first = pixels.indexOf(1);
  if (first < 0) return [];
  const top = Math.floor(first / width);
  const bottom = Math.floor(pixels.lastIndexOf(1) / width) + 1;
  const inside = (row: number, column: number): boolean =>
    row >= 0 && column >= 0 && row < height && column < width && pixels[row * width + column] !== 0;
  return [...alongRows(inside, width, top, bottom), ...alongColumns(inside, width, top, bottom)];
}

type Inside = (row: number, column: number) => boolean;

function alongRows(inside: Inside, width: number, top: number, bottom: number): number[] {
  const lines: number[] = [];
  for (let row = top; row <= bottom; row++) {
    let start = -1;
    for (let column = 0; column <= width; column++) {
      const edge = column < width && inside(row - 1, column) !== inside(row, column);
      if (edge && start < 0) start = column;
      if (!edge && start >= 0) {
        lines.push(start, row, column, row);
        start = -1;
      }
    }
  }
  return lines;
}

function alongColumns(inside: Inside, width: number, top: number, bottom: number): number[] {
  const lines: number[] = [];
  for (let column = 0; column <= width; column++) {
    let start = -1;
    for (let row = top; row <= bottom; row++) {
      const edge = row < bottom && inside(row, column - 1) !== inside(row, column);
      if (edge && start < 0) start = row;
      if (!edge && start >= 0) {
        lines.push(column, start, column, row);
        start = -1;
      }
    }
  }
  return lines;
}

/** How many pixels a region has. */
export function countPixels(pixels: Uint8Array): number {
  const first = pixels.indexOf(1);
  if (first < 0) return 0;
  let count = 0;
  for (let i = pixels.lastIndexOf(1); i >= first; i--) count += pixels[i]!;
  return count;
}
