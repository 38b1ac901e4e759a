/** Large arrays and pictures made small, for small places. */

import type { Size } from "../geometry/view";
import { toGrey } from "./paint";
import { toCanvas } from "./canvas";

/** The size with the same proportions whose longest side is at most this long. */
export function fittingSize(size: Size, longest: number): Size {
  const factor = Math.min(1, longest / Math.max(size.width, size.height));
  return { width: Math.max(1, Math.round(size.width * factor)), height: Math.max(1, Math.round(size.height * factor)) };
}

/** Means over the pixels that fall into each small one. */
export function shrinkValues(values: ArrayLike<number>, from: Size, to: Size): Float32Array {
  if (from.width === to.width && from.height === to.height) return Float32Array.from(values);
  const [sums, counts] = [new Float64Array(to.width * to.height), new Uint32Array(to.width * to.height)];
  for (let row = 0; row < from.height; row++) {
    const start = Math.floor((row * to.height) / from.height) * to.width;
    for (let column = 0; column < from.width; column++) {
      const target = start + Math.floor((column * to.width) / from.width);
      sums[target]! += values[row * from.width + column]!;
      counts[target]! += 1;
    }
  }
  return Float32Array.from(sums, (sum, i) => sum / counts[i]!);
}

/** The picture small and without its colours. */
export function shrinkToGrey(picture: ImageBitmap, longest: number): HTMLCanvasElement {
  const size = fittingSize(picture, longest);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [size.width, size.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) return canvas;
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, size.width, size.height);
  return toCanvas(toGrey(context.getImageData(0, 0, size.width, size.height).data), size);
}
