/** Numbers → RGBA bytes, four a pixel, ready for a canvas. */

import type { Rgb } from "./hex";
import type { Range } from "./scale";

export type Bytes = Uint8ClampedArray<ArrayBuffer>;

/** Importance through a colour table; what isn't a number, or is nearer to zero than `least`, stays transparent. */
export function paintValues(values: ArrayLike<number>, range: Range, table: readonly Rgb[], least = 0): Bytes {
  const pixels = new Uint32Array(values.length);
  const colours = Uint32Array.from(table, packed);
  const last = table.length - 1;
  const factor = range.high > range.low ? last / (range.high - range.low) : 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    // Also true for what isn't a number.
    if (!(value >= least || value <= -least)) continue;
    const step = (value - range.low) * factor + 0.5;
    pixels[i] = colours[step < 0 ? 0 : step > last ? last : Math.trunc(step)]!;
  }
  return new Uint8ClampedArray(pixels.buffer);
}

/** An opaque colour as one number, whose bytes in memory are red, green, blue and opacity. */
function packed([red, green, blue]: Rgb): number {
  return red | (green << 8) | (blue << 16) | (255 << 24);
}

/** Class indices in their classes' colours; an index without a class stays transparent. */
export function paintLabels(labels: ArrayLike<number>, colours: readonly Rgb[]): Bytes {
  const bytes = new Uint8ClampedArray(labels.length * 4);
  for (let i = 0; i < labels.length; i++) {
    const colour = colours[labels[i]!];
    if (colour === undefined) continue;
    bytes[i * 4] = colour[0];
    bytes[i * 4 + 1] = colour[1];
    bytes[i * 4 + 2] = colour[2];
    bytes[i * 4 + 3] = 255;
  }
  return bytes;
}

/** A veil over what is right, seen on light and dark alike. */
const RIGHT = [128, 128, 128, 56] as const;

/** Pixels where prediction and truth differ in the truth's colour, all others under a thin grey veil. */
export function paintErrors(mask: ArrayLike<number>, truth: ArrayLike<number>, colours: readonly Rgb[]): Bytes {
  const bytes = paintLabels(truth, colours);
  for (let i = 0; i < mask.length; i++) if (mask[i] === truth[i]) bytes.set(RIGHT, i * 4);
  return bytes;
}

/** A picture's bytes in grey (Rec. 709 luma), so that a map laid over it keeps its own colours. */
export function toGrey(picture: Uint8ClampedArray): Bytes {
  const bytes = new Uint8ClampedArray(picture.length);
  for (let i = 0; i < picture.length; i += 4) {
    const grey = 0.2126 * picture[i]! + 0.7152 * picture[i + 1]! + 0.0722 * picture[i + 2]!;
    bytes.fill(grey, i, i + 3);
    bytes[i + 3] = picture[i + 3]!;
  }
  return bytes;
}
