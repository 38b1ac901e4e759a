import { describe, expect, it } from "vitest";
import { binsOf, endsOf, nearestSpot, rangeBetween, ticksOf, toPixel, toValue, type Axis } from "./plot";

const up: Axis = { low: 0.4, high: 1, from: 200, to: 20 };

describe("an axis", () => {
  it("goes both ways", () => {
    for (const value of [0.4, 0.55, 1]) expect(toValue(up, toPixel(up, value))).toBeCloseTo(value);
    expect([toPixel(up, 0.4), toPixel(up, 1)]).toEqual([200, 20]);
  });

  it("ends where it ends, for a pointer that went beyond", () => {
    expect([toValue(up, 900), toValue(up, -900)]).toEqual([0.4, 1]);
  });

  it("gives what was brushed in whichever direction", () => {
    expect(rangeBetween(up, 200, 20)).toEqual({ low: 0.4, high: 1 });
    expect(rangeBetween(up, 20, 200)).toEqual({ low: 0.4, high: 1 });
  });
});

describe("endsOf", () => {
  it.each<[(number | null)[], number, number]>([
    [[], 0, 1],
    [[null], 0, 1],
    [[0.91, null, 0.99], 0.9, 1],
    [[0.52, 0.78], 0.5, 0.8],
    [[0.1, 0.9], 0, 1],
    [[1, 1], 0, 1],
    [[0, 0], 0, 1],
  ])("of %o is %f to %f", (values, low, high) => {
    expect(endsOf(values)).toEqual({ low, high });
  });

  it.each([
    [0, 1, "0 0.2 0.4 0.6 0.8 1"],
    [0.9, 1, "0.9 0.95 1"],
    [0.4, 0.7, "0.4 0.5 0.6 0.7"],
  ])("from %f to %f has ticks %s", (low, high, ticks) => {
    expect(ticksOf({ low, high }).join(" ")).toBe(ticks);
  });
});

describe("nearestSpot", () => {
  const spots = [{ x: 0, y: 0 }, null, { x: 10, y: 0 }, { x: 4, y: 3 }];

  it("takes the nearest within reach, and none beyond", () => {
    expect(nearestSpot(spots, { x: 7, y: 0 }, 12)).toBe(2);
    expect(nearestSpot(spots, { x: 4, y: 4 }, 12)).toBe(3);
    expect(nearestSpot(spots, { x: 40, y: 40 }, 12)).toBeNull();
    expect(nearestSpot([], { x: 0, y: 0 }, 12)).toBeNull();
  });
});

describe("binsOf", () => {
  it("counts every number once, both ends included", () => {
    expect(binsOf([0, 0.24, 0.25, 0.5, null, 0.99, 1], 4)).toEqual([2, 1, 1, 2]);
  });
});
