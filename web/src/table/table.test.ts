import { describe, expect, it } from "vitest";
import type { TableDescription } from "../api/types";
import cases from "./fixture.json";
import { packed, resizing } from "./sampling";
import { answerOf, linksOf, logitShares, readTable, weightedSum, type Table } from "./table";

type Case = (typeof cases)[number];

function tableOf(entry: Case): Table {
  return {
    description: entry.description as unknown as TableDescription,
    classes: 2,
    values: Float32Array.from(entry.table),
    activation: Float32Array.from(entry.activation),
    logits: Float32Array.from(entry.logits),
  };
}

function expectClose(found: ArrayLike<number>, expected: readonly number[]): void {
  expect(found.length).toBe(expected.length);
  const worst = Math.max(...expected.map((value, i) => Math.abs(value - found[i]!)));
  expect(worst).toBeLessThan(2e-5);
}

describe.each(cases.map((entry) => [entry.name, entry] as const))("a table of an image that was %s", (_, entry) => {
  const table = tableOf(entry);
  const links = linksOf(table.description);
  const pixels = Uint8Array.from(entry.pixels);

  it("takes the mean over a region as automatic differentiation does", () => {
    expectClose(logitShares(pixels, links, table.description)!, entry.shares);
  });

  it("gives the server's map in the image's pixels", () => {
    const answer = answerOf(table, links, { class: 1, against: null, pixels, rectified: true })!;
    expectClose(answer.values, entry.rectified);
    expect(answer.score).toBeCloseTo(entry.score, 4);
    expect(answer.count).toBe(entry.pixels.filter((pixel) => pixel === 1).length);
  });

  it("sets a class against another, with the evidence against it", () => {
    const answer = answerOf(table, links, { class: 1, against: 0, pixels, rectified: false })!;
    expectClose(answer.values, entry.contrast);
  });

  it("has nothing to say about an empty region, or where nothing depends on the layer", () => {
    const none = new Uint8Array(pixels.length);
    expect(answerOf(table, links, { class: 1, against: null, pixels: none, rectified: true })).toBeNull();
    const dead = { ...table, values: new Float32Array(table.values.length) };
    expect(answerOf(dead, links, { class: 1, against: null, pixels, rectified: true })).toBeNull();
  });
});

it("adds contributions up, each place for itself", () => {
  const entry = cases.find(({ name }) => name === "unchanged")!;
  const whole = tableOf(entry);
  const size = 8 * 10;
  const table: Table = { ...whole, description: { ...whole.description, kind: "contributions" }, values: whole.values.slice(0, 2 * size), activation: null };
  const pixels = Uint8Array.from({ length: size }, (_, i) => Number(i === 25 || i === 26));
  const { values } = answerOf(table, linksOf(table.description), { class: 0, against: 1, pixels, rectified: false })!;
  expect([...values.keys()].filter((place) => values[place] !== 0)).toEqual([25, 26]);
  expect(values[25]).toBeCloseTo((table.values[25]! - table.values[size + 25]!) / 2, 5);
});

it.each([1, 2, 3, 4, 5, 8, 11])("adds %i weighted channels up as one after the other does", (count) => {
  const size = 6;
  const channels = Float32Array.from({ length: count * size }, (_, i) => Math.sin(i * i));
  const weights = Float64Array.from({ length: count }, (_, channel) => Math.cos(channel * 3) * (channel % 3));
  const expected = Array.from({ length: size }, (_, place) => weights.reduce((sum, weight, channel) => sum + weight * channels[channel * size + place]!, 0));
  expectClose(weightedSum(channels, weights, size), expected);
});

it("undoes the scale of each channel", () => {
  const array = (shape: number[], ...data: number[]) => ({ shape, data: Float32Array.from(data) });
  const description = { ...cases[0]!.description } as unknown as TableDescription;
  const arrays = new Map([
    ["values", array([2, 1, 1, 1], 8, 6)],
    ["scales", array([2], 4, 2)],
    ["activation", array([2, 1, 1], 1, 3)],
    ["activation_scales", array([2], 2, 1)],
    ["logits", array([1, 1, 1], 5)],
  ]);
  const table = readTable({ arrays, description });
  expect([...table.values]).toEqual([2, 3]);
  expect([...table.activation!]).toEqual([0.5, 3]);
  expect(() => readTable({ arrays: new Map(), description })).toThrow("incomplete");
});

it("mixes few cells for each place", () => {
  const { starts, counts, width } = packed(resizing(4, 8));
  expect(width).toBe(2);
  expect([...starts]).toEqual([0, 0, 0, 1, 1, 2, 2, 3]);
  expect([...counts]).toEqual([1, 2, 2, 2, 2, 2, 2, 1]);
});
