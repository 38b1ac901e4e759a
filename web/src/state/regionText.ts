/** A region as text for the address, and back. */

import type { Point } from "../geometry/fill";
import { FOLLOWING, type FollowingKind, type Part, type Region, type Simple } from "../geometry/region";
import { packRuns, unpackRuns } from "../geometry/runs";

const REMOVED = "-";
const BETWEEN = ";";

function encodeSimple(region: Simple): string {
  switch (region.kind) {
    case "pixel":
    case "segment":
    case "superpixel":
      return `${region.kind}:${region.row},${region.column}`;
    case "box":
      return `box:${region.top},${region.left},${region.bottom},${region.right}`;
    case "polygon":
      return `polygon:${region.points.flat().join(",")}`;
    case "mask":
      return `mask:${region.size.height},${region.size.width}:${packRuns(region.runs)}`;
    default:
      return region.kind;
  }
}

function decodeNumbers(text: string | undefined, pattern: RegExp): number[] | null {
  const parts = text?.split(",") ?? [];
  return parts.length > 0 && parts.every((part) => pattern.test(part)) ? parts.map(Number) : null;
}

function decodePolygon(text: string | undefined): Simple | null {
  const numbers = decodeNumbers(text, /^-?\d+(\.\d+)?$/);
  if (numbers === null || numbers.length < 6 || numbers.length % 2 === 1) return null;
  const points = Array.from({ length: numbers.length / 2 }, (_, i): Point => [numbers[2 * i]!, numbers[2 * i + 1]!]);
  return { kind: "polygon", points };
}

function decodeMask(place: string | undefined, packed: string | undefined): Simple | null {
  const [height, width] = decodeNumbers(place, /^\d+$/) ?? [];
  const runs = unpackRuns(packed ?? "");
  if (height === undefined || width === undefined || runs === null) return null;
  const covered = runs.reduce((sum, length) => sum + length, 0);
  return covered === height * width ? { kind: "mask", size: { width, height }, runs } : null;
}

function decodeSimple(text: string): Simple | null {
  const following = FOLLOWING.find((kind): kind is FollowingKind => kind === text);
  if (following) return { kind: following };
  const [kind, place, packed] = text.split(":");
  if (kind === "polygon") return decodePolygon(place);
  if (kind === "mask") return decodeMask(place, packed);
  const [first, second, third, fourth] = decodeNumbers(place, /^\d+$/) ?? [];
  if (first === undefined || second === undefined) return null;
  if (kind === "pixel" || kind === "segment" || kind === "superpixel") return { kind, row: first, column: second };
  if (kind !== "box" || third === undefined || fourth === undefined || third <= first || fourth <= second) return null;
  return { kind: "box", top: first, left: second, bottom: third, right: fourth };
}

export function encodeRegion(region: Region): string {
  if (region.kind !== "combined") return encodeSimple(region);
  return region.parts.map((part) => (part.adds ? "" : REMOVED) + encodeSimple(part.region)).join(BETWEEN);
}

export function decodeRegion(text: string): Region | null {
  const parts: Part[] = [];
  for (const piece of text.split(BETWEEN)) {
    const adds = !piece.startsWith(REMOVED);
    const region = decodeSimple(adds ? piece : piece.slice(REMOVED.length));
    if (region === null) return null;
    parts.push({ adds, region });
  }
  if (parts[0]?.adds !== true) return null;
  return parts.length === 1 ? parts[0].region : { kind: "combined", parts };
}
