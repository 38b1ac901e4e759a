import { describe, expect, it } from "vitest";
import { cellName, endOf, firstFolding, fold, readNetwork, shortName, type Edge } from "./graph";

function network(names: readonly string[], edges?: readonly Edge[]) {
  const nodes = names.map((name) => ({ name, type: "Conv2d", channels: 4, height: 8, width: 8 }));
  return readNetwork(nodes, edges ?? names.slice(1).map((name, i): Edge => [names[i]!, name]));
}

const NESTED = network(
  ["input", "stem", "body.0.conv", "body.0.norm", "body.0", "body.1.conv", "body.1.norm", "body", "head"],
  [
    ["input", "stem"],
    ["stem", "body.0.conv"],
    ["body.0.conv", "body.0.norm"],
    ["body.0.norm", "body.0"],
    ["stem", "body.0"],
    ["body.0", "body.1.conv"],
    ["body.1.conv", "body.1.norm"],
    ["body.1.norm", "body"],
    ["body.0", "body"],
    ["body", "head"],
  ],
);

const ids = (unfolded: readonly string[]): string[] => fold(NESTED, new Set(unfolded)).cells.map((cell) => cell.id);

describe("endOf", () => {
  it("leaves out as few of the first parts as it has to", () => {
    expect(endOf("decoder.conv", 20)).toBe("decoder.conv");
    expect(endOf("model.pixel_level_module.decoder.mask_projection", 26)).toBe("…decoder.mask_projection");
    expect(endOf("body/0/block/Conv", 8)).toBe("…Conv");
    expect(endOf("a_very_long_name_without_parts", 10)).toBe("a_very_long_name_without_parts");
  });
});

describe("readNetwork", () => {
  it("finds modules by the dots of the names", () => {
    expect([...NESTED.modules.keys()]).toEqual(["body", "body.0", "body.1"]);
    expect(NESTED.modules.get("body.0")).toEqual({ name: "body.0", layers: ["body.0.conv", "body.0.norm", "body.0"], around: ["body"] });
  });

  it("finds modules by the slashes of names from ONNX and Keras", () => {
    const slashes = network(["input", "body/0/Conv", "body/0/Relu", "body/1/Conv", "body/1/Relu", "head/Conv"]);
    expect([...slashes.modules.keys()]).toEqual(["body", "body/0", "body/1"]);
    expect(fold(slashes, new Set(["body"])).cells.map(shortName)).toEqual(["input", "body.0", "body.1", "Conv"]);
  });

  it("places what a module puts out where it was made", () => {
    expect(NESTED.around.get("body.0")).toEqual(["body", "body.0"]);
    // The last block hands its output on as the body's, so there is none of its own name.
    expect(NESTED.around.get("body")).toEqual(["body", "body.1"]);
    expect(NESTED.around.get("head")).toEqual([]);
  });

  it("doesn't place a module's output in a block that has its own", () => {
    const { around } = network(["input", "stem", "body.0.conv", "body.0.norm", "body.0", "body", "head"]);
    expect(around.get("body")).toEqual(["body"]);
  });

  it("leaves out modules around one layer, and one around all", () => {
    expect([...network(["input", "net.a.conv", "net.b.conv", "net.b.norm"]).modules.keys()]).toEqual(["net.b"]);
    expect(network(["input", "block1_conv1", "block1_conv2"]).modules.size).toBe(0);
  });

  it("takes a second call of a module for a layer of its own", () => {
    expect([...network(["input", "a.conv", "a.relu", "a.relu#2", "head"]).modules.get("a")!.layers]).toEqual(["a.conv", "a.relu", "a.relu#2"]);
  });
});

describe("fold", () => {
  it("shows a folded module as one cell, by what it puts out", () => {
    const { cells, edges } = fold(NESTED, new Set());
    expect(cells.map((cell) => cell.id)).toEqual(["layer input", "layer stem", "module body", "layer head"]);
    expect(cells[2]!.layer.name).toBe("body");
    expect(cells[2]!.layers).toHaveLength(6);
    expect(edges).toEqual([
      ["layer input", "layer stem"],
      ["layer stem", "module body"],
      ["module body", "layer head"],
    ]);
  });

  it("unfolds level by level", () => {
    expect(ids(["body"])).toEqual(["layer input", "layer stem", "module body.0", "module body.1", "layer head"]);
    expect(ids(["body", "body.1"])).toEqual(["layer input", "layer stem", "module body.0", "layer body.1.conv", "layer body.1.norm", "layer body", "layer head"]);
  });

  it("keeps a module folded while one around it is", () => {
    expect(ids(["body.0"])).toEqual(ids([]));
  });

  it("shows everything, and every edge once, when all is unfolded", () => {
    const { cells, edges } = fold(NESTED, new Set(NESTED.modules.keys()));
    expect(cells.map(cellName)).toEqual(NESTED.nodes.map((node) => node.name));
    expect(edges).toHaveLength(NESTED.edges.length);
  });

  it("draws parallel edges and edges within a module once or not at all", () => {
    const { edges } = fold(NESTED, new Set(["body"]));
    expect(edges.map((edge) => edge.join(" > "))).toEqual([
      "layer input > layer stem",
      "layer stem > module body.0",
      "module body.0 > module body.1",
      "module body.1 > layer head",
    ]);
  });
});

describe("firstFolding", () => {
  it("unfolds whole levels while few cells are seen", () => {
    expect([...firstFolding(NESTED, 4)]).toEqual([]);
    expect([...firstFolding(NESTED, 5)]).toEqual(["body"]);
    expect([...firstFolding(NESTED, 9)]).toEqual(["body", "body.0", "body.1"]);
  });
});

describe("shortName", () => {
  it.each([
    [["body", "body.0"], "layer body.0.conv", "conv"],
    [["body"], "module body.0", "body.0"],
    [[], "module body", "body"],
    [["body", "body.1"], "layer body", "body"],
  ])("with %j unfolded, %s is %s", (unfolded, id, expected) => {
    expect(shortName(fold(NESTED, new Set(unfolded)).cells.find((cell) => cell.id === id)!)).toBe(expected);
  });

  it("gives a bare number its type", () => {
    const graph = fold(network(["input", "head.0", "head.1", "out"]), new Set(["head"]));
    expect(graph.cells.map(shortName)).toEqual(["input", "0 Conv2d", "1 Conv2d", "out"]);
  });
});
