import { describe, expect, it } from "vitest";
import { offsetToShow, rowsInSight } from "./rows";

const [PITCH, LENGTH] = [64, 500];

describe("rowsInSight", () => {
  it("covers the viewport wherever it is", () => {
    for (let offset = 0; offset <= 10_000 * PITCH - LENGTH; offset += 997) {
      const { first, end } = rowsInSight(offset, LENGTH, PITCH, 10_000, 3);
      expect(first * PITCH).toBeLessThanOrEqual(offset);
      expect(Math.min(end, 10_000) * PITCH).toBeGreaterThanOrEqual(offset + LENGTH);
      expect(end - first).toBeLessThan(2 * 3 + LENGTH / PITCH + 3);
    }
  });

  it.each<[number, number, number, [number, number]]>([
    [0, 0, 2, [0, 0]],
    [-300, 3, 2, [0, 3]],
    [0, 3, 5, [0, 3]],
    [100_000, 3, 2, [3, 3]],
  ])("stays within the list at %i of %i rows", (offset, count, spare, [first, end]) => {
    expect(rowsInSight(offset, LENGTH, PITCH, count, spare)).toEqual({ first, end });
  });

  it("shows nothing of a list that has no room", () => {
    expect(rowsInSight(0, 0, PITCH, 100, 0)).toEqual({ first: 0, end: 0 });
  });
});

describe("offsetToShow", () => {
  it.each([
    [2, 0, 0],
    [7, 0, 12],
    [1, 400, 64],
    [5, 300, 300],
  ])("shows row %i from %i at %i", (row, offset, expected) => {
    expect(offsetToShow(row, offset, LENGTH, PITCH)).toBe(expected);
  });
});
