import { describe, expect, it } from "vitest";
import type { Edge, FoldedGraph } from "./graph";
import { findFrames, findHeads } from "./graphFrames";
import { stepFrom } from "./graphSteps";
import { layOut } from "./graphStrip";
import { cutRows, roundedPath, wrapStrip, type WrappedGraph } from "./graphWrap";

const BOX = { width: 90, height: 100 };
const GAP = 18;

function graph(names: readonly string[], edges: readonly Edge[], module = ""): FoldedGraph {
  const cells = names.map((name) => ({
    id: name,
    layer: { name, type: "Conv2d", channels: 1, height: 1, width: 1 },
    layers: [name],
    folded: false,
    around: module !== "" && name.startsWith(module) ? [module] : [],
  }));
  return { cells, edges };
}

function chain(count: number, further: readonly Edge[] = []): FoldedGraph {
  const names = Array.from({ length: count }, (_, i) => `n${i}`);
  return graph(names, [...names.slice(1).map((name, i): Edge => [names[i]!, name]), ...further]);
}

function wrapped(drawn: FoldedGraph, width: number): WrappedGraph {
  return wrapStrip(layOut(drawn), { ...BOX, port: 40, inset: 10, columnGap: GAP, rowGap: 12 }, width);
}

const BRANCHED = graph(
  ["a", "b1", "b2", "b3", "c"],
  ["b1", "b2", "b3"].flatMap((name): Edge[] => [["a", name], [name, "c"]]),
);

describe("cutRows", () => {
  it("takes as few rows as fit, evenly", () => {
    expect(cutRows([1, 1, 1, 1, 1, 1], 10)).toEqual([0]);
    expect(cutRows([1, 1, 1, 1, 1, 1], 4)).toHaveLength(2);
    expect(cutRows([1, 1, 1, 1, 1], 3)).toEqual([0, 3]);
    expect(cutRows([1, 1], 1)).toEqual([0, 1, 2]);
  });

  it("cuts where few lines are", () => {
    expect(cutRows([3, 3, 3, 1, 3], 4)).toEqual([0, 4]);
  });
});

describe("wrapStrip", () => {
  it.each([[320], [1017], [1657], [4000]])("keeps a chain of 54 within %i pixels, in reading order, and no boxes overlap", (width) => {
    const drawn = chain(54);
    const page = wrapped(drawn, width);
    expect(page.width).toBeLessThanOrEqual(width);
    const places = drawn.cells.map((cell) => page.places.get(cell.id)!);
    places.slice(1).forEach((place, i) => {
      const before = places[i]!;
      expect(place.row > before.row || (place.row === before.row && place.x >= before.x + BOX.width + GAP - 1)).toBe(true);
      if (place.row > before.row) expect(place.y).toBeGreaterThan(before.y + BOX.height);
    });
    for (const { x, y } of places) {
      expect(x).toBeGreaterThanOrEqual(0);
      expect(y + BOX.height).toBeLessThanOrEqual(page.height);
    }
  });

  it("draws at least one column in no room at all", () => {
    expect(new Set([...wrapped(chain(4), 20).places.values()].map((place) => place.row)).size).toBe(4);
  });

  it("puts what stands side by side in one column, in forward order", () => {
    const { places } = wrapped(BRANCHED, 1000);
    const branches = ["b1", "b2", "b3"].map((name) => places.get(name)!);
    expect(new Set(branches.map((place) => place.column)).size).toBe(1);
    expect(branches[0]!.y).toBeLessThan(branches[1]!.y);
    expect(branches[1]!.y).toBeLessThan(branches[2]!.y);
  });

  it("ends each wire at its box, rows apart or not", () => {
    const drawn = chain(20, [["n2", "n17"], ["n0", "n19"]]);
    const page = wrapped(drawn, 600);
    expect(page.wires).toHaveLength(21);
    for (const { edge, path, end } of page.wires) {
      const [from, to] = [page.places.get(edge[0])!, page.places.get(edge[1])!];
      expect(path.startsWith(`M${from.x + BOX.width - 10} `)).toBe(true);
      expect(end.x).toBe(to.x + 10);
      expect(end.y).toBeCloseTo(to.y + BOX.height / 2 - 10, 0);
      expect(path).not.toContain("NaN");
    }
  });

  it("points an edge that runs back, as folding can make one, at where it leads", () => {
    const page = wrapped(graph(["a", "b", "c"], [["a", "b"], ["b", "c"], ["c", "a"]]), 1000);
    for (const { edge, end } of page.wires) {
      const to = page.places.get(edge[1])!;
      expect(end.x).toBeGreaterThanOrEqual(to.x);
      expect(end.x).toBeLessThanOrEqual(to.x + BOX.width);
    }
  });
});

describe("roundedPath", () => {
  it("rounds corners, and no more than there is room for", () => {
    expect(roundedPath([{ x: 0, y: 0 }, { x: 20, y: 0 }, { x: 20, y: 2 }])).toBe("M0 0L16 0Q20 0 20 1L20 2");
    expect(roundedPath([{ x: 1, y: 1 }, { x: 1, y: 1 }, { x: 1, y: 1 }])).not.toContain("NaN");
  });
});

describe("stepFrom", () => {
  const { places } = wrapped(BRANCHED, 1000);

  it("goes along the lines", () => {
    expect(stepFrom(places, BRANCHED.edges, "a", "right")).toBe("b2");
    expect(stepFrom(places, BRANCHED.edges, "b3", "right")).toBe("c");
    expect(stepFrom(places, BRANCHED.edges, "b3", "left")).toBe("a");
    expect(stepFrom(places, BRANCHED.edges, "c", "right")).toBeNull();
  });

  it("goes up and down between branches", () => {
    expect(stepFrom(places, BRANCHED.edges, "b1", "down")).toBe("b2");
    expect(stepFrom(places, BRANCHED.edges, "b3", "up")).toBe("b2");
    expect(stepFrom(places, BRANCHED.edges, "b1", "up")).toBeNull();
  });

  it("goes up and down between rows, and reaches every cell by itself", () => {
    const drawn = chain(12);
    const rows = wrapped(drawn, 460).places;
    const down = stepFrom(rows, drawn.edges, "n1", "down")!;
    expect(rows.get(down)).toMatchObject({ row: 1, x: rows.get("n1")!.x });
    let here: string | null = "n0";
    const seen: string[] = [];
    while (here !== null) {
      seen.push(here);
      here = stepFrom(rows, drawn.edges, here, "right");
    }
    expect(seen).toHaveLength(12);
  });

  it("is nowhere from a cell that isn't there", () => {
    expect(stepFrom(places, BRANCHED.edges, "gone", "up")).toBeNull();
  });
});

describe("frames", () => {
  it("surround a module's cells in each row, and name it there", () => {
    const drawn = graph(["in", "m1", "m2", "m3", "m4", "out"], [["in", "m1"], ["m1", "m2"], ["m2", "m3"], ["m3", "m4"], ["m4", "out"]], "m");
    const page = wrapped(drawn, 400);
    const { places } = page;
    const frames = findFrames(drawn.cells, places, BOX);
    expect(frames.map(({ module, row }) => [module, row])).toEqual([["m", 0], ["m", 1]]);
    expect(frames[0]!.left).toBeLessThan(places.get("m1")!.x);
    expect(frames[0]!.right).toBeGreaterThan(places.get("m2")!.x + BOX.width);
    const heads = findHeads(drawn.cells, page, BOX, 24);
    expect([...heads].map(([id, { modules }]) => [id, modules])).toEqual([["m1", ["m"]], ["m3", ["m"]]]);
    for (const [id, { room }] of heads) expect(places.get(id)!.x + room).toBe(page.width);
  });

  it("never cover a cell of another module", () => {
    const cells = graph(["a", "m1", "x", "m2", "b"], ["m1", "x", "m2"].flatMap((name): Edge[] => [["a", name], [name, "b"]]), "m");
    const { places } = wrapped(cells, 1000);
    const other = places.get("x")!;
    for (const frame of findFrames(cells.cells, places, BOX)) {
      expect(frame.top < other.y + BOX.height && other.y < frame.bottom && frame.left < other.x + BOX.width && other.x < frame.right).toBe(false);
    }
  });
});
