import { describe, expect, it } from "vitest";
import { decodeList, encodeList, INITIAL_LIST, isDescending, withRange, type ListChoice } from "./listChoice";

const decode = (text: string): ListChoice => decodeList(new URLSearchParams(text));

describe("the list in the address", () => {
  it("writes nothing while nothing was chosen", () => {
    const query = new URLSearchParams();
    encodeList(query, INITIAL_LIST);
    expect(query.toString()).toBe("");
    expect(decode("")).toEqual(INITIAL_LIST);
  });

  it.each([
    "list.sort=size",
    "list.sort=iou.",
    "list.sort=",
    "list.order=sideways",
    "list.mask=maybe",
    "list.range=",
    "list.range=iou",
    "list.range=iou:..",
    "list.range=iou:a..b",
    "list.range=iou:0..1e999",
    "list.range=size:0..1",
    "list.range=:0..1",
    "list.x=iou",
    "list.x=iou&list.y=size",
  ])("takes no harm from %s", (text) => {
    expect(decode(text)).toEqual(INITIAL_LIST);
  });

  it("takes the last of two ranges of one number", () => {
    expect(decode("list.range=iou:0..0.5&list.range=confidence:0.2..&list.range=iou:..0.1").ranges).toEqual([
      { number: "confidence", low: 0.2, high: null },
      { number: "iou", low: null, high: 0.1 },
    ]);
  });
});

describe("isDescending", () => {
  it.each([
    ["name", false],
    ["iou.ring", false],
    ["confidence", false],
    ["share.ring", true],
  ] as const)("begins %s with what is worth looking at", (sort, down) => {
    expect(isDescending({ ...INITIAL_LIST, sort })).toBe(down);
    expect(isDescending({ ...INITIAL_LIST, sort, descending: !down })).toBe(!down);
  });
});

describe("withRange", () => {
  it("takes an open range away", () => {
    expect(withRange([{ number: "iou", low: 0, high: 1 }], { number: "iou", low: null, high: null })).toEqual([]);
  });
});
