/** Which pixels a question is about. Regions that follow the class carry no class of their own. */

import type { WireRegion } from "../api/types";
import type { Pixel, Size } from "./view";

export interface Box {
  /** Half-open: `bottom` and `right` are the first row and column that no longer belong to it. */
  top: number;
  left: number;
  bottom: number;
  right: number;
}

export type Region =
  | { kind: "everywhere" }
  | { kind: "predicted" }
  | { kind: "true" }
  | { kind: "errors" }
  | ({ kind: "pixel" } & Pixel)
  | ({ kind: "box" } & Box);

export type RegionKind = Region["kind"];

/** Class index of every pixel, row-major. */
export type Labels = ArrayLike<number>;

export interface Scene {
  size: Size;
  mask: Labels;
  truth: Labels | null;
}

export function toWire(region: Region, className: string): WireRegion {
  switch (region.kind) {
    case "predicted":
    case "true":
      return { kind: region.kind, class: className };
    case "errors":
      return { kind: "errors", class: className, error: "any" };
    default:
      return region;
  }
}

/** In the words of the question: “on …”. */
export function describeRegion(region: Region): string {
  switch (region.kind) {
    case "everywhere":
      return "the whole image";
    case "predicted":
      return "predicted pixels";
    case "true":
      return "true pixels";
    case "errors":
      return "wrong pixels";
    case "pixel":
      return `pixel ${region.row}, ${region.column}`;
    case "box":
      return `box ${region.bottom - region.top} × ${region.right - region.left}`;
  }
}

/** Which pixels are meant, to follow “12 pixels” or “No pixel”. */
export const BELONGING: Readonly<Record<RegionKind, (className: string) => string>> = {
  everywhere: () => "of the image",
  predicted: (className) => `predicted as ${className}`,
  true: (className) => `that truly are ${className}`,
  errors: (className) => `wrong about ${className}`,
  pixel: () => "chosen",
  box: () => "in the box",
};

/** True where the region's coordinates lie in the image. */
export function fits(region: Region, size: Size): boolean {
  if (region.kind === "pixel") return region.row < size.height && region.column < size.width;
  if (region.kind === "box") return region.bottom <= size.height && region.right <= size.width;
  return true;
}

/** The half-open box that holds both pixels. */
export function boxBetween(first: Pixel, second: Pixel): Box {
  return {
    top: Math.min(first.row, second.row),
    left: Math.min(first.column, second.column),
    bottom: Math.max(first.row, second.row) + 1,
    right: Math.max(first.column, second.column) + 1,
  };
}

/** One byte a pixel, 1 inside the region. */
export function regionPixels(region: Region, classIndex: number, scene: Scene): Uint8Array {
  const { size, mask, truth } = scene;
  const pixels = new Uint8Array(size.width * size.height);
  if (region.kind === "everywhere") return pixels.fill(1);
  if (region.kind === "pixel") {
    pixels[region.row * size.width + region.column] = 1;
  } else if (region.kind === "box") {
    for (let row = region.top; row < region.bottom; row++) pixels.fill(1, row * size.width + region.left, row * size.width + region.right);
  } else {
    for (let i = 0; i < pixels.length; i++) {
      const predicted = mask[i] === classIndex;
      const drawn = truth?.[i] === classIndex;
      pixels[i] = Number(region.kind === "predicted" ? predicted : region.kind === "true" ? drawn : truth !== null && predicted !== drawn);
    }
  }
  return pixels;
}

/** The smallest box around all pixels that are set, or null where none is. */
export function boundingBox(pixels: Uint8Array, size: Size): Box | null {
  const box = { top: size.height, left: size.width, bottom: 0, right: 0 };
  for (let i = 0; i < pixels.length; i++) {
    if (pixels[i] === 0) continue;
    const row = Math.floor(i / size.width);
    const column = i % size.width;
    box.top = Math.min(box.top, row);
    box.left = Math.min(box.left, column);
    box.bottom = Math.max(box.bottom, row + 1);
    box.right = Math.max(box.right, column + 1);
  }
  return box.bottom === 0 ? null : box;
}

/** The set pixel nearest to the centre of mass of all set pixels, or null where none is. */
export function centralPixel(pixels: Uint8Array, size: Size): Pixel | null {
  let [rows, columns, count] = [0, 0, 0];
  for (let i = 0; i < pixels.length; i++) {
    if (pixels[i] === 0) continue;
    rows += Math.floor(i / size.width);
    columns += i % size.width;
    count += 1;
  }
  let best: Pixel | null = null;
  let least = Infinity;
  for (let i = 0; i < pixels.length; i++) {
    if (pixels[i] === 0) continue;
    const [row, column] = [Math.floor(i / size.width), i % size.width];
    const distance = (row - rows / count) ** 2 + (column - columns / count) ** 2;
    if (distance < least) [best, least] = [{ row, column }, distance];
  }
  return best;
}
