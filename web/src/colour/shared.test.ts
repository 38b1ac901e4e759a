import { describe, expect, it } from "vitest";
import { ownScale, sharedScale } from "./shared";

describe("sharedScale", () => {
  it("reaches to the largest of all maps", () => {
    expect(sharedScale([{ limit: 2, signed: false }, { limit: 5, signed: false }])).toEqual({ range: { low: 0, high: 5 }, signed: false });
  });

  it("goes around zero for all where one map is signed", () => {
    expect(sharedScale([{ limit: 2, signed: true }, { limit: 5, signed: false }])).toEqual({ range: { low: -5, high: 5 }, signed: true });
  });

  it("is none without maps", () => {
    expect(sharedScale([])).toBeNull();
  });
});

describe("ownScale", () => {
  it("is symmetric for a signed map only", () => {
    expect(ownScale({ limit: 3, signed: true }).range).toEqual({ low: -3, high: 3 });
    expect(ownScale({ limit: 3, signed: false }).range).toEqual({ low: 0, high: 3 });
  });
});
