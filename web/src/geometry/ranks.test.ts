import { describe, expect, it } from "vitest";
import { rankCorrelation, ranksOf } from "./ranks";

/** Counted pair by pair. */
function slowRanks(values: readonly number[]): number[] {
  return values.map((value) => {
    const below = values.filter((other) => other < value).length;
    const same = values.filter((other) => other === value).length;
    return below + (same + 1) / 2;
  });
}

/** A repeatable row of numbers, some of them equal. */
function numbers(seed: number, count: number): number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (state * 16807) % 2147483647;
    return Math.round((state % 1000) / 40) - 12;
  });
}

const rho = (one: readonly number[], other: readonly number[]): number | null => rankCorrelation(ranksOf(one), ranksOf(other));

describe("ranksOf", () => {
  it("counts from one, and equal values share", () => {
    expect([...ranksOf([0.5, -2, 0.5, 7])]).toEqual([2.5, 1, 2.5, 4]);
    expect([...ranksOf([])]).toEqual([]);
  });

  it("is what counting pair by pair gives", () => {
    for (const seed of [1, 2, 3]) {
      const values = numbers(seed, 200);
      expect([...ranksOf(values)]).toEqual(slowRanks(values));
    }
  });
});

describe("rankCorrelation", () => {
  it("is 1 for any rising function of the same, −1 for a falling one", () => {
    const values = numbers(5, 100);
    expect(rho(values, values.map((value) => Math.exp(value / 5)))).toBeCloseTo(1, 12);
    expect(rho(values, values.map((value) => -(value ** 3)))).toBeCloseTo(-1, 12);
  });

  it("agrees with Spearman's formula where no values are equal", () => {
    // 1 − 6 Σ d² / (n (n² − 1)), from the ranks' differences 1, 1, 2, 0, 2.
    expect(rho([10, 20, 30, 40, 50], [2, 1, 5, 4, 3])).toBeCloseTo(1 - (6 * (1 + 1 + 4 + 0 + 4)) / (5 * 24), 12);
  });

  it("is symmetric, and the same for ties whichever way round", () => {
    const [one, other] = [numbers(7, 150), numbers(8, 150)];
    expect(rho(one, other)).toBeCloseTo(rho(other, one)!, 12);
    expect(Math.abs(rho(one, other)!)).toBeLessThan(0.3);
  });

  it("is unknown for a map that is the same everywhere", () => {
    expect(rho([1, 1, 1], [1, 2, 3])).toBeNull();
    expect(rho([1, 2], [1, 2, 3])).toBeNull();
  });
});
