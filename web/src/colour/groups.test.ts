import { expect, it } from "vitest";
import { GROUP_COLOURS, groupColour, paintGroups } from "./groups";
import { parseColour } from "./hex";

const groups = Uint8Array.from([0, 1, 1, 0, 0, 0, 2, 2]);
const none = new Uint8Array(8);

function pixel(bytes: Uint8ClampedArray, at: number): number[] {
  return [...bytes.slice(at * 4, at * 4 + 4)];
}

it("gives each group a colour of its own, and begins again after the last", () => {
  const bytes = paintGroups(groups, none, 8, null);
  expect(pixel(bytes, 1)).toEqual([...parseColour(groupColour(1)), 255]);
  expect(pixel(bytes, 6)).toEqual([...parseColour(groupColour(2)), 255]);
  expect(groupColour(GROUP_COLOURS.length)).toBe(groupColour(0));
  expect(new Set(GROUP_COLOURS).size).toBe(GROUP_COLOURS.length);
});

it("hatches outliers in light and dark", () => {
  const bytes = paintGroups(groups, new Uint8Array(8).fill(1), 8, null);
  expect([0, 1, 2, 3].map((at) => pixel(bytes, at).slice(0, 3))).toEqual([[255, 255, 255], [255, 255, 255], [0, 0, 0], [...parseColour(groupColour(0))]]);
});

it("lets all but what is pointed at fade", () => {
  const outliers = Uint8Array.from([0, 0, 0, 1, 0, 0, 0, 0]);
  const opaque = (bytes: Uint8ClampedArray): number[] => [...groups.keys()].filter((at) => bytes[at * 4 + 3] === 255);
  expect(opaque(paintGroups(groups, outliers, 8, 1))).toEqual([1, 2]);
  expect(opaque(paintGroups(groups, outliers, 8, "outliers"))).toEqual([3]);
});
