import { describe, expect, it } from "vitest";
import { fittingSize, shrinkValues } from "./shrink";

describe("fittingSize", () => {
  it("keeps proportions, and never enlarges", () => {
    expect(fittingSize({ width: 400, height: 200 }, 100)).toEqual({ width: 100, height: 50 });
    expect(fittingSize({ width: 40, height: 20 }, 100)).toEqual({ width: 40, height: 20 });
    expect(fittingSize({ width: 1000, height: 1 }, 100)).toEqual({ width: 100, height: 1 });
  });
});

describe("shrinkValues", () => {
  it("takes means, also where sizes don't divide", () => {
    expect([...shrinkValues([1, 3, 5, 7], { width: 2, height: 2 }, { width: 1, height: 1 })]).toEqual([4]);
    expect([...shrinkValues([1, 2, 6], { width: 3, height: 1 }, { width: 2, height: 1 })]).toEqual([1.5, 6]);
    expect([...shrinkValues([1, 2], { width: 2, height: 1 }, { width: 2, height: 1 })]).toEqual([1, 2]);
  });
});
