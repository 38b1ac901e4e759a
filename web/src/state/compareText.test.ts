import { describe, expect, it } from "vitest";
import { decodeChoice, encodeChoice } from "./address";
import { INITIAL } from "./choice";
import { INITIAL_COMPARE, MOST_PINS, moved, type Pin } from "./compareChoice";
import { decodePin, encodePin } from "./compareText";

const pin: Pin = { image: "m1", class: "cap", against: null, layer: "block5_conv3", method: "grad-cam", parameters: {}, score: "logit", region: { kind: "predicted" } };

describe("pins", () => {
  it("are short where all is as it was at first", () => {
    expect(encodePin(pin)).toBe("m1~cap~block5_conv3~grad-cam");
    expect(encodeChoice({ ...INITIAL, compare: { ...INITIAL_COMPARE, pins: [pin] } })).toBe("pin=m1~cap~block5_conv3~grad-cam");
  });

  it.each<Partial<Pin>>([
    { class: "a~b%7E&=ü", layer: "body.0.conv#2" },
    { against: "stipe", score: "probability" },
    { parameters: { sigma: 0.25, relu: false, mode: "a.b" } },
    { region: { kind: "mask", size: { width: 3, height: 1 }, runs: [0, 3] } },
    { region: { kind: "combined", parts: [{ adds: true, region: { kind: "predicted" } }, { adds: false, region: { kind: "pixel", row: 7, column: 8 } }] } },
  ])("come back from a link (%j)", (part) => {
    const whole = { ...pin, ...part };
    const text = encodeChoice({ ...INITIAL, compare: { ...INITIAL_COMPARE, pins: [whole, pin] } });
    expect(decodeChoice(`#${text}`).compare.pins).toEqual([whole, pin]);
  });

  it("are the same whatever the order of their parameters", () => {
    expect(encodePin({ ...pin, parameters: { a: 1, b: 2 } })).toBe(encodePin({ ...pin, parameters: { b: 2, a: 1 } }));
  });

  it.each(["", "m1", "m1~cap~layer", "m1~~layer~method", "m~c~l~m~region.box:1", "m~c~l~m~score.x", "m~c~l~m~nonsense", "m~c~l~m~method.x", "m~c~l~m~against."])(
    "that can't be read (%s) are left out",
    (text) => {
      expect(decodePin(text)).toBeNull();
    },
  );

  it("are bounded, and each is there once", () => {
    const many = Array.from({ length: 60 }, (_, i) => `pin=m${i % 50}~c~l~m`).join("&");
    expect(decodeChoice(many).compare.pins).toHaveLength(MOST_PINS);
    expect(decodeChoice("pin=m~c~l~m&pin=m~c~l~m").compare.pins).toHaveLength(1);
  });
});

describe("the panel", () => {
  it.each(["compare=x&compare-scale=y", "rows=&columns=~~", "beside=", "pin=&pin=~~~", "methods=&methods-across=up&methods-sort=x&methods-family=y&methods-at=&methods-layers=~"])("takes nonsense (%s) for nothing", (text) => {
    expect(decodeChoice(text).compare).toEqual(INITIAL_COMPARE);
  });
});

describe("moved", () => {
  it("moves one entry, as far as there is room", () => {
    expect(moved(["a", "b", "c"], 0, 1)).toEqual(["b", "a", "c"]);
    expect(moved(["a", "b", "c"], 2, -2)).toEqual(["c", "a", "b"]);
    expect(moved(["a", "b"], 1, 1)).toEqual(["a", "b"]);
    expect(moved(["a"], 4, -1)).toEqual(["a"]);
  });
});
