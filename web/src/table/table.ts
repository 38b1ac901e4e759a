/** A layer's table, and what follows from it for every question: sums, without the network. */

import type { NpzFile } from "../api/npz";
import type { TableDescription } from "../api/types";
import { countPixels } from "../geometry/outline";
import { packed, toImage, toLogits, type Axis, type Mix } from "./sampling";

export interface Table {
  description: TableDescription;
  classes: number;
  /** Channel × class × logit for weights, class × logit for contributions. */
  values: Float32Array;
  /** Channel × place of the layer; null for contributions. */
  activation: Float32Array | null;
  /** Class × logit. */
  logits: Float32Array;
}

/** How a table's image, logits and maps lie on each other. */
export interface Links {
  rowsToLogits: Mix;
  columnsToLogits: Mix;
  rowsToImage: Mix;
  columnsToImage: Mix;
}

export interface TableQuestion {
  class: number;
  /** The contrast class. */
  against: number | null;
  /** One byte a pixel of the image, 1 inside the region. */
  pixels: Uint8Array;
  /** Keep only evidence for the class. */
  rectified: boolean;
}

export interface TableAnswer {
  /** Importance of each pixel of the image. */
  values: Float32Array;
  /** The score that is explained, in logits. */
  score: number;
  /** Pixels asked about. */
  count: number;
  /** Rows and columns of the map at the layer's own resolution. */
  size: readonly [number, number];
}

/** Undo the scales that kept small numbers' digits on the way. */
function unscaled(arrays: NpzFile["arrays"], name: string, scalesName: string): Float32Array {
  const values = arrays.get(name)?.data;
  if (!(values instanceof Float32Array)) throw new Error("The table is incomplete.");
  const scales = arrays.get(scalesName)?.data ?? [1];
  const size = values.length / scales.length;
  for (let part = 0; part < scales.length; part++) {
    const scale = scales[part]!;
    for (let i = part * size; i < (part + 1) * size; i++) values[i]! /= scale;
  }
  return values;
}

export function readTable({ arrays, description: described }: NpzFile): Table {
  const logits = arrays.get("logits");
  if (!(logits?.data instanceof Float32Array) || described === null) throw new Error("The table is incomplete.");
  const description = described as TableDescription;
  return {
    description,
    classes: logits.shape[0]!,
    values: unscaled(arrays, "values", "scales"),
    activation: description.kind === "weights" ? unscaled(arrays, "activation", "activation_scales") : null,
    logits: logits.data,
  };
}

export function linksOf({ image, content, offset, input, logits, map }: TableDescription): Links {
  const axis = (index: 0 | 1): Axis => ({ image: image[index], content: content[index], offset: offset[index], input: input[index] });
  return {
    rowsToLogits: packed(toLogits(axis(0), logits[0])),
    columnsToLogits: packed(toLogits(axis(1), logits[1])),
    rowsToImage: packed(toImage(axis(0), map[0])),
    columnsToImage: packed(toImage(axis(1), map[1])),
  };
}

/** Add a place's weights to the cells that it is mixed of. */
function addMixed(into: Float64Array, { starts, counts, weights, width }: Mix, place: number): void {
  const start = starts[place]!;
  for (let i = 0; i < counts[place]!; i++) into[start + i]! += weights[place * width + i]!;
}

/** How the mean logit over a region changes with each logit, row × column; null where the region is empty. */
export function logitShares(pixels: Uint8Array, links: Links, description: TableDescription): Float32Array | null {
  const [height, width] = description.image;
  const [rows, columns] = description.logits;
  const shares = new Float64Array(rows * columns);
  const line = new Float64Array(columns);
  // Most regions are small, and finding the next pixel is fast.
  for (let first = pixels.indexOf(1); first !== -1 && first < height * width; ) {
    const row = Math.floor(first / width);
    const end = (row + 1) * width;
    line.fill(0);
    for (let pixel = first; pixel < end; pixel++) if (pixels[pixel] === 1) addMixed(line, links.columnsToLogits, pixel - row * width);
    first = pixels.indexOf(1, end);
    for (let column = 0; column < columns; column++) {
      if (line[column] !== 0) addColumn(shares, column, columns, links.rowsToLogits, row, line[column]!);
    }
  }
  const sum = shares.reduce((total, share) => total + share, 0);
  return sum > 0 ? Float32Array.from(shares, (share) => share / sum) : null;
}

function addColumn(into: Float64Array, column: number, columns: number, mix: Mix, place: number, factor: number): void {
  const start = mix.starts[place]!;
  for (let i = 0; i < mix.counts[place]!; i++) into[(start + i) * columns + column]! += factor * mix.weights[place * mix.width + i]!;
}

/** Resize a map of the layer to the pixels of the image. */
export function imageOf(map: Float32Array, links: Links, { image, map: size }: TableDescription): Float32Array {
  const [height, width] = image;
  const [rows, columns] = size;
  const wide = new Float32Array(rows * width);
  const { starts, counts, weights, width: most } = links.columnsToImage;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < width; column++) {
      let sum = 0;
      const from = row * columns + starts[column]!;
      for (let i = 0; i < counts[column]!; i++) sum += weights[column * most + i]! * map[from + i]!;
      wide[row * width + column] = sum;
    }
  }
  const values = new Float32Array(height * width);
  const mix = links.rowsToImage;
  for (let row = 0; row < height; row++) {
    for (let i = 0; i < mix.counts[row]!; i++) {
      const weight = mix.weights[row * mix.width + i]!;
      const from = (mix.starts[row]! + i) * width;
      for (let column = 0; column < width; column++) values[row * width + column]! += weight * wide[from + column]!;
    }
  }
  return values;
}

/** The parts of a sum over the logits: of each class asked about, with its sign. */
function signed({ class: index, against }: TableQuestion): readonly (readonly [sign: number, index: number])[] {
  return against === null ? [[1, index]] : [[1, index], [-1, against]];
}

/** The weight of each channel. */
function weightsOf(table: Table, channels: number, shares: Float32Array, question: TableQuestion): Float64Array {
  const places = shares.length;
  const weights = new Float64Array(channels);
  const asked = [...shares.keys()].filter((place) => shares[place] !== 0);
  for (const [sign, index] of signed(question)) {
    for (let channel = 0; channel < channels; channel++) {
      const from = (channel * table.classes + index) * places;
      for (const place of asked) weights[channel]! += sign * shares[place]! * table.values[from + place]!;
    }
  }
  return weights;
}

/** The sum of weighted channels of `size` places each. Four at a time: the sum is read and written a quarter as often. */
export function weightedSum(channels: Float32Array, weights: Float64Array, size: number): Float32Array {
  const map = new Float32Array(size);
  for (let first = 0; first < weights.length; first += 4) {
    // Beyond the last channel, that one again with no weight.
    const channel = (i: number): Float32Array => channels.subarray(Math.min(first + i, weights.length - 1) * size).subarray(0, size);
    const [a, b, c, d] = [channel(0), channel(1), channel(2), channel(3)];
    const [u, v, w, x] = [weights[first]!, weights[first + 1] ?? 0, weights[first + 2] ?? 0, weights[first + 3] ?? 0];
    for (let i = 0; i < size; i++) map[i]! += u * a[i]! + v * b[i]! + w * c[i]! + x * d[i]!;
  }
  return map;
}

function mapOfWeights(table: Table, activation: Float32Array, shares: Float32Array, question: TableQuestion): Float32Array {
  const size = table.description.map[0] * table.description.map[1];
  return weightedSum(activation, weightsOf(table, activation.length / size, shares, question), size);
}

function mapOfContributions(table: Table, shares: Float32Array, question: TableQuestion): Float32Array {
  const map = new Float32Array(shares.length);
  for (const [sign, index] of signed(question)) {
    const from = index * shares.length;
    for (let place = 0; place < map.length; place++) map[place]! += sign * shares[place]! * table.values[from + place]!;
  }
  return map;
}

/** The map of a mean logit over a region; null where nothing there depends on the layer. */
export function answerOf(table: Table, links: Links, question: TableQuestion): TableAnswer | null {
  const shares = logitShares(question.pixels, links, table.description);
  if (shares === null) return null;
  const map = table.activation ? mapOfWeights(table, table.activation, shares, question) : mapOfContributions(table, shares, question);
  if (!map.some((value) => value !== 0)) return null;
  if (question.rectified) for (let i = 0; i < map.length; i++) if (map[i]! < 0) map[i] = 0;
  let score = 0;
  for (const [sign, index] of signed(question)) {
    shares.forEach((share, place) => (score += sign * share * table.logits[index * shares.length + place]!));
  }
  return { values: imageOf(map, links, table.description), score, count: countPixels(question.pixels), size: table.description.map };
}
