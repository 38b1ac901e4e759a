import { describe, expect, it } from "vitest";
import { boundingBox, boxBetween, centralPixel, describeRegion, fits, regionPixels, toWire, type Scene } from "./region";

const size = { width: 4, height: 3 };
// prettier-ignore
const scene: Scene = {
  size,
  mask: [0, 0, 0, 0,
         0, 1, 1, 0,
         0, 1, 0, 0],
  truth: [0, 0, 0, 0,
          0, 1, 1, 1,
          0, 0, 0, 0],
};

function set(pixels: Uint8Array): number[] {
  return [...pixels.keys()].filter((i) => pixels[i] === 1);
}

describe("regionPixels", () => {
  it("follows the class in mask and truth", () => {
    expect(set(regionPixels({ kind: "predicted" }, 1, scene))).toEqual([5, 6, 9]);
    expect(set(regionPixels({ kind: "true" }, 1, scene))).toEqual([5, 6, 7]);
    expect(set(regionPixels({ kind: "errors" }, 1, scene))).toEqual([7, 9]);
  });

  it("has no errors where there is no truth", () => {
    expect(set(regionPixels({ kind: "errors" }, 1, { ...scene, truth: null }))).toEqual([]);
  });

  it("fills pixels and boxes", () => {
    expect(set(regionPixels({ kind: "pixel", row: 2, column: 3 }, 1, scene))).toEqual([11]);
    expect(set(regionPixels({ kind: "box", top: 0, left: 1, bottom: 2, right: 3 }, 1, scene))).toEqual([1, 2, 5, 6]);
    expect(set(regionPixels({ kind: "everywhere" }, 1, scene))).toHaveLength(12);
  });
});

describe("toWire", () => {
  it("names the class where the region follows it", () => {
    expect(toWire({ kind: "predicted" }, "cap")).toEqual({ kind: "predicted", class: "cap" });
    expect(toWire({ kind: "errors" }, "cap")).toEqual({ kind: "errors", class: "cap", error: "any" });
    expect(toWire({ kind: "pixel", row: 1, column: 2 }, "cap")).toEqual({ kind: "pixel", row: 1, column: 2 });
  });
});

describe("boxes and places", () => {
  it("puts both pixels into the box, from any corner", () => {
    const box = { top: 1, left: 2, bottom: 6, right: 10 };
    expect(boxBetween({ row: 5, column: 2 }, { row: 1, column: 9 })).toEqual(box);
    expect(boxBetween({ row: 1, column: 9 }, { row: 5, column: 2 })).toEqual(box);
  });

  it("finds box and middle of the set pixels", () => {
    const pixels = regionPixels({ kind: "predicted" }, 1, scene);
    expect(boundingBox(pixels, size)).toEqual({ top: 1, left: 1, bottom: 3, right: 3 });
    expect(centralPixel(pixels, size)).toEqual({ row: 1, column: 1 });
  });

  it("finds neither where no pixel is set", () => {
    expect(boundingBox(new Uint8Array(12), size)).toBeNull();
    expect(centralPixel(new Uint8Array(12), size)).toBeNull();
  });

  it("knows what lies beyond the image", () => {
    expect(fits({ kind: "pixel", row: 2, column: 3 }, size)).toBe(true);
    expect(fits({ kind: "pixel", row: 3, column: 0 }, size)).toBe(false);
    expect(fits({ kind: "box", top: 0, left: 0, bottom: 3, right: 5 }, size)).toBe(false);
  });

  it("reads as the end of the question", () => {
    expect(describeRegion({ kind: "pixel", row: 12, column: 34 })).toBe("pixel 12, 34");
    expect(describeRegion({ kind: "box", top: 1, left: 2, bottom: 6, right: 10 })).toBe("box 5 × 8");
  });
});
