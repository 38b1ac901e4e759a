import { describe, expect, it } from "vitest";
import type { Region } from "../geometry/region";
import { decodeChoice, encodeChoice } from "./address";
import { INITIAL, type Choice } from "./choice";

const full: Choice = {
  image: "a b&c=d/é",
  class: "cap",
  against: "stipe",
  layer: "block5_conv3",
  method: "grad-cam",
  parameters: { relu: false, sigma: 0.25, mode: "a,b" },
  score: "probability",
  region: { kind: "box", top: 1, left: 2, bottom: 30, right: 40 },
  tool: "lasso",
  live: true,
  mask: "errors",
  map: "alone",
  opacity: 0.35,
  sequential: "cividis",
  diverging: "purple-orange",
  bound: 4.3e-5,
  threshold: 0.42,
  bands: [7, 3, 1],
  view: { zoom: 2.5, row: 100.25, column: 40.5 },
  list: {
    sort: "iou.ring & co: 1..2",
    descending: true,
    name: "a=b",
    mask: "without",
    predicted: "cap",
    truth: "sti pe",
    ranges: [
      { number: "iou.ring & co: 1..2", low: 0.25, high: null },
      { number: "share.cap", low: null, high: 0.5 },
      { number: "confidence", low: 0.1, high: 0.9 },
    ],
    plot: { x: "confidence", y: "iou.cap" },
  },
  compare: {
    view: "grid",
    scale: "row",
    pins: [
      { image: "m~1%", class: "cap", against: null, layer: "block5_conv3", method: "grad-cam", parameters: {}, score: "logit", region: { kind: "predicted" } },
      { image: "b", class: "a.b", against: "x", layer: "l.0.c", method: "m", parameters: { relu: false, sigma: 0.5 }, score: "probability", region: { kind: "segment", row: 3, column: 4 } },
    ],
    beside: "psp_level1_conv",
    rows: ["cap", "a~b"],
    methods: { names: ["rise", "a~b"], across: "classes", layers: ["input", "l~1"], at: "l%2", sort: "agreement", family: "perturbation", find: "a b&c", among: "cap" },
    columns: ["block1.conv", "%7E"],
  },
};

describe("address", () => {
  it("brings back every choice", () => {
    expect(decodeChoice(`#${encodeChoice(full)}`)).toEqual(full);
  });

  it("leaves out what is as it was at first", () => {
    expect(encodeChoice(INITIAL)).toBe("");
    expect(decodeChoice("")).toEqual(INITIAL);
    expect(encodeChoice({ ...INITIAL, image: "m1", region: { kind: "pixel", row: 3, column: 4 } })).toBe("image=m1&region=pixel:3,4");
  });

  it.each(["everywhere", "predicted", "true", "errors", "false-positive", "false-negative"] as const)("brings back the region %s", (kind) => {
    expect(decodeChoice(encodeChoice({ ...INITIAL, region: { kind } })).region).toEqual({ kind });
  });

  const regions: Region[] = [
    { kind: "segment", row: 3, column: 14 },
    { kind: "superpixel", row: 0, column: 0 },
    { kind: "polygon", points: [[0, 1.5], [10.2, 3], [4, 20]] },
    { kind: "mask", size: { width: 5, height: 4 }, runs: [6, 3, 2, 3, 6] },
    { kind: "mask", size: { width: 3, height: 1 }, runs: [0, 3] },
    { kind: "combined", parts: [
      { adds: true, region: { kind: "predicted" } },
      { adds: false, region: { kind: "box", top: 1, left: 2, bottom: 3, right: 4 } },
      { adds: true, region: { kind: "pixel", row: 7, column: 8 } },
    ] },
  ];
  it.each(regions)("brings back the region %j", (region) => {
    const text = encodeChoice({ ...INITIAL, region });
    expect(text).not.toContain("%");
    expect(decodeChoice(`#${text}`).region).toEqual(region);
  });

  it("says which tool is in hand only where the region doesn't", () => {
    expect(encodeChoice({ ...INITIAL, region: { kind: "pixel", row: 3, column: 4 }, tool: "pixel" })).toBe("region=pixel:3,4");
    expect(encodeChoice({ ...INITIAL, tool: "brush" })).toBe("tool=brush");
  });

  it.each([
    "region=box:1,2",
    "region=box:5,5,5,9",
    "region=pixel:-1,2",
    "region=pixel:1.5,2",
    "region=nonsense",
    "region=segment:1",
    "region=polygon:1,2,3,4",
    "region=polygon:1,2,3,4,5",
    "region=mask:2,2:A!",
    "region=mask:2,2:AC",
    "region=-box:1,2,3,4",
    "region=pixel:1,2;nonsense",
    "tool=hammer",
    "live=1",
    "opacity=-3",
    "opacity=x",
    "bound=0",
    "threshold=-1",
    "threshold=much",
    "bands=1,2",
    "bands=-1",
    "bands=r,g,b",
    "bands=",
    "bound=Infinity",
    "view=0.1,2,3",
    "view=NaN,2,3",
    "view=2",
    "score=p",
    "map=&mask=x&sequential=jet",
    "%E0%A4%A",
  ])("takes nonsense (%s) for nothing", (text) => {
    expect(decodeChoice(`#${text}`)).toEqual(INITIAL);
  });

  it("caps the opacity", () => {
    expect(decodeChoice("#opacity=7").opacity).toBe(1);
  });
});
