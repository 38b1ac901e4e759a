/** Shapes as pixels. Points are in image coordinates: the middle of the first pixel is (0.5, 0.5). */

import type { Pixel, Size } from "./view";

/** Row and column, with fractions. */
export type Point = readonly [row: number, column: number];

/** Set the pixels whose middles lie inside, where each edge that is crossed changes inside to outside or back. */
export function fillPolygon(pixels: Uint8Array, points: readonly Point[], { width, height }: Size): void {
  const changes = new Uint8Array((width + 1) * height);
  points.forEach((point, i) => {
    const next = points[(i + 1) % points.length]!;
    const [[top, from], [bottom, to]] = point[0] <= next[0] ? [point, next] : [next, point];
    const last = Math.min(Math.ceil(bottom - 0.5), height);
    for (let row = Math.max(Math.ceil(top - 0.5), 0); row < last; row++) {
      const crossing = from + (row + 0.5 - top) * ((to - from) / (bottom - top));
      const column = Math.min(Math.max(Math.ceil(crossing - 0.5), 0), width);
      changes[row * (width + 1) + column]! ^= 1;
    }
  });
  for (let row = 0; row < height; row++) {
    let inside = 0;
    for (let column = 0; column < width; column++) {
      inside ^= changes[row * (width + 1) + column]!;
      if (inside === 1) pixels[row * width + column] = 1;
    }
  }
}

function squaredDistance(row: number, column: number, [top, left]: Point, [bottom, right]: Point): number {
  const [down, across] = [bottom - top, right - left];
  const length = down * down + across * across;
  const along = length === 0 ? 0 : Math.min(Math.max(((row - top) * down + (column - left) * across) / length, 0), 1);
  return (row - top - along * down) ** 2 + (column - left - along * across) ** 2;
}

/** Set the pixels that a round brush covers on its way; always those under its middle. */
export function fillStroke(pixels: Uint8Array, points: readonly Point[], diameter: number, { width, height }: Size): void {
  const radius = diameter / 2;
  points.forEach((start, i) => {
    const end = points[i + 1] ?? start;
    const [above, below] = [Math.max(0, Math.floor(Math.min(start[0], end[0]) - radius)), Math.min(height - 1, Math.ceil(Math.max(start[0], end[0]) + radius))];
    const [before, after] = [Math.max(0, Math.floor(Math.min(start[1], end[1]) - radius)), Math.min(width - 1, Math.ceil(Math.max(start[1], end[1]) + radius))];
    for (let row = above; row <= below; row++) {
      for (let column = before; column <= after; column++) {
        if (squaredDistance(row + 0.5, column + 0.5, start, end) <= radius * radius) pixels[row * width + column] = 1;
      }
    }
    const [row, column] = [Math.floor(start[0]), Math.floor(start[1])];
    if (row >= 0 && row < height && column >= 0 && column < width) pixels[row * width + column] = 1;
  });
}

/** Set the pixels that hang together with one pixel by equal labels, corners included. */
export function fillConnected(pixels: Uint8Array, labels: ArrayLike<number>, { row, column }: Pixel, { width, height }: Size): void {
  const start = row * width + column;
  const label = labels[start];
  const pending = [start];
  pixels[start] = 1;
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    const [above, before] = [Math.floor(at / width) - 1, (at % width) - 1];
    for (let y = Math.max(above, 0); y <= Math.min(above + 2, height - 1); y++) {
      for (let x = Math.max(before, 0); x <= Math.min(before + 2, width - 1); x++) {
        const neighbour = y * width + x;
        if (pixels[neighbour] !== 0 || labels[neighbour] !== label) continue;
        pixels[neighbour] = 1;
        pending.push(neighbour);
      }
    }
  }
}

/** A line with the points left out that lie nearer than the tolerance to what remains (Ramer, Douglas, Peucker). */
export function simplify(points: readonly Point[], tolerance: number): Point[] {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || points.length < 3) return [...points];
  let [farthest, most] = [0, -1];
  for (let i = 1; i < points.length - 1; i++) {
    const distance = squaredDistance(points[i]![0], points[i]![1], first, last);
    if (distance > most) [farthest, most] = [i, distance];
  }
  if (most <= tolerance * tolerance) return [first, last];
  return [...simplify(points.slice(0, farthest + 1), tolerance).slice(0, -1), ...simplify(points.slice(farthest), tolerance)];
}
