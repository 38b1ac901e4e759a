/** A graph laid out as one long strip, cut into rows like lines of text. Coordinates are CSS pixels. */

import type { Edge } from "./graph";

export interface Point {
  x: number;
  y: number;
}

/** What a layout from left to right found: all boxes equally large, in columns. */
export interface Strip {
  /** Centre of each box. */
  boxes: ReadonlyMap<string, Point>;
  edges: readonly { edge: Edge; points: readonly Point[] }[];
  box: { width: number; height: number };
  /** Where lines begin and end: how far below the centre of a box, and how far inside its edges. */
  port: number;
  inset: number;
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

/** Height of a polyline, whose x never falls, at x. */
function heightAt(points: readonly Point[], x: number): number {
  const next = points.findIndex((point) => point.x >= x);
  const [after, before] = [points[next] ?? points.at(-1)!, points[Math.max(next - 1, 0)]!];
  const part = after.x > before.x ? (x - before.x) / (after.x - before.x) : 0;
  return next < 0 ? after.y : before.y + (after.y - before.y) * part;
}

function readCourses(strip: Strip, columns: readonly number[]): Course[] {
  return strip.edges.map(({ edge, points }) => {
    const [from, to] = [strip.boxes.get(edge[0])!, strip.boxes.get(edge[1])!];
    const backwards = from.x > to.x;
    const [left, right] = backwards ? [to, from] : [from, to];
    const rising = backwards ? points.toReversed() : points;
    const first = columns.indexOf(left.x);
    const last = columns.indexOf(right.x);
    const heights = columns.slice(first, last + 1).map((x, i) => {
      if (i === 0) return left.y + strip.port;
      return i === last - first ? right.y + strip.port : heightAt(rising, x);
    });
    return { edge, first, heights, backwards };
  });
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
  readonly #strip: Strip;
  readonly #pitch: number;
  /** Those whose line goes on in the next row, for each row: the lowest first. */
  readonly leaving: readonly (readonly string[])[];
  readonly #shift: readonly number[];
  readonly bottoms: readonly number[];
  readonly height: number;

  constructor(strip: Strip, columns: readonly number[], courses: readonly Course[], starts: readonly number[], pitch: number) {
    this.starts = starts;
    this.#strip = strip;
    this.#pitch = pitch;
    this.leaving = starts.map((_, row) => (row + 1 < starts.length ? leaving(courses, starts[row + 1]!) : []));
    const shift: number[] = [];
    const bottoms: number[] = [];
    let top = 0;
    starts.forEach((_, row) => {
      const [low, high] = this.#extent(row, columns, courses);
      shift.push(top - low);
      bottoms.push(top + high - low);
      top += high - low + ROW_GAP + LANE * (this.leaving[row]!.length + 1);
    });
    this.#shift = shift;
    this.bottoms = bottoms;
    this.height = bottoms.at(-1) ?? 0;
  }

  row(column: number): number {
    return this.starts.findLastIndex((start) => start <= column);
  }

  left(column: number): number {
    return MARGIN + (column - this.starts[this.row(column)]!) * this.#pitch;
  }

  y(column: number, height: number): number {
    return Math.round((height + this.#shift[this.row(column)]!) * 2) / 2;
  }

  #extent(row: number, columns: readonly number[], courses: readonly Course[]): [number, number] {
    const half = this.#strip.box.height / 2;
    const inside = (column: number): boolean => this.row(column) === row;
    let [low, high] = [Infinity, -Infinity];
    for (const { x, y } of this.#strip.boxes.values()) if (inside(columns.indexOf(x))) [low, high] = [Math.min(low, y - half), Math.max(high, y + half)];
    for (const { first, heights } of courses) {
      heights.forEach((y, i) => {
        if (inside(first + i)) [low, high] = [Math.min(low, y - LANE), Math.max(high, y + LANE)];
      });
    }
    return [low, high];
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

function drawWire(course: Course, page: Page, { box, inset }: Strip): Wire {
  const last = course.heights.length - 1;
  const at = (step: number): { left: number; right: number; y: number } => {
    const column = course.first + step;
    const left = page.left(column);
    return { left, right: left + box.width, y: page.y(column, course.heights[step]!) };
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
export function wrapStrip(strip: Strip, width: number, gap: number): WrappedGraph {
  const columns = [...new Set([...strip.boxes.values()].map(({ x }) => x))].sort((a, b) => a - b);
  if (columns.length === 0) return { width: 0, height: 0, places: new Map(), wires: [] };
  const pitch = strip.box.width + gap;
  const most = Math.max(1, Math.floor((width - 2 * MARGIN + gap) / pitch));
  const courses = readCourses(strip, columns);
  const crossings = columns.slice(1).map((_, i) => leaving(courses, i + 1).length);
  const starts = cutRows(crossings, most);
  const page = new Page(strip, columns, courses, starts, pitch);
  const places = new Map<string, Place>();
  for (const [id, { x, y }] of strip.boxes) {
    const column = columns.indexOf(x);
    places.set(id, { x: page.left(column), y: page.y(column, y) - strip.box.height / 2, row: page.row(column), column });
  }
  const longest = Math.max(...starts.map((start, row) => (starts[row + 1] ?? columns.length) - start));
  return { width: longest * pitch - gap + 2 * MARGIN, height: page.height, places, wires: courses.map((course) => drawWire(course, page, strip)) };
}
