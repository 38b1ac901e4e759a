import { describe, expect, it } from "vitest";
import type { MethodSpec } from "../api/types";
import { byFamily } from "./families";
import { findMethods, firstThingsFirst, sortNumber, sortRows } from "./methodRows";

function method(name: string, title: string, family: MethodSpec["family"], quick = true): MethodSpec {
  return { name, title, family, quick, tabled: false, summary: "", citation: "", url: "", cannot: "", signed: false, at: "layer", parameters: [] };
}

const METHODS = [
  method("rise", "RISE", "perturbation", false),
  method("grad-cam", "Grad-CAM", "cam"),
  method("guided-grad-cam", "Guided Grad-CAM", "gradient"),
  method("mine", "Mine", "other"),
  method("hires-cam", "HiResCAM", "cam"),
];

const names = (methods: readonly MethodSpec[]): string[] => methods.map(({ name }) => name);

describe("byFamily", () => {
  it("goes family by family, and keeps the server's order in each", () => {
    expect(names(byFamily(METHODS))).toEqual(["grad-cam", "hires-cam", "guided-grad-cam", "rise", "mine"]);
  });
});

describe("findMethods", () => {
  it("looks for words in names and titles", () => {
    expect(names(findMethods(METHODS, null, " CAM grad"))).toEqual(["grad-cam", "guided-grad-cam"]);
    expect(names(findMethods(METHODS, "cam", "cam"))).toEqual(["grad-cam", "hires-cam"]);
    expect(names(findMethods(METHODS, "attention", ""))).toEqual([]);
    expect(findMethods(METHODS, null, "  ")).toHaveLength(5);
  });
});

describe("sortRows", () => {
  const maps = { a: [{ agreement: 0.2, share: null, seconds: 3 }, { agreement: 0.9, share: 0.4, seconds: 1 }], b: [{ agreement: -0.5, share: 0.6, seconds: 0.1 }], c: [] };
  const order = (sort: Parameters<typeof sortNumber>[1]): readonly string[] => sortRows(Object.keys(maps), (row) => sortNumber(maps[row as keyof typeof maps], sort));

  it("sorts by the best map of each, what isn't known last", () => {
    expect(order("agreement")).toEqual(["a", "b", "c"]);
    expect(order("share")).toEqual(["b", "a", "c"]);
    expect(order("time")).toEqual(["b", "a", "c"]);
    expect(sortNumber(maps.a, "time")).toBe(-1);
  });

  it("leaves the order where there is nothing to sort by", () => {
    expect(order("name")).toEqual(["a", "b", "c"]);
    expect(sortRows(["c", "a", "b"], () => 1)).toEqual(["c", "a", "b"]);
  });
});

describe("firstThingsFirst", () => {
  it("puts quick ones first, then the column that matters", () => {
    const cell = (id: string, quick: boolean, column: string): { id: string; quick: boolean; column: string } => ({ id, quick, column });
    const cells = [cell("1", false, "x"), cell("2", false, "y"), cell("3", true, "x"), cell("4", false, "y"), cell("5", true, "y")];
    expect(firstThingsFirst(cells, "y").map(({ id }) => id)).toEqual(["3", "5", "2", "4", "1"]);
    expect(firstThingsFirst(cells, null).map(({ id }) => id)).toEqual(["3", "5", "1", "2", "4"]);
  });
});
