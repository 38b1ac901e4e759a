/** Which pixels a question is about. Regions that follow the class carry no class of their own. */

import type { WireRegion } from "../api/types";
import { fillConnected, fillPolygon, type Point } from "./fill";
import { decodeRuns } from "./runs";
import type { Pixel, Size } from "./view";

export interface Box {
  /** Half-open: `bottom` and `right` are the first row and column that no longer belong to it. */
  top: number;
  left: number;
  bottom: number;
  right: number;
}

export const FOLLOWING = ["predicted", "everywhere", "true", "errors", "false-positive", "false-negative"] as const;
export type FollowingKind = (typeof FOLLOWING)[number];

/** A place in the image, whatever the class. */
export type Shape =
  | ({ kind: "pixel" } & Pixel)
  | ({ kind: "box" } & Box)
  | { kind: "polygon"; points: readonly Point[] }
  | ({ kind: "segment" } & Pixel)
  | ({ kind: "superpixel" } & Pixel)
  | { kind: "mask"; size: Size; runs: readonly number[] };

/** What the prediction or the true mask says about the class. */
export type Following = { [Kind in FollowingKind]: { kind: Kind } }[FollowingKind];

export type Simple = Following | Shape;

/** Parts are added and removed in turn; the first is always added. */
export interface Part {
  adds: boolean;
  region: Simple;
}

export type Region = Simple | { kind: "combined"; parts: readonly Part[] };
export type RegionKind = Region["kind"];

/** Into about how many superpixels an image is divided. */
export const SUPERPIXELS = 200;

/** Class index of every pixel, row-major. */
export type Labels = ArrayLike<number>;

export interface Scene {
  size: Size;
  mask: Labels;
  truth: Labels | null;
  /** Number of each pixel's superpixel; null while it isn't known. */
  patches?: Labels | null;
}

export function isFollowing(region: Region): region is Following {
  return (FOLLOWING as readonly string[]).includes(region.kind);
}

function partsOf(region: Region): readonly Part[] {
  return region.kind === "combined" ? region.parts : [{ adds: true, region }];
}

export function includesKind(region: Region, ...kinds: readonly RegionKind[]): boolean {
  return partsOf(region).some((part) => kinds.includes(part.region.kind));
}

export function needsTruth(region: Region): boolean {
  return includesKind(region, "true", "errors", "false-positive", "false-negative");
}

function simpleToWire(region: Simple, className: string): WireRegion {
  switch (region.kind) {
    case "predicted":
    case "true":
      return { kind: region.kind, class: className };
    case "errors":
      return { kind: "errors", class: className, error: "any" };
    case "false-positive":
    case "false-negative":
      return { kind: "errors", class: className, error: region.kind };
    case "polygon":
      return { kind: "polygon", points: region.points.map(([row, column]) => [row, column]) };
    case "superpixel":
      return { ...region, count: SUPERPIXELS };
    case "mask":
      return { kind: "mask", size: [region.size.height, region.size.width], runs: [...region.runs] };
    default:
      return region;
  }
}

export function toWire(region: Region, className: string): WireRegion {
  return partsOf(region)
    .map((part) => ({ adds: part.adds, wire: simpleToWire(part.region, className) }))
    .reduce<WireRegion | null>((whole, { adds, wire }) => {
      if (whole === null) return wire;
      if (!adds) return { kind: "and", regions: [whole, { kind: "not", region: wire }] };
      return { kind: "or", regions: whole.kind === "or" ? [...whole.regions, wire] : [whole, wire] };
    }, null)!;
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
    case "false-positive":
      return "false positives";
    case "false-negative":
      return "false negatives";
    case "pixel":
      return `pixel ${region.row}, ${region.column}`;
    case "box":
      return `box ${region.bottom - region.top} × ${region.right - region.left}`;
    case "segment":
      return `segment at ${region.row}, ${region.column}`;
    case "superpixel":
      return `superpixel at ${region.row}, ${region.column}`;
    case "polygon":
      return "the lassoed area";
    case "mask":
      return "the drawn area";
    case "combined":
      return `an area of ${region.parts.length} parts`;
  }
}

/** Which pixels are meant, to follow “12 pixels” or “No pixel”. */
export const BELONGING: Readonly<Record<RegionKind, (className: string) => string>> = {
  everywhere: () => "of the image",
  predicted: (className) => `predicted as ${className}`,
  true: (className) => `that truly are ${className}`,
  errors: (className) => `wrong about ${className}`,
  "false-positive": (className) => `predicted as ${className} and not it`,
  "false-negative": (className) => `of ${className} and not predicted so`,
  pixel: () => "chosen",
  box: () => "in the box",
  segment: () => "of one predicted segment",
  superpixel: () => "of one superpixel",
  polygon: () => "in the lasso",
  mask: () => "drawn",
  combined: () => "chosen",
};

function simpleFits(region: Simple, size: Size): boolean {
  if (region.kind === "pixel" || region.kind === "segment" || region.kind === "superpixel") {
    return region.row < size.height && region.column < size.width;
  }
  if (region.kind === "box") return region.bottom <= size.height && region.right <= size.width;
  return region.kind !== "mask" || (region.size.height === size.height && region.size.width === size.width);
}

/** True where the region's coordinates lie in the image. */
export function fits(region: Region, size: Size): boolean {
  return partsOf(region).every((part) => simpleFits(part.region, size));
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

function followingPixels(kind: FollowingKind, classIndex: number, { size, mask, truth }: Scene): Uint8Array {
  const pixels = new Uint8Array(size.width * size.height);
  if (kind === "everywhere") return pixels.fill(1);
  for (let i = 0; i < pixels.length; i++) {
    const predicted = mask[i] === classIndex;
    const drawn = truth?.[i] === classIndex;
    if (kind === "predicted") pixels[i] = Number(predicted);
    else if (kind === "true") pixels[i] = Number(drawn);
    else if (truth !== null && predicted !== drawn) pixels[i] = Number(kind === "errors" || predicted === (kind === "false-positive"));
  }
  return pixels;
}

function shapePixels(shape: Shape, { size, mask, patches }: Scene): Uint8Array {
  const { width, height } = size;
  if (shape.kind === "mask") return decodeRuns(shape.runs, width * height);
  const pixels = new Uint8Array(width * height);
  if (shape.kind === "pixel") pixels[shape.row * width + shape.column] = 1;
  else if (shape.kind === "segment") fillConnected(pixels, mask, shape, size);
  else if (shape.kind === "polygon") fillPolygon(pixels, shape.points, size);
  else if (shape.kind === "box") {
    for (let row = shape.top; row < shape.bottom; row++) pixels.fill(1, row * width + shape.left, row * width + shape.right);
  } else if (patches) {
    const patch = patches[shape.row * width + shape.column];
    for (let i = 0; i < pixels.length; i++) pixels[i] = Number(patches[i] === patch);
  }
  return pixels;
}

function simplePixels(region: Simple, classIndex: number, scene: Scene): Uint8Array {
  return isFollowing(region) ? followingPixels(region.kind, classIndex, scene) : shapePixels(region, scene);
}

/** One byte a pixel, 1 inside the region. */
export function regionPixels(region: Region, classIndex: number, scene: Scene): Uint8Array {
  const parts = partsOf(region);
  const whole = simplePixels(parts[0]!.region, classIndex, scene);
  for (const part of parts.slice(1)) {
    const pixels = simplePixels(part.region, classIndex, scene);
    for (let i = 0; i < whole.length; i++) if (pixels[i] === 1) whole[i] = Number(part.adds);
  }
  return whole;
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
