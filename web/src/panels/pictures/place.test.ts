import { describe, expect, it } from "vitest";
import { placeFields, withField } from "./place";

const size = { width: 40, height: 30 };

describe("placeFields", () => {
  it("limits a pixel to the image", () => {
    expect(placeFields({ kind: "pixel", row: 3, column: 4 }, size)).toEqual([
      { name: "row", value: 3, minimum: 0, maximum: 29 },
      { name: "column", value: 4, minimum: 0, maximum: 39 },
    ]);
  });

  it("leaves a box at least one pixel", () => {
    const fields = placeFields({ kind: "box", top: 5, left: 6, bottom: 7, right: 8 }, size);
    expect(Object.fromEntries(fields.map(({ name, minimum, maximum }) => [name, [minimum, maximum]]))).toEqual({
      top: [0, 6],
      left: [0, 7],
      bottom: [6, 30],
      right: [7, 40],
    });
  });

  it("has nothing to type for regions that follow the class", () => {
    expect(placeFields({ kind: "predicted" }, size)).toEqual([]);
  });
});

describe("withField", () => {
  it("changes one number", () => {
    expect(withField({ kind: "pixel", row: 3, column: 4 }, "row", 9)).toEqual({ kind: "pixel", row: 9, column: 4 });
  });
});
