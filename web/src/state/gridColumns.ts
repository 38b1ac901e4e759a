/** Which layers a grid shows where none were chosen. */

import type { Layer } from "../api/types";

/** More columns than this don't fit beside each other. */
const MOST = 10;
/** So many, and the usual one. */
const FEW = 4;

/** About `count` entries spread evenly, both ends among them. */
function spread<T>(entries: readonly T[], count: number): T[] {
  if (entries.length <= count) return [...entries];
  return Array.from({ length: count }, (_, i) => entries[Math.round((i * (entries.length - 1)) / (count - 1))]!);
}

/** A few layers that stand for the network, the input first: each of them costs a question for each method. */
export function fewLayers(layers: readonly Layer[], usual: string): string[] {
  // What comes behind the usual one is mostly the classifier, whose map is the answer itself.
  const before = layers.slice(0, layers.findIndex(({ name }) => name === usual) + 1 || undefined);
  const ends = spreadLayers(before, usual);
  const chosen = new Set(spread(ends, FEW));
  return ["input", ...ends.filter((name) => chosen.has(name) || name === usual)];
}

/** The last layer of each size, which is where a stage of the network ends, and the one that questions are asked at first. */
export function spreadLayers(layers: readonly Layer[], usual: string): string[] {
  const ends = layers.filter((layer, i) => {
    const next = layers[i + 1];
    return next === undefined || next.height !== layer.height || next.width !== layer.width;
  });
  // A network of one size throughout has no stages to tell apart.
  const pool = ends.length > 2 ? ends : layers;
  const chosen = new Set(spread(pool.map(({ name }) => name), MOST - 1));
  return layers.map(({ name }) => name).filter((name) => chosen.has(name) || name === usual);
}
