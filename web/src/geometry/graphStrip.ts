/** The graph as one strip from left to right: which column each cell stands in, and what is above what there. */

import type { Edge, FoldedGraph } from "./graph";

/** A cell, or a line on its way past a column. All lines from one cell share their way. */
export interface Item {
  /** Of the cell, or of the one that the line comes from. */
  id: string;
  isCell: boolean;
}

export type Link = readonly [left: Item, right: Item];

export interface Strip {
  /** From left to right, and in each column from above. */
  columns: readonly (readonly Item[])[];
  /** Between each column and the next. */
  links: readonly (readonly Link[])[];
  /** Column of each cell. */
  column: ReadonlyMap<string, number>;
  edges: readonly Edge[];
}

/** Sweeps to untangle lines; further ones hardly ever find anything. */
const SWEEPS = 8;

/** Edges by their left and right ends: as folding can make circles, those that lead back are turned round. */
function leftToRight({ cells, edges }: FoldedGraph): Edge[] {
  const position = new Map(cells.map(({ id }, i) => [id, i]));
  return edges.map(([from, to]): Edge => (position.get(from)! < position.get(to)! ? [from, to] : [to, from]));
}

/** As far left as the flow of data lets it be; then what has no more inputs than outputs goes right, to where it is needed. */
function findColumns({ cells }: FoldedGraph, edges: readonly Edge[]): Map<string, number> {
  const [inputs, outputs] = [new Map<string, string[]>(), new Map<string, string[]>()];
  for (const [left, right] of edges) {
    inputs.set(right, [...(inputs.get(right) ?? []), left]);
    outputs.set(left, [...(outputs.get(left) ?? []), right]);
  }
  const column = new Map<string, number>();
  for (const { id } of cells) column.set(id, Math.max(0, ...(inputs.get(id) ?? []).map((left) => column.get(left)! + 1)));
  for (const { id } of cells.toReversed()) {
    const next = outputs.get(id) ?? [];
    if (next.length > 0 && (inputs.get(id) ?? []).length <= next.length) column.set(id, Math.min(...next.map((right) => column.get(right)! - 1)));
  }
  return column;
}

/** Cells and passing lines by column, at first in forward order, and the links between them. */
function place({ cells }: FoldedGraph, edges: readonly Edge[], column: ReadonlyMap<string, number>): { columns: Item[][]; links: Link[][] } {
  const count = Math.max(0, ...[...column.values()].map((at) => at + 1));
  const columns: Item[][] = Array.from({ length: count }, () => []);
  const links: Link[][] = Array.from({ length: Math.max(count - 1, 0) }, () => []);
  const items = new Map(cells.map(({ id }) => [id, { id, isCell: true }]));
  for (const { id } of cells) {
    const first = column.get(id)!;
    const ends = edges.filter((edge) => edge[0] === id).map((edge) => edge[1]);
    columns[first]!.push(items.get(id)!);
    let item: Item = items.get(id)!;
    for (let at = first + 1; at <= Math.max(first, ...ends.map((end) => column.get(end)!)); at++) {
      for (const end of ends) if (column.get(end) === at) links[at - 1]!.push([item, items.get(end)!]);
      if (!ends.some((end) => column.get(end)! > at)) break;
      const passing: Item = { id, isCell: false };
      columns[at]!.push(passing);
      links[at - 1]!.push([item, passing]);
      item = passing;
    }
  }
  return { columns, links };
}

function countCrossings(columns: readonly (readonly Item[])[], links: readonly (readonly Link[])[]): number {
  let crossings = 0;
  links.forEach((between, at) => {
    const [left, right] = [columns[at]!, columns[at + 1]!];
    const ends = between.map(([a, b]) => [left.indexOf(a), right.indexOf(b)] as const);
    ends.forEach((a, i) => {
      for (const b of ends.slice(i + 1)) if ((a[0] - b[0]) * (a[1] - b[1]) < 0) crossings++;
    });
  });
  return crossings;
}

/** Order a column by the middle of what each item is linked to in the one beside it. */
function sorted(items: readonly Item[], links: readonly Link[], beside: readonly Item[], own: 0 | 1): Item[] {
  const middle = (item: Item, i: number): number => {
    const positions = links.filter((link) => link[own] === item).map((link) => beside.indexOf(link[1 - own]!));
    return positions.length > 0 ? positions.reduce((sum, at) => sum + at, 0) / positions.length : i;
  };
  const middles = new Map(items.map((item, i) => [item, middle(item, i)]));
  return items.toSorted((a, b) => middles.get(a)! - middles.get(b)!);
}

/** Untangle lines, by sweeps to the right and back. Forward order stays where it crosses no more lines than another. */
function untangle(first: readonly (readonly Item[])[], links: readonly (readonly Link[])[]): readonly (readonly Item[])[] {
  let best = { columns: first, crossings: countCrossings(first, links) };
  const columns = [...first];
  for (let sweep = 0; sweep < SWEEPS && best.crossings > 0; sweep++) {
    if (sweep % 2 === 0) for (let at = 1; at < columns.length; at++) columns[at] = sorted(columns[at]!, links[at - 1]!, columns[at - 1]!, 1);
    else for (let at = columns.length - 2; at >= 0; at--) columns[at] = sorted(columns[at]!, links[at]!, columns[at + 1]!, 0);
    const crossings = countCrossings(columns, links);
    if (crossings < best.crossings) best = { columns: [...columns], crossings };
  }
  return best.columns;
}

export function layOut(graph: FoldedGraph): Strip {
  const edges = leftToRight(graph);
  const column = findColumns(graph, edges);
  const { columns, links } = place(graph, edges, column);
  return { columns: untangle(columns, links), links, column, edges: graph.edges };
}
