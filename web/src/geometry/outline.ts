/** The border between the pixels inside and outside of a region, as straight lines along pixel edges. */

import type { Size } from "./view";

/** Lines [column, row, column, row] × n in image coordinates; neighbours on one straight line are joined. */
export function outline(pixels: Uint8Array, size: Size): number[] {
  const { width, height } = size;
  const inside = (row: number, column: number): boolean =>
    row >= 0 && column >= 0 && row < height && column < width && pixels[row * width + column] !== 0;
  const lines: number[] = [];
  for (let row = 0; row <= height; row++) {
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
  for (let column = 0; column <= width; column++) {
    let start = -1;
    for (let row = 0; row <= height; row++) {
      const edge = row < height && inside(row, column - 1) !== inside(row, column);
      if (edge && start < 0) start = row;
      if (!edge && start >= 0) {
        lines.push(column, start, column, row);
        start = -1;
      }
    }
  }
  return lines;
}
