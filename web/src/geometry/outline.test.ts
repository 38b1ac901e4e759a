import { describe, expect, it } from "vitest";
import { outline } from "./outline";

describe("outline", () => {
  it("goes once round a box, with one line a side", () => {
    // prettier-ignore
    const pixels = new Uint8Array([0, 0, 0, 0,
                                   0, 1, 1, 0,
                                   0, 1, 1, 0]);
    expect(outline(pixels, { width: 4, height: 3 })).toEqual([1, 1, 3, 1, 1, 3, 3, 3, 1, 1, 1, 3, 3, 1, 3, 3]);
  });

  it("follows the image's border where the region touches it", () => {
    expect(outline(new Uint8Array([1]), { width: 1, height: 1 })).toEqual([0, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1]);
  });

  it("is as long as the number of borders between inside and outside", () => {
    const size = { width: 9, height: 7 };
    const pixels = Uint8Array.from({ length: 63 }, (_, i) => Number((i * i) % 5 < 2));
    const at = (row: number, column: number): number =>
      row < 0 || column < 0 || row >= 7 || column >= 9 ? 0 : pixels[row * 9 + column]!;
    let borders = 0;
    for (let row = 0; row <= 7; row++) {
      for (let column = 0; column <= 9; column++) {
        borders += Number(at(row, column) !== at(row - 1, column)) + Number(at(row, column) !== at(row, column - 1));
      }
    }
    const lines = outline(pixels, size);
    let length = 0;
    for (let i = 0; i < lines.length; i += 4) length += lines[i + 2]! - lines[i]! + lines[i + 3]! - lines[i + 1]!;
    expect(length).toBe(borders);
  });

  it("is empty for an empty region", () => {
    expect(outline(new Uint8Array(12), { width: 4, height: 3 })).toEqual([]);
  });
});
