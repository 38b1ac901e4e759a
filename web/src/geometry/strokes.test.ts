import { describe, expect, it } from "vitest";
import { canonical, proposal } from "./propose";
import { regionPixels, toWire, type Region, type Scene, type Shape } from "./region";
import { sketchedShape } from "./sketch";
import { combine, maskOf } from "./strokes";

const size = { width: 4, height: 3 };
// prettier-ignore
const scene: Scene = {
  size,
  mask: [0, 0, 0, 1,
         0, 1, 0, 0,
         0, 1, 0, 2],
  truth: [0, 0, 0, 0,
          0, 1, 1, 0,
          0, 0, 0, 0],
  patches: [0, 0, 1, 1,
            0, 0, 1, 1,
            2, 2, 2, 2],
};
const box: Shape = { kind: "box", top: 0, left: 0, bottom: 2, right: 2 };
const pixel: Shape = { kind: "pixel", row: 0, column: 0 };

function set(region: Region): number[] {
  const pixels = regionPixels(region, 1, scene);
  return [...pixels.keys()].filter((i) => pixels[i] === 1);
}

describe("regions at a pixel", () => {
  it("are the segment or the superpixel around it", () => {
    expect(set({ kind: "segment", row: 2, column: 1 })).toEqual([5, 9]);
    expect(set({ kind: "superpixel", row: 1, column: 3 })).toEqual([2, 3, 6, 7]);
  });

  it("have one name for all their pixels", () => {
    expect(canonical({ kind: "segment", row: 2, column: 1 }, scene)).toEqual({ kind: "segment", row: 1, column: 1 });
    expect(canonical({ kind: "superpixel", row: 1, column: 3 }, scene)).toEqual({ kind: "superpixel", row: 0, column: 2 });
    expect(canonical(pixel, scene)).toBe(pixel);
  });

  it("are put forward where the class is, or where the pointer is", () => {
    expect(proposal("segment", null, 2, scene)).toEqual({ kind: "segment", row: 2, column: 3 });
    expect(proposal("pixel", { row: 0, column: 2 }, 2, scene)).toEqual({ kind: "pixel", row: 0, column: 2 });
    expect(proposal("box", null, 1, scene)).toEqual({ kind: "box", top: 0, left: 1, bottom: 3, right: 4 });
  });
});

describe("errors", () => {
  it("are false positives and false negatives", () => {
    expect(set({ kind: "errors" })).toEqual([3, 6, 9]);
    expect(set({ kind: "false-positive" })).toEqual([3, 9]);
    expect(set({ kind: "false-negative" })).toEqual([6]);
    expect(toWire({ kind: "false-negative" }, "cap")).toEqual({ kind: "errors", class: "cap", error: "false-negative" });
  });
});

describe("combine", () => {
  it("begins anew on what followed the class", () => {
    expect(combine({ kind: "predicted" }, "add", box, 1, scene)).toBe(box);
    expect(combine(box, "replace", pixel, 1, scene)).toBe(pixel);
  });

  it("takes away from what followed the class", () => {
    const region = combine({ kind: "predicted" }, "remove", box, 1, scene);
    expect(set(region)).toEqual([3, 9]);
    expect(toWire(region, "cap")).toEqual({ kind: "and", regions: [{ kind: "predicted", class: "cap" }, { kind: "not", region: box }] });
  });

  it("adds and removes in turn", () => {
    const without = combine(box, "remove", pixel, 1, scene);
    expect(set(without)).toEqual([1, 4, 5]);
    const again = combine(without, "add", pixel, 1, scene);
    expect(set(again)).toEqual([0, 1, 4, 5]);
    const both = combine(combine(box, "add", { ...pixel, row: 2 }, 1, scene), "add", { ...pixel, column: 3 }, 1, scene);
    expect(set(both)).toEqual([0, 1, 3, 4, 5, 8]);
    expect(toWire(both, "cap")).toMatchObject({ kind: "or", regions: [{ kind: "box" }, { row: 2 }, { column: 3 }] });
  });

  it("does not grow by what is there already", () => {
    const twice = combine(combine(box, "add", pixel, 1, scene), "add", pixel, 1, scene);
    expect(twice).toEqual(combine(box, "add", pixel, 1, scene));
    expect(combine(box, "add", box, 1, scene)).toBe(box);
  });

  it("makes one mask of masks, and of very many parts", () => {
    const first = maskOf(Uint8Array.from([1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), size);
    const second = maskOf(Uint8Array.from([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), size);
    expect(combine(first, "add", second, 1, scene)).toMatchObject({ kind: "mask", runs: [0, 3, 2, 1, 6] });
    expect(combine(first, "remove", second, 1, scene)).toMatchObject({ kind: "mask", runs: [0, 1, 1, 1, 9] });
    let region: Region = box;
    for (let i = 0; i < 40; i++) {
      const before = set(region);
      const shape: Shape = { kind: "pixel", row: i % 3, column: (i * 7) % 4 };
      const at = shape.row * 4 + shape.column;
      region = combine(region, i % 2 ? "remove" : "add", shape, 1, scene);
      expect(set(region)).toEqual([...new Set([...before, at])].filter((entry) => i % 2 === 0 || entry !== at).sort((a, b) => a - b));
    }
    expect(region.kind === "combined" ? region.parts.length : 1).toBeLessThanOrEqual(12);
  });
});

describe("sketchedShape", () => {
  const sketch = { diameter: 1, removes: false } as const;

  it("is a box between the first and the last point", () => {
    expect(sketchedShape({ ...sketch, tool: "box", points: [[2.9, 3.9], [0, 0], [1.2, -5]] }, size)).toEqual({ kind: "box", top: 1, left: 0, bottom: 3, right: 4 });
  });

  it("is the lassoed polygon within the image, or nothing", () => {
    expect(sketchedShape({ ...sketch, tool: "lasso", points: [[0, 0], [0, 2.04], [0, 9], [2, 9]] }, size)).toEqual({ kind: "polygon", points: [[0, 0], [0, 4], [2, 4]] });
    expect(sketchedShape({ ...sketch, tool: "lasso", points: [[0, 0], [3, 3]] }, size)).toBeNull();
  });

  it("is a mask where it was painted", () => {
    expect(sketchedShape({ ...sketch, tool: "brush", points: [[1.5, 0.5], [1.5, 2.5]] }, size)).toEqual({ kind: "mask", size, runs: [4, 3, 5] });
  });
});
