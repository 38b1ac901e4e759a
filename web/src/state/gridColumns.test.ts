import { describe, expect, it } from "vitest";
import type { Layer } from "../api/types";
import { fewLayers, spreadLayers } from "./gridColumns";

function layers(...sizes: number[]): Layer[] {
  return sizes.map((size, i) => ({ name: `l${i}`, type: "Conv2d", channels: 8, height: size, width: size }));
}

describe("fewLayers", () => {
  it("takes the input, few ends of stages, and the usual layer", () => {
    expect(fewLayers(layers(64, 64, 32, 32, 16, 8, 4), "l4")).toEqual(["input", "l1", "l3", "l4"]);
    expect(fewLayers(layers(64, 56, 48, 40, 32, 24, 16, 8), "l7")).toEqual(["input", "l0", "l2", "l5", "l7"]);
    expect(fewLayers(layers(64, 32, 16), "gone")).toHaveLength(4);
    expect(fewLayers([], "")).toEqual(["input"]);
  });
});

describe("spreadLayers", () => {
  it("takes the ends of stages and the usual layer, in forward order", () => {
    expect(spreadLayers(layers(64, 64, 32, 32, 16, 1, 16, 16), "l6")).toEqual(["l1", "l3", "l4", "l5", "l6", "l7"]);
  });

  it("takes a few of many, the first and the last among them", () => {
    const names = spreadLayers(layers(...Array.from({ length: 50 }, (_, i) => 100 - i)), "l7");
    expect(names.length).toBeLessThanOrEqual(10);
    expect(names).toContain("l7");
    expect([names[0], names.at(-1)]).toEqual(["l0", "l49"]);
  });

  it("takes all of a few layers of one size", () => {
    expect(spreadLayers(layers(8, 8, 8), "l2")).toEqual(["l0", "l1", "l2"]);
    expect(spreadLayers([], "")).toEqual([]);
  });
});
