/** Arrow keys on the graph: along its lines, and between what stands side by side. */

import type { Edge } from "./graph";
import type { Place } from "./graphWrap";

export type Direction = "left" | "right" | "up" | "down";

type Places = ReadonlyMap<string, Place>;

/** The one with the least cost, or null. */
function least(ids: readonly string[], cost: (id: string) => number): string | null {
  let best: string | null = null;
  for (const id of ids) if (best === null || cost(id) < cost(best)) best = id;
  return best;
}

/** Up and down: in the same column first, then into the row above or below. */
function vertical(places: Places, from: string, step: 1 | -1): string | null {
  const here = places.get(from)!;
  const ids = [...places.keys()];
  const beside = ids.filter((id) => places.get(id)!.column === here.column && (places.get(id)!.y - here.y) * step > 0);
  if (beside.length > 0) return least(beside, (id) => Math.abs(places.get(id)!.y - here.y));
  const nextRow = ids.filter((id) => places.get(id)!.row === here.row + step);
  return least(nextRow, (id) => Math.abs(places.get(id)!.x - here.x) * 1e3 + places.get(id)!.y * step);
}

/** Where an arrow key leads from a cell; null where there is nothing. */
export function stepFrom(places: Places, edges: readonly Edge[], from: string, direction: Direction): string | null {
  const here = places.get(from);
  if (here === undefined) return null;
  if (direction === "up" || direction === "down") return vertical(places, from, direction === "down" ? 1 : -1);
  const ends = direction === "right" ? edges.filter((edge) => edge[0] === from).map((edge) => edge[1]) : edges.filter((edge) => edge[1] === from).map((edge) => edge[0]);
  const known = ends.filter((id) => places.has(id));
  return least(known, (id) => Math.abs(places.get(id)!.column - here.column) * 1e4 + Math.abs(places.get(id)!.y - here.y));
}
