/** What a stroke of a tool makes of a region. */

import { isFollowing, regionPixels, type Part, type Region, type Scene, type Shape } from "./region";
import { encodeRuns } from "./runs";
import type { Size } from "./view";

export const OPERATIONS = ["add", "remove", "replace"] as const;
export type Operation = (typeof OPERATIONS)[number];

/** A region of more parts becomes one mask, which is shorter by then. */
const MOST_PARTS = 12;

export function maskOf(pixels: Uint8Array, size: Size): Shape {
  return { kind: "mask", size, runs: encodeRuns(pixels) };
}

function same(first: Part, second: Part): boolean {
  return JSON.stringify(first) === JSON.stringify(second);
}

/** The region after a stroke. Drawing begins anew where the region only followed the class; removing takes away from either. */
export function combine(region: Region, operation: Operation, shape: Shape, classIndex: number, scene: Scene): Region {
  if (operation === "replace" || (operation === "add" && isFollowing(region))) return shape;
  const before: readonly Part[] = region.kind === "combined" ? region.parts : [{ adds: true, region }];
  const part: Part = { adds: operation === "add", region: shape };
  if (part.adds && before.some((other) => same(other, part)) && before.every((other) => other.adds)) return region;
  const parts = [...before.filter((other) => !same(other, part)), part];
  const combined: Region = { kind: "combined", parts };
  const masksOnly = parts.every((other) => other.region.kind === "mask");
  return masksOnly || parts.length > MOST_PARTS ? maskOf(regionPixels(combined, classIndex, scene), scene.size) : combined;
}
