import { describe, expect, it } from "vitest";
import { commonExponent, formatNumber, formatValue, hasNegative, largestMagnitude, position, powerLabel, rangeOf, ticks } from "./scale";

describe("range", () => {
  it("spans zero to the bound, or both sides of zero", () => {
    expect(rangeOf(2, false)).toEqual({ low: 0, high: 2 });
    expect(rangeOf(2, true)).toEqual({ low: -2, high: 2 });
  });

  it("finds the largest magnitude among the finite values", () => {
    expect(largestMagnitude([1, -3, NaN, Infinity])).toBe(3);
    expect(largestMagnitude([])).toBe(0);
    expect(hasNegative([0, 1])).toBe(false);
    expect(hasNegative([0, -1e-9])).toBe(true);
  });

  it("places values, and holds what lies beyond", () => {
    expect(position(1, { low: 0, high: 4 })).toBe(0.25);
    expect(position(9, { low: 0, high: 4 })).toBe(1);
    expect(position(9, { low: 0, high: 0 })).toBe(0);
  });
});

describe("ticks", () => {
  it.each([
    [{ low: 0, high: 1 }, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]],
    [{ low: 0, high: 0.043 }, 5, [0, 0.01, 0.02, 0.03, 0.04]],
    [{ low: 0, high: 0.0104 }, 5, [0, 0.002, 0.004, 0.006, 0.008, 0.01]],
    [{ low: -7, high: 7 }, 6, [-6, -4, -2, 0, 2, 4, 6]],
    [{ low: 0, high: 0 }, 5, [0]],
  ])("of %o are round and within", (range, count, expected) => {
    const marks = ticks(range, count);
    expect(marks).toHaveLength(expected.length);
    marks.forEach((mark, i) => expect(mark).toBeCloseTo(expected[i]!, 9));
  });

  it("stay few and inside for any range", () => {
    for (const high of [1e-12, 3.7e-5, 0.99, 1, 12345, 8e20]) {
      const marks = ticks({ low: 0, high }, 5);
      expect(marks.length).toBeGreaterThanOrEqual(3);
      expect(marks.length).toBeLessThanOrEqual(7);
      expect(marks.every((mark) => mark >= 0 && mark <= high * (1 + 1e-9))).toBe(true);
    }
  });
});

describe("numbers", () => {
  it("are written short, with a true minus", () => {
    expect(formatNumber(-0.25)).toBe("−0.25");
    expect(formatNumber(0.30000000000000004)).toBe("0.3");
    expect(formatNumber(NaN)).toBe("–");
    expect(formatNumber(3.2e-5, -5)).toBe("3.2");
  });

  it("share one power of ten where they are very small or large", () => {
    expect(commonExponent(0.043)).toBe(0);
    expect(commonExponent(3.2e-5)).toBe(-5);
    expect(commonExponent(250000)).toBe(5);
    expect(commonExponent(0)).toBe(0);
    expect(powerLabel(-12)).toBe("×10⁻¹²");
    expect(powerLabel(0)).toBe("");
    expect(formatValue(-3.21e-5)).toBe("−3.21×10⁻⁵");
  });
});
