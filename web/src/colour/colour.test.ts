import { describe, expect, it } from "vitest";
import { parseColour } from "./hex";
import { colourTable, DIVERGING, SEQUENTIAL, STEPS } from "./maps";
import { paintErrors, paintLabels, paintValues, toGrey } from "./paint";
import { rangeOf } from "./scale";

function luma([red, green, blue]: readonly [number, number, number]): number {
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

describe("colourTable", () => {
  it.each(SEQUENTIAL)("%s gets brighter from end to end", (name) => {
    const table = colourTable(name);
    expect(table).toHaveLength(STEPS);
    for (let i = 8; i < STEPS; i += 8) expect(luma(table[i]!)).toBeGreaterThan(luma(table[i - 8]!));
  });

  it.each(DIVERGING)("%s is neutral in the middle and darker at both ends", (name) => {
    const table = colourTable(name);
    const middle = table[(STEPS - 1) / 2]!;
    expect(Math.max(...middle) - Math.min(...middle)).toBeLessThan(12);
    expect(luma(middle)).toBeGreaterThan(luma(table[0]!) + 80);
    expect(luma(middle)).toBeGreaterThan(luma(table[STEPS - 1]!) + 80);
  });

  it("is warm at the positive end", () => {
    const [red, , blue] = colourTable("blue-red")[STEPS - 1]!;
    expect(red).toBeGreaterThan(blue);
  });
});

describe("paintValues", () => {
  const table = colourTable("inferno");

  it("gives both ends of the range their colours, and holds what lies beyond", () => {
    const bytes = paintValues([0, 2, -5, 9], rangeOf(2, false), table);
    expect([...bytes]).toEqual([...table[0]!, 255, ...table[STEPS - 1]!, 255, ...table[0]!, 255, ...table[STEPS - 1]!, 255]);
  });

  it("leaves out what is nearer to zero than the threshold, on both sides", () => {
    const opacities = (values: number[], least: number): number[] => [...paintValues(values, rangeOf(2, true), table, least)].filter((_, i) => i % 4 === 3);
    expect(opacities([-2, -0.5, -0.49, 0, 0.49, 0.5, 2, NaN], 0.5)).toEqual([255, 255, 0, 0, 0, 255, 255, 0]);
    expect(opacities([-2, 0, 2, NaN], 0)).toEqual([255, 255, 255, 0]);
  });

  it("gives zero the neutral colour of a signed map", () => {
    const diverging = colourTable("blue-red");
    expect([...paintValues([0], rangeOf(3, true), diverging)]).toEqual([...diverging[(STEPS - 1) / 2]!, 255]);
  });

  it("leaves what isn't a number transparent, and a map of zeros at the low end", () => {
    expect([...paintValues([NaN, 0], rangeOf(0, false), table)]).toEqual([0, 0, 0, 0, ...table[0]!, 255]);
  });
});

describe("paintLabels", () => {
  const colours = [parseColour("#010203"), parseColour("#0A0B0C")];

  it("gives each class its colour, and none to unknown ones", () => {
    expect([...paintLabels([1, 255, 0], colours)]).toEqual([10, 11, 12, 255, 0, 0, 0, 0, 1, 2, 3, 255]);
  });

  it("shows errors in the true class's colour", () => {
    expect([...paintErrors([0, 1], [1, 1], colours)]).toEqual([10, 11, 12, 255, 128, 128, 128, 56]);
  });
});

describe("toGrey", () => {
  it("keeps greys and opacity as they are", () => {
    expect([...toGrey(new Uint8ClampedArray([90, 90, 90, 128]))]).toEqual([90, 90, 90, 128]);
    const [red, green, blue] = toGrey(new Uint8ClampedArray([255, 0, 0, 255]));
    expect([red, green, blue]).toEqual([54, 54, 54]);
  });
});

describe("parseColour", () => {
  it("refuses what isn't a colour", () => {
    expect(() => parseColour("red")).toThrow("expected #rrggbb");
  });
});
