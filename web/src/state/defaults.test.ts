import { describe, expect, it } from "vitest";
import type { MethodSpec, Prediction } from "../api/types";
import { defaultClass, legendOrder, neighbour, ownParameters } from "./defaults";

const classes = ["background", "cap", "ring"].map((name, index) => ({ index, name, color: "#000000" }));

function predicted(...shares: number[]): Prediction {
  return {
    image: { id: "a", name: "a", width: 1, height: 1, has_truth: false },
    classes: shares.map((share, index) => ({ index, name: classes[index]!.name, share, iou: null })),
    layers: [],
    default_layer: "",
    confidence: 1,
    windows: 1,
  };
}

describe("defaultClass", () => {
  it("waits for the prediction", () => {
    expect(defaultClass(classes, null)).toBeNull();
  });

  it("is the largest that isn't the background", () => {
    expect(defaultClass(classes, predicted(0.9, 0.04, 0.06))?.name).toBe("ring");
  });

  it("is the background where there is nothing else", () => {
    expect(defaultClass(classes, predicted(1, 0, 0))?.name).toBe("background");
  });
});

describe("legendOrder", () => {
  const many = Array.from({ length: 20 }, (_, index) => ({ index, name: `class ${index}`, color: "#000000" }));
  const shares = many.map(({ index, name }) => ({ index, name, share: { 3: 0.2, 17: 0.7, 9: 0.1 }[index] ?? 0, iou: null }));

  it("puts those of the image first, where they are many", () => {
    const names = legendOrder(many, { ...predicted(), classes: shares }).map(({ index }) => index);
    expect(names.slice(0, 6)).toEqual([17, 3, 9, 0, 1, 2]);
    expect(new Set(names).size).toBe(20);
  });

  it("is that of the classes else", () => {
    expect(legendOrder(many, null)).toBe(many);
    expect(legendOrder(classes, predicted(0.1, 0.9, 0))).toBe(classes);
  });
});

describe("neighbour", () => {
  it("stops at the ends, and starts at the first", () => {
    expect(neighbour(["a", "b"], "a", 1)).toBe("b");
    expect(neighbour(["a", "b"], "b", 1)).toBeNull();
    expect(neighbour(["a", "b"], "a", -1)).toBeNull();
    expect(neighbour(["a", "b"], null, 1)).toBe("a");
    expect(neighbour([], null, 1)).toBeNull();
  });
});

describe("ownParameters", () => {
  it("drops those of other methods", () => {
    const parameter = { name: "relu", kind: "bool", default: true, minimum: null, maximum: null, step: null, choices: [] as string[], unit: "", description: "" } as const;
    const method: MethodSpec = { name: "m", title: "M", summary: "", citation: "", url: "", cannot: "", signed: false, at: "layer", family: "cam", quick: true, tabled: true, parameters: [parameter] };
    expect(ownParameters(method, { relu: false, sigma: 3 })).toEqual({ relu: false });
  });
});
