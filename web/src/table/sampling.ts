/** How the cells along an axis are mixed when a map is resized, as the server does it (PyTorch's bilinear, anti-aliased where it shrinks). */

/** For each place of an axis, the first cell that it takes from, and the weights of that and the following ones. */
export interface Mix {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** `width` for each place, of which the first `counts` are used. */
  readonly weights: Float64Array;
  readonly width: number;
}

/** An axis of an image that was resized to `content` and padded to `input`, from `offset` on. */
export interface Axis {
  image: number;
  content: number;
  offset: number;
  input: number;
}

/** One row a place, one column a cell. */
export type Matrix = readonly Float64Array[];

/** Triangles about `count` positions over `cells` cells, `step` cells apart; wider where steps are larger than a cell. */
function triangles(count: number, cells: number, step: number, first: number): Matrix {
  const reach = Math.max(step, 1);
  return Array.from({ length: count }, (_, place) => {
    const position = Math.min(Math.max((place + 0.5) * step + first, 0.5), cells - 0.5);
    const row = Float64Array.from({ length: cells }, (__, cell) => Math.max(0, 1 - Math.abs(cell + 0.5 - position) / reach));
    const sum = row.reduce((total, weight) => total + weight, 0);
    return row.map((weight) => weight / sum);
  });
}

/** What resizing does along an axis. */
export function resizing(from: number, to: number): Matrix {
  return triangles(to, from, from / to, 0);
}

/** What brings a map of `cells` over the whole input to the pixels of the image. */
export function toImage(axis: Axis, cells: number): Matrix {
  const scale = cells / axis.input;
  return triangles(axis.image, cells, (axis.content / axis.image) * scale, axis.offset * scale);
}

/** For each pixel of the image, the logits whose sum over a region it is part of: the transpose of resizing logits to the input. */
export function toLogits(axis: Axis, logits: number): Matrix {
  const placed = resizing(axis.image, axis.content);
  const grown = resizing(logits, axis.input);
  const spread = Array.from({ length: axis.image }, () => new Float64Array(logits));
  placed.forEach((pixels, index) => {
    const cells = grown[index + axis.offset]!;
    pixels.forEach((share, pixel) => {
      if (share === 0) return;
      for (let cell = 0; cell < logits; cell++) spread[pixel]![cell]! += share * cells[cell]!;
    });
  });
  return spread;
}

/** The same without its zeros. */
export function packed(matrix: Matrix): Mix {
  const ranges = matrix.map((row) => {
    const start = row.findIndex((weight) => weight !== 0);
    return start === -1 ? ([0, 0] as const) : ([start, row.findLastIndex((weight) => weight !== 0) + 1 - start] as const);
  });
  const width = Math.max(...ranges.map(([, count]) => count));
  const weights = new Float64Array(matrix.length * width);
  ranges.forEach(([start, count], place) => weights.set(matrix[place]!.subarray(start, start + count), place * width));
  return { starts: Int32Array.from(ranges, ([start]) => start), counts: Int32Array.from(ranges, ([, count]) => count), weights, width };
}
