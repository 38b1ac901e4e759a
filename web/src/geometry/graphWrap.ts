/** A graph laid out as one long strip, cut into rows like lines of text. Coordinates are CSS pixels. */

import type { Edge } from "./graph";
import { findHeights } from "./graphHeights";
import type { Item, Strip } from "./graphStrip";

export interface Point {
  x: number;
  y: number;
}

/** The boxes that cells are drawn as, all equally large. */
export interface Boxes {
  width: number;
  height: number;
  /** Where lines begin and end: how far below the top of a box, and how far inside its edges. */
  port: number;
  inset: number;
  columnGap: number;
  rowGap: number;
}

export interface Place extends Point {
  row: number;
  column: number;
}

export interface Wire {
  edge: Edge;
  /** SVG path data. */
  path: string;
  /** Where it arrives, for the arrow head. */
  end: Point;
}

export interface WrappedGraph {
  width: number;
  height: number;
  /** Top left corner of each box. */
  places: ReadonlyMap<string, Place>;
  wires: readonly Wire[];
}

/** Room at both sides for lines that go on in the next row. */
const MARGIN = 24;
const LANE = 6;
const ROW_GAP = 16;
const CORNER = 4;

/** An edge by columns: where it runs in each one from its first to its last. */
interface Course {
  edge: Edge;
  first: number;
  /** Height in each column; those between the ends are lanes beside the boxes. */
  heights: readonly number[];
  backwards: boolean;
}

/** The heights of each row's items, and the ways of edges through them. */
function readCourses({ columns, column, links, edges }: Strip, starts: readonly number[], boxes: Boxes): { courses: Course[]; heights: ReadonlyMap<Item, number> } {
  const room = { above: boxes.port, below: boxes.height - boxes.port, gap: boxes.rowGap, lane: LANE };
  const heights = new Map<Item, number>();
  starts.forEach((start, row) => {
    const end = starts[row + 1] ?? columns.length;
    for (const [item, height] of findHeights(columns.slice(start, end), links.slice(start, end - 1), room)) heights.set(item, height);
  });
  const byId = columns.map((items) => new Map(items.map((item) => [item.id, heights.get(item)!])));
  const courses = edges.map((edge): Course => {
    const backwards = column.get(edge[0])! > column.get(edge[1])!;
    const [left, right] = backwards ? [edge[1], edge[0]] : edge;
    const [first, last] = [column.get(left)!, column.get(right)!];
    const passing = byId.slice(first, last).map((items) => items.get(left)!);
    return { edge, first, heights: [...passing, byId[last]!.get(right)!], backwards };
  });
  return { courses, heights };
}

/** How many lines cross from each column into the next. */
function countLines({ columns, column, edges }: Strip): number[] {
  const sources = columns.slice(1).map(() => new Set<string>());
  for (const edge of edges) {
    const ends = [column.get(edge[0])!, column.get(edge[1])!];
    const left = ends[0]! < ends[1]! ? edge[0] : edge[1];
    for (let at = Math.min(...ends); at < Math.max(...ends); at++) sources[at]!.add(left);
  }
  return sources.map((ids) => ids.size);
}

function sourceOf(course: Course): string {
  return course.edge[course.backwards ? 1 : 0];
}

/**
 * First column of each row: as few rows as `most` columns a row allow; among those, where the fewest lines are cut, and
 * then the most even ones.
 */
export function cutRows(crossings: readonly number[], most: number): number[] {
  const count = crossings.length + 1;
  const rows = Math.ceil(count / most);
  let best: { cost: number; starts: number[] }[] = Array.from({ length: count + 1 }, (_, end) => ({ cost: end === 0 ? 0 : Infinity, starts: [] }));
  for (let row = 0; row < rows; row++) {
    const previous = best;
    best = previous.map((_, end) => {
      let found: { cost: number; starts: number[] } = { cost: Infinity, starts: [] };
      for (let start = Math.max(0, end - most); start < end; start++) {
        const before = previous[start]!;
        const cost = before.cost + (start === 0 ? 0 : (crossings[start - 1] ?? 0)) + 0.1 * (end - start - count / rows) ** 2;
        if (cost < found.cost) found = { cost, starts: [...before.starts, start] };
      }
      return found;
    });
  }
  return best[count]!.starts;
}

/** A line through corners, each of them rounded. */
export function roundedPath(points: readonly Point[]): string {
  const [start, ...rest] = points;
  if (start === undefined) return "";
  let path = `M${start.x} ${start.y}`;
  rest.forEach((point, i) => {
    const [before, after] = [points[i]!, rest[i + 1]];
    if (after === undefined) return (path += `L${point.x} ${point.y}`);
    const near = towards(point, before);
    const far = towards(point, after);
    path += `L${near.x} ${near.y}Q${point.x} ${point.y} ${far.x} ${far.y}`;
  });
  return path;
}

function towards(from: Point, to: Point): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const part = length > 0 ? Math.min(CORNER, length / 2) / length : 0;
  return { x: from.x + (to.x - from.x) * part, y: from.y + (to.y - from.y) * part };
}

/** From one height to another in the gap between two columns. */
function bend(from: Point, to: Point): string {
  if (from.y === to.y) return `L${to.x} ${to.y}`;
  const middle = (from.x + to.x) / 2;
  return `L${from.x} ${from.y}C${middle} ${from.y} ${middle} ${to.y} ${to.x} ${to.y}`;
}

/** Where columns and rows are, once it is known which columns share a row. */
class Page {
  readonly starts: readonly number[];
  readonly #pitch: number;
  /** Those whose line goes on in the next row, for each row: the lowest first. */
  readonly leaving: readonly (readonly string[])[];
  readonly #shift: readonly number[];
  readonly bottoms: readonly number[];
  readonly height: number;

  constructor(strip: Strip, heights: ReadonlyMap<Item, number>, courses: readonly Course[], starts: readonly number[], boxes: Boxes) {
    this.starts = starts;
    this.#pitch = boxes.width + boxes.columnGap;
    this.leaving = starts.map((_, row) => (row + 1 < starts.length ? leaving(courses, starts[row + 1]!) : []));
    const shift: number[] = [];
    const bottoms: number[] = [];
    let top = 0;
    starts.forEach((start, row) => {
      const items = strip.columns.slice(start, starts[row + 1]).flat();
      const low = Math.min(...items.map((item) => heights.get(item)! - (item.isCell ? boxes.port : LANE)));
      const high = Math.max(...items.map((item) => heights.get(item)! + (item.isCell ? boxes.height - boxes.port : LANE)));
      shift.push(top - low);
      bottoms.push(top + high - low);
      top += high - low + ROW_GAP + LANE * (this.leaving[row]!.length + 1);
    });
    this.#shift = shift;
    this.bottoms = bottoms;
    this.height = Math.ceil(bottoms.at(-1) ?? 0);
  }

  row(column: number): number {
    return this.starts.findLastIndex((start) => start <= column);
  }

  left(column: number): number {
    return MARGIN + (column - this.starts[this.row(column)]!) * this.#pitch;
  }

  y(column: number, height: number): number {
    return Math.round(height + this.#shift[this.row(column)]!);
  }
}

/** Sources of the lines that cross from the column before into this one, the lowest first. */
function leaving(courses: readonly Course[], column: number): string[] {
  const lowest = new Map<string, number>();
  for (const course of courses) {
    const step = column - 1 - course.first;
    if (step < 0 || step + 1 >= course.heights.length) continue;
    const source = sourceOf(course);
    lowest.set(source, Math.max(lowest.get(source) ?? -Infinity, course.heights[step]!));
  }
  return [...lowest].sort((a, b) => b[1] - a[1]).map(([source]) => source);
}

function drawWire(course: Course, page: Page, { width, inset }: Boxes): Wire {
  const last = course.heights.length - 1;
  const at = (step: number): { left: number; right: number; y: number } => {
    const column = course.first + step;
    const left = page.left(column);
    return { left, right: left + width, y: page.y(column, course.heights[step]!) };
  };
  const start = at(0);
  let path = `M${start.right - inset} ${start.y}L${start.right} ${start.y}`;
  for (let step = 0; step < last; step++) {
    const [here, next] = [at(step), at(step + 1)];
    const row = page.row(course.first + step);
    if (row === page.row(course.first + step + 1)) path += bend({ x: here.right, y: here.y }, { x: next.left, y: next.y });
    else path += around(page, row, sourceOf(course), { x: here.right, y: here.y }, { x: next.left, y: next.y });
    if (step + 1 < last) path += `L${next.right} ${next.y}`;
  }
  const end = at(last);
  path += `L${end.left + inset} ${end.y}`;
  return { edge: course.edge, path, end: course.backwards ? { x: start.right - inset, y: start.y } : { x: end.left + inset, y: end.y } };
}

/** Out at the right end of a row, and in at the left end of the next one. Lines keep their order, so none crosses another. */
function around(page: Page, row: number, source: string, from: Point, to: Point): string {
  const lines = page.leaving[row]!;
  const lane = lines.indexOf(source);
  const spacing = Math.min(LANE, (MARGIN - 8) / Math.max(lines.length, 1));
  const right = from.x + 6 + spacing * lane;
  const left = to.x - 8 - spacing * (lines.length - 1 - lane);
  const gutter = page.bottoms[row]! + ROW_GAP / 2 + LANE * (lane + 1) - 2;
  const corners = [from, { x: right, y: from.y }, { x: right, y: gutter }, { x: left, y: gutter }, { x: left, y: to.y }, to];
  return roundedPath(corners).replace(/^M/, "L");
}

/** Cut a strip into rows that fit into the width. */
export function wrapStrip(strip: Strip, boxes: Boxes, width: number): WrappedGraph {
  const count = strip.columns.length;
  if (count === 0) return { width: 0, height: 0, places: new Map(), wires: [] };
  const pitch = boxes.width + boxes.columnGap;
  const most = Math.max(1, Math.floor((width - 2 * MARGIN + boxes.columnGap) / pitch));
  const starts = cutRows(countLines(strip), most);
  const { courses, heights } = readCourses(strip, starts, boxes);
  const page = new Page(strip, heights, courses, starts, boxes);
  const places = new Map<string, Place>();
  strip.columns.forEach((items, column) => {
    for (const item of items) if (item.isCell) places.set(item.id, { x: page.left(column), y: page.y(column, heights.get(item)!) - boxes.port, row: page.row(column), column });
  });
  const longest = Math.max(...starts.map((start, row) => (starts[row + 1] ?? count) - start));
  return { width: longest * pitch - boxes.columnGap + 2 * MARGIN, height: page.height, places, wires: courses.map((course) => drawWire(course, page, boxes)) };
}
