/** The layers' small maps, one by one. */

import type { LayerMaps } from "../../api/client";

export interface SmallMap {
  width: number;
  height: number;
  /** Row-major, raw. */
  values: Float32Array;
  /** Largest magnitude of the whole map, which the small one may miss. */
  limit: number;
  signed: boolean;
}

/** A layer's map, or why there is none. */
export type LayerAnswer = { map: SmallMap; reason: null } | { map: null; reason: string };

export function readAnswers({ description, values }: LayerMaps): Map<string, LayerAnswer> {
  const [, height = 0, width = 0] = values.shape;
  const data = values.data as Float32Array;
  return new Map(
    description.layers.map(({ name, limit, reason }, i): [string, LayerAnswer] => {
      if (limit === null) return [name, { map: null, reason: reason ?? "There is no map of this layer." }];
      const own = data.subarray(i * width * height, (i + 1) * width * height);
      return [name, { map: { width, height, values: own, limit, signed: description.signed }, reason: null }];
    }),
  );
}

/** “64 · 56 × 56”: channels, height, width. */
export function describeSize(layer: { channels: number; height: number; width: number }): string {
  return `${layer.channels} · ${layer.height}×${layer.width}`;
}
