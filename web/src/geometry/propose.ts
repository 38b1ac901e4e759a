/** Places that are put forward before one is chosen, and one name for each of them. */

import { boundingBox, boxBetween, centralPixel, regionPixels, type Scene, type Shape } from "./region";
import type { Pixel } from "./view";

export type ProposedKind = "pixel" | "box" | "segment" | "superpixel";

/** A region of the kind at a pixel, or in the middle of the predicted class, or of the image where there is none. */
export function proposal(kind: ProposedKind, pixel: Pixel | null, classIndex: number, scene: Scene): Shape {
  const { size } = scene;
  const predicted = regionPixels({ kind: "predicted" }, classIndex, scene);
  if (kind !== "box") {
    const middle = { row: Math.floor(size.height / 2), column: Math.floor(size.width / 2) };
    return { kind, ...(pixel ?? centralPixel(predicted, size) ?? middle) };
  }
  const quarter = { row: Math.floor(size.height / 4), column: Math.floor(size.width / 4) };
  const opposite = { row: size.height - 1 - quarter.row, column: size.width - 1 - quarter.column };
  return { kind, ...(boundingBox(predicted, size) ?? boxBetween(quarter, opposite)) };
}

/** The same area, named by its first pixel, so that all its pixels ask one question. */
export function canonical(shape: Shape, scene: Scene): Shape {
  if (shape.kind !== "segment" && shape.kind !== "superpixel") return shape;
  const first = regionPixels(shape, -1, scene).indexOf(1);
  if (first < 0) return shape;
  return { kind: shape.kind, row: Math.floor(first / scene.size.width), column: first % scene.size.width };
}
