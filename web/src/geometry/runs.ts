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

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Runs as text for an address. Rows resemble each other, so each length is told by its difference to the one before last. */
export function packRuns(runs: readonly number[]): string {
  let text = "";
  runs.forEach((length, i) => {
    const difference = length - (runs[i - 2] ?? 0);
    let rest = difference < 0 ? -2 * difference - 1 : 2 * difference;
    // Five bits a digit, the lowest first; the sixth says that more follow.
    for (; rest >= 32; rest = Math.floor(rest / 32)) text += DIGITS[32 + (rest % 32)];
    text += DIGITS[rest];
  });
  return text;
}

/** The runs that packRuns() wrote, or null where the text is none. */
export function unpackRuns(text: string): number[] | null {
  const runs: number[] = [];
  let [value, unit] = [0, 1];
  for (const character of text) {
    const digit = DIGITS.indexOf(character);
    if (digit < 0) return null;
    value += (digit % 32) * unit;
    unit *= 32;
    if (digit >= 32) continue;
    const length = (value % 2 === 1 ? -(value + 1) / 2 : value / 2) + (runs.at(-2) ?? 0);
    if (!Number.isSafeInteger(length) || length < 0) return null;
    runs.push(length);
    [value, unit] = [0, 1];
  }
  return unit === 1 && runs.length > 0 ? runs : null;
}
