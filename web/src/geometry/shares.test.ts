import { describe, expect, it } from "vitest";
import { formatProbability, formatShare, importanceShares } from "./shares";

describe("importanceShares", () => {
  it("divides positive importance among the classes of the pixels it lies on", () => {
    const found = importanceShares(Float32Array.of(1, 3, 0, 4), Uint8Array.of(0, 2, 1, 2), 3);
    expect([...found!.positive!]).toEqual([1 / 8, 0, 7 / 8]);
    expect(found!.negative).toBe(0);
  });

  it("leaves negative importance out, and says how much it is", () => {
    const found = importanceShares(Float32Array.of(2, -6, 2, -2), Uint8Array.of(0, 0, 1, 1), 2);
    expect([...found!.positive!]).toEqual([0.5, 0.5]);
    expect(found!.negative).toBeCloseTo(8 / 12);
  });

  it("keeps pixels of no class apart", () => {
    const found = importanceShares([1, 1, 2], Uint16Array.of(0, 65535, 1), 2);
    expect([...found!.positive!]).toEqual([0.25, 0.5]);
  });

  it("passes over what is not a number", () => {
    expect([...importanceShares([1, NaN], [0, 1], 2)!.positive!]).toEqual([1, 0]);
  });

  it("has nothing to divide where all is negative, and says so", () => {
    expect(importanceShares([-1, 0], [0, 1], 2)).toEqual({ positive: null, negative: 1 });
  });

  it.each([[[0, 0]], [[NaN, 0]], [[Infinity, 1]], [[]]])("has none to divide in %j", (values) => {
    expect(importanceShares(values, [0, 1], 2)).toBeNull();
  });
});

describe("percent", () => {
  it.each([[0, "0 %"], [0.004, "0.4 %"], [0.0996, "10.0 %"], [0.5, "50 %"], [1, "100 %"]])("writes the share %f", (share, text) => {
    expect(formatShare(share)).toBe(text);
  });

  it.each([[0, "0 %"], [128, "50 %"], [252, "99 %"], [254, "> 99 %"], [255, "> 99 %"]])("writes the byte %i as a probability", (byte, text) => {
    expect(formatProbability(byte)).toBe(text);
  });
});
