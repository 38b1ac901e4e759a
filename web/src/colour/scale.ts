/** Numbers ↔ places on the scale: the range that is shown, its ticks, and how they are written. */

export interface Range {
  low: number;
  high: number;
}

/** The largest magnitude of a map; 0 where it has no finite value other than zero. */
export function largestMagnitude(values: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < values.length; i++) {
    const magnitude = Math.abs(values[i]!);
    if (magnitude > largest && magnitude < Infinity) largest = magnitude;
  }
  return largest;
}

/** True where a map goes below zero, whatever it was announced as. */
export function hasNegative(values: ArrayLike<number>): boolean {
  for (let i = 0; i < values.length; i++) if (values[i]! < 0) return true;
  return false;
}

/** From zero to the bound, or around zero for signed maps, so that zero keeps its colour. */
export function rangeOf(bound: number, signed: boolean): Range {
  return { low: signed ? -bound : 0, high: bound };
}

/** Place of a value in the range, 0 to 1; beyond its ends it stays there. A range without extent puts all at its low end. */
export function position(value: number, range: Range): number {
  const extent = range.high - range.low;
  return extent > 0 ? Math.min(Math.max((value - range.low) / extent, 0), 1) : 0;
}

/** Even, round numbers within the range, about as many as asked for. */
export function ticks(range: Range, count: number): number[] {
  const extent = range.high - range.low;
  if (!(extent > 0)) return [range.low];
  const rough = extent / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough * 0.75) ?? rough;
  const marks: number[] = [];
  for (let i = Math.ceil(range.low / step - 1e-9); i * step <= range.high + step * 1e-9; i++) marks.push(i * step);
  return marks;
}

/** The power of ten that all ticks share: 0 while plain numbers stay short. */
export function commonExponent(bound: number): number {
  if (!(bound > 0)) return 0;
  const exponent = Math.floor(Math.log10(bound));
  return exponent >= -2 && exponent <= 3 ? 0 : exponent;
}

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** “×10⁻⁵”, or nothing for exponent 0. */
export function powerLabel(exponent: number): string {
  if (exponent === 0) return "";
  const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPTS[Number(digit)]).join("");
  return `×10${exponent < 0 ? "⁻" : ""}${digits}`;
}

/** Three significant digits, a true minus sign, and no trailing zeros. */
export function formatNumber(value: number, exponent = 0): string {
  const scaled = value / 10 ** exponent;
  if (!Number.isFinite(scaled)) return "–";
  const text = String(Number(scaled.toPrecision(3)));
  return text.replace("-", "−");
}

/** One value on its own, with the power of ten it needs: “0.043” or “4.3×10⁻⁵”. */
export function formatValue(value: number): string {
  const exponent = commonExponent(Math.abs(value));
  return formatNumber(value, exponent) + powerLabel(exponent);
}
