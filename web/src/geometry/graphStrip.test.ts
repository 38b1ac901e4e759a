import { describe, expect, it } from "vitest";
import type { Edge, FoldedGraph } from "./graph";
import { layOut, type Strip } from "./graphStrip";
import { wrapStrip } from "./graphWrap";

const BOXES = { width: 90, height: 124, port: 56, inset: 10, columnGap: 18, rowGap: 12 };

function graph(edges: readonly string[]): FoldedGraph {
  const pairs = edges.map((edge) => edge.split(" ") as [string, string] as Edge);
  const names = [...new Set(pairs.flat())];
  const cells = names.map((name) => ({ id: name, layer: { name, type: "Conv2d", channels: 1, height: 1, width: 1 }, layers: [name], folded: false, around: [] }));
  return { cells, edges: pairs };
}

/** Names of each column's cells, from above; lines that pass in brackets. */
function read({ columns }: Strip): string[] {
  return columns.map((items) => items.map(({ id, isCell }) => (isCell ? id : `(${id})`)).join(" "));
}

/** Four stages, each of them read by the decoder; blocks with a residual inside. */
const SEGFORMER = graph([
  "input stage0.conv",
  "stage0.conv stage0",
  "input stage0",
  "stage0 stage1",
  "stage1 stage2",
  "stage2 stage3",
  ...[0, 1, 2, 3].map((stage) => `stage${stage} head.${stage}`),
  ...[0, 1, 2, 3].map((stage) => `head.${stage} fuse`),
  "fuse classifier",
]);

const UNET = graph(["input d1", "d1 d2", "d2 d3", "d3 bottom", "bottom u3", "d3 u3", "u3 u2", "d2 u2", "u2 u1", "d1 u1", "u1 head"]);

describe("layOut", () => {
  it("puts each cell right of all that it uses, and the decoder's branches beside each other", () => {
    const { column } = layOut(SEGFORMER);
    for (const [from, to] of SEGFORMER.edges) expect(column.get(from)!).toBeLessThan(column.get(to)!);
    expect(new Set([0, 1, 2, 3].map((stage) => column.get(`head.${stage}`))).size).toBe(1);
  });

  it("shares one line among all that use a cell, and crosses none", () => {
    expect(read(layOut(SEGFORMER))).toEqual([
      "input",
      "(input) stage0.conv",
      "stage0",
      "(stage0) stage1",
      "(stage0) (stage1) stage2",
      "(stage0) (stage1) (stage2) stage3",
      "head.0 head.1 head.2 head.3",
      "fuse",
      "classifier",
    ]);
    expect(read(layOut(UNET))[4]).toBe("(d1) (d2) (d3) bottom");
  });

  it("untangles what forward order crosses", () => {
    expect(read(layOut(graph(["in a", "in b", "a x", "b y", "b x2", "a y2", "x out", "y out", "x2 out", "y2 out"])))[2]).toMatch(/^(x y2|y2 x) (y x2|x2 y)$/);
  });

  it("turns round what folding made a circle of", () => {
    const { column } = layOut(graph(["in a", "a b", "b a", "b out"]));
    expect([...column.values()]).toEqual([0, 1, 2, 3]);
  });

  it("is empty without cells", () => {
    expect(layOut({ cells: [], edges: [] }).columns).toEqual([]);
  });
});

describe("wrapStrip of networks with skip connections", () => {
  it.each([
    ["U-Net", UNET],
    ["SegFormer", SEGFORMER],
  ])("keeps the lines of %s straight where they pass, and off the boxes", (_, drawn) => {
    const strip = layOut(drawn);
    const page = wrapStrip(strip, BOXES, 2000);
    const heights = page.wires.map(({ edge, path }) => ({ edge, path, ends: [...path.matchAll(/[ML]([\d.-]+) ([\d.-]+)/g)].map((part) => [Number(part[1]), Number(part[2])] as const) }));
    for (const { edge, ends } of heights) {
      for (const [id, place] of page.places) {
        if (edge.includes(id)) continue;
        for (const [x, y] of ends) expect(x > place.x && x < place.x + BOXES.width && y > place.y && y < place.y + BOXES.height, `${edge.join(" → ")} at ${id}`).toBe(false);
      }
    }
  });

  it("keeps the encoder's chain straight, skips above it", () => {
    const { places } = wrapStrip(layOut(UNET), BOXES, 2000);
    const chain = ["d1", "d2", "d3", "bottom", "u3", "u2", "u1"].map((id) => places.get(id)!.y);
    expect(Math.max(...chain) - Math.min(...chain)).toBeLessThan(24);
  });

  it("wastes no height: a row is no higher than what stands in it", () => {
    const long = graph([...Array.from({ length: 60 }, (_, i) => `n${i} n${i + 1}`), "n0 n60", "n1 n59", "n10 n30"]);
    const page = wrapStrip(layOut(long), BOXES, 1000);
    const rows = new Set([...page.places.values()].map(({ row }) => row)).size;
    expect(page.height / rows).toBeLessThan(BOXES.height + 3 * 6 + 40 + 30);
  });
});
