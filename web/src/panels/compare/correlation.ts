/** How rank correlations are written and coloured. */

import { colourTable, type DivergingName } from "../../colour/maps";

/** Two digits after the point, and a true minus sign. */
export function formatAgreement(value: number | null): string {
  return value === null ? "–" : value.toFixed(2).replace("-", "−").replace("−0.00", "0.00");
}

/** “much the same”: what a correlation means. */
export function agreementWords(value: number | null): string {
  if (value === null) return "one of them is the same everywhere";
  if (value >= 0.9) return "much the same order";
  if (value >= 0.6) return "alike";
  if (value >= 0.3) return "somewhat alike";
  if (value > -0.3) return "hardly related";
  return "opposed";
}

/** Luminance by WCAG, 0 to 1. */
function luminance(colour: readonly number[]): number {
  const [red = 0, green = 0, blue = 0] = colour.map((value) => (value <= 10 ? value / 3294 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Of the diverging map, zero in its neutral colour; and black or white on it, whatever has more contrast. */
export function agreementColours(value: number | null, name: DivergingName): { paper: string; ink: string } | null {
  if (value === null) return null;
  const colour = colourTable(name)[Math.round(((value + 1) / 2) * 255)]!;
  const light = luminance(colour);
  return { paper: `rgb(${colour.join(" ")})`, ink: (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) ? "#000" : "#fff" };
}
