/** The grounds on which the cells of unfolded modules stand. */

import type { Cell } from "./graph";
import type { Place, WrappedGraph } from "./graphWrap";

export interface Frame {
  module: string;
  depth: number;
  row: number;
  left: number;
  top: number;
  right: number;
  bottom: number;
}

interface Box {
  width: number;
  height: number;
}

type Rectangle = Pick<Frame, "left" | "top" | "right" | "bottom">;

/** Inner frames are smaller, so that outer ones are seen around them. */
const PADDING = 7;
const STEP = 2;

function rectangleOf(place: Place, box: Box): Rectangle {
  return { left: place.x, top: place.y, right: place.x + box.width, bottom: place.y + box.height };
}

function union(a: Rectangle, b: Rectangle): Rectangle {
  return { left: Math.min(a.left, b.left), top: Math.min(a.top, b.top), right: Math.max(a.right, b.right), bottom: Math.max(a.bottom, b.bottom) };
}

function overlap(a: Rectangle, b: Rectangle): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

/** Join rectangles in reading order, as long as none that doesn't belong to them is covered. */
function joined(own: readonly Rectangle[], others: readonly Rectangle[]): Rectangle[] {
  const frames: Rectangle[] = [];
  for (const rectangle of own) {
    const last = frames.at(-1);
    const larger = last && union(last, rectangle);
    if (larger !== undefined && !others.some((other) => overlap(other, larger))) frames[frames.length - 1] = larger;
    else frames.push(rectangle);
  }
  return frames;
}

/** One frame for each unfolded module and row, or several where other cells stand between its own. Outer ones first. */
export function findFrames(cells: readonly Cell[], places: ReadonlyMap<string, Place>, box: Box): Frame[] {
  const placed = cells.flatMap((cell) => {
    const place = places.get(cell.id);
    return place === undefined ? [] : [{ cell, place, rectangle: rectangleOf(place, box) }];
  });
  placed.sort((a, b) => a.place.row - b.place.row || a.place.column - b.place.column || a.place.y - b.place.y);
  const depths = new Map<string, number>();
  for (const { around } of cells) around.forEach((module, depth) => depths.set(module, depth));
  const frames: Frame[] = [];
  for (const [module, depth] of [...depths].sort((a, b) => a[1] - b[1])) {
    const padding = Math.max(PADDING - STEP * depth, 1);
    for (const row of new Set(placed.map(({ place }) => place.row))) {
      const inRow = placed.filter(({ place }) => place.row === row);
      const [own, others] = [true, false].map((inside) => inRow.filter(({ cell }) => cell.around.includes(module) === inside).map(({ rectangle }) => rectangle));
      for (const { left, top, right, bottom } of joined(own!, others!)) {
        frames.push({ module, depth, row, left: left - padding, top: top - padding, right: right + padding, bottom: bottom + padding });
      }
    }
  }
  return frames;
}

/** Modules to be named above a cell, and how wide their names may be. */
export interface Heads {
  modules: readonly string[];
  room: number;
}

/** Modules that begin at a cell, and in each row further down the innermost one that goes on there. */
function findBeginnings(cells: readonly Cell[], places: ReadonlyMap<string, Place>): Map<string, string[]> {
  const known = new Set<string>();
  const named = new Set<string>();
  const beginnings = new Map<string, string[]>();
  const order = (cell: Cell): number => (places.get(cell.id)?.row ?? 0) * 1e6 + (places.get(cell.id)?.column ?? 0);
  for (const cell of cells.toSorted((a, b) => order(a) - order(b))) {
    const here = cell.around.filter((module) => !named.has(`${places.get(cell.id)?.row} ${module}`));
    for (const module of here) named.add(`${places.get(cell.id)?.row} ${module}`);
    const first = here.filter((module) => !known.has(module));
    for (const module of first) known.add(module);
    const modules = first.length > 0 ? first : here.slice(-1);
    if (modules.length > 0) beginnings.set(cell.id, modules);
  }
  return beginnings;
}

/** The names that stand above cells, each with the room up to what stands beside it, or to the right end. */
export function findHeads(cells: readonly Cell[], page: WrappedGraph, box: Box, head: number, right = page.width): Map<string, Heads> {
  const beginnings = findBeginnings(cells, page.places);
  const heads = new Map<string, Heads>();
  for (const [id, modules] of beginnings) {
    const here = page.places.get(id);
    if (here === undefined) continue;
    let end = right;
    for (const [other, place] of page.places) {
      if (place.row !== here.row || place.x <= here.x) continue;
      const top = place.y + (beginnings.has(other) ? 0 : head);
      if (top < here.y + head && here.y < place.y + box.height) end = Math.min(end, place.x);
    }
    heads.set(id, { modules, room: end - here.x });
  }
  return heads;
}
