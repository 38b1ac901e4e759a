/** Run-length code of a mask: lengths over the row-major pixels, 0s and 1s by turns, starting with 0s. */

export function encodeRuns(pixels: Uint8Array): number[] {
  const runs: number[] = [];
  let value = 0;
  let length = 0;
  for (const pixel of pixels) {
    if (Number(pixel !== 0) !== value) {
      runs.push(length);
      value = 1 - value;
      length = 0;
    }
    length += 1;
  }
  runs.push(length);
  return runs;
}

export function decodeRuns(runs: readonly number[], count: number): Uint8Array {
  const total = runs.reduce((sum, length) => sum + length, 0);
  if (total !== count) throw new Error(`The runs cover ${total} pixels, but the mask has ${count}.`);
  const pixels = new Uint8Array(count);
  let start = 0;
  runs.forEach((length, i) => {
    if (i % 2 === 1) pixels.fill(1, start, start + length);
    start += length;
  });
  return pixels;
}
