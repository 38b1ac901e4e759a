import { describe, expect, it } from "vitest";
import { decodeRuns, encodeRuns, packRuns, unpackRuns } from "./runs";

describe("runs", () => {
  it("start with the zeros, if need be with none", () => {
    expect(encodeRuns(new Uint8Array([0, 0, 1, 1, 1, 0]))).toEqual([2, 3, 1]);
    expect(encodeRuns(new Uint8Array([1, 0]))).toEqual([0, 1, 1]);
    expect(encodeRuns(new Uint8Array([0, 0]))).toEqual([2]);
  });

  it("come back as they went, whatever the mask", () => {
    let seed = 7;
    for (let trial = 0; trial < 50; trial++) {
      const pixels = Uint8Array.from({ length: 1 + trial * 3 }, () => {
        seed = (seed * 1103515245 + 12345) % 2147483648;
        return Number(seed % 7 > trial % 7);
      });
      expect(decodeRuns(encodeRuns(pixels), pixels.length)).toEqual(pixels);
    }
  });

  it("must cover the whole mask", () => {
    expect(() => decodeRuns([2, 3], 6)).toThrow("cover 5 pixels, but the mask has 6");
  });
});

describe("packed runs", () => {
  it("come back as they went, and are short where rows resemble each other", () => {
    const size = 224;
    const disc = Uint8Array.from({ length: size * size }, (_, i) => Number(Math.hypot(Math.floor(i / size) - 100, (i % size) - 120) < 60));
    const runs = encodeRuns(disc);
    const text = packRuns(runs);
    expect(unpackRuns(text)).toEqual(runs);
    expect(text.length).toBeLessThan(1.2 * runs.length);
    expect(encodeURIComponent(text)).toBe(text);
    for (const some of [[0, 5], [12], [1_000_000, 3, 7, 9_999_999]]) expect(unpackRuns(packRuns(some))).toEqual(some);
  });

  it.each(["", "!", "B", "g"])("are nothing in %j", (text) => {
    expect(unpackRuns(text)).toBeNull();
  });
});
