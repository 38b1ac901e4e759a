/** A stroke while it is drawn, and the shape that comes of it. */

import { fillStroke, simplify, type Point } from "./fill";
import { boxBetween, type Box, type Shape } from "./region";
import { maskOf } from "./strokes";
import { nearestPixel, type Size } from "./view";

export interface Sketch {
  tool: "box" | "lasso" | "brush";
  points: readonly Point[];
  /** Width of the brush in pixels of the image. */
  diameter: number;
  removes: boolean;
}

/** A lasso's corners may lie this many pixels beside the hand's way. */
const SLACK = 0.4;

export function sketchedBox(points: readonly Point[], size: Size): Box {
  const [first, last] = [points[0]!, points.at(-1)!];
  return boxBetween(nearestPixel(size, ...first), nearestPixel(size, ...last));
}

function clamped([row, column]: Point, { width, height }: Size): Point {
  const tenths = (value: number, most: number): number => Math.round(Math.min(Math.max(value, 0), most) * 10) / 10;
  return [tenths(row, height), tenths(column, width)];
}

export function sketchedShape({ tool, points, diameter }: Sketch, size: Size): Shape | null {
  if (points.length === 0) return null;
  if (tool === "box") return { kind: "box", ...sketchedBox(points, size) };
  if (tool === "lasso") {
    const corners = simplify(points.map((point) => clamped(point, size)), SLACK);
    return corners.length < 3 ? null : { kind: "polygon", points: corners };
  }
  const pixels = new Uint8Array(size.width * size.height);
  fillStroke(pixels, points, diameter, size);
  return maskOf(pixels, size);
}
