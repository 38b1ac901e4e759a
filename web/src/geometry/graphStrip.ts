/** Lay a graph out as one strip from left to right. Imported where it is needed, for the layouter is large. */

import { Graph, layout } from "@dagrejs/dagre";
import type { FoldedGraph } from "./graph";
import type { Point, Strip } from "./graphWrap";

interface Room extends Pick<Strip, "box" | "port" | "inset"> {
  columnGap: number;
  rowGap: number;
}

export function layOut(graph: FoldedGraph, { box, port, inset, columnGap, rowGap }: Room): Strip {
  const drawn = new Graph();
  drawn.setGraph({ rankdir: "LR", ranksep: columnGap, nodesep: rowGap, edgesep: 8 });
  drawn.setDefaultEdgeLabel(() => ({}));
  for (const cell of graph.cells) drawn.setNode(cell.id, { ...box });
  for (const [from, to] of graph.edges) drawn.setEdge(from, to);
  layout(drawn);
  const boxes = new Map<string, Point>();
  for (const { id } of graph.cells) {
    const { x, y } = drawn.node(id) as Point;
    boxes.set(id, { x: Math.round(x), y: Math.round(y) });
  }
  const edges = graph.edges.map((edge) => ({ edge, points: (drawn.edge(edge[0], edge[1]) as { points: Point[] }).points }));
  const strip = { boxes, edges, box, port, inset };
  return isUpsideDown([...boxes.values()]) ? mirrored(strip) : strip;
}

/** True where most of what stands in one column has its forward order from below. */
function isUpsideDown(inOrder: readonly Point[]): boolean {
  let balance = 0;
  inOrder.forEach(({ x, y }, i) => {
    for (const later of inOrder.slice(i + 1)) if (later.x === x) balance += Math.sign(later.y - y);
  });
  return balance < 0;
}

function mirrored(strip: Strip): Strip {
  const turn = ({ x, y }: Point): Point => ({ x, y: -y });
  return {
    ...strip,
    boxes: new Map([...strip.boxes].map(([id, point]) => [id, turn(point)])),
    edges: strip.edges.map(({ edge, points }) => ({ edge, points: points.map(turn) })),
  };
}
