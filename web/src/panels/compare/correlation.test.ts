import { describe, expect, it } from "vitest";
import { DIVERGING } from "../../colour/maps";
import { agreementColours, agreementWords, formatAgreement } from "./correlation";

/** By WCAG's definition, from the text that the page uses. */
function contrast(paper: string, ink: string): number {
  const light = (colour: readonly number[]): number => {
    const [r = 0, g = 0, b = 0] = colour.map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const numbers = paper.match(/[\d.]+/g)!.map(Number);
  const [high, low] = [light(numbers), light(ink === "#fff" ? [255, 255, 255] : [0, 0, 0])].sort((a, b) => b - a) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

describe("formatAgreement", () => {
  it("has two digits, a true minus sign, and no minus zero", () => {
    expect([1, 0.954, -0.5, -0.001, null].map(formatAgreement)).toEqual(["1.00", "0.95", "−0.50", "0.00", "–"]);
  });
});

describe("agreementWords", () => {
  it("goes from opposed to the same", () => {
    const words = [-1, 0, 0.4, 0.7, 0.95, null].map(agreementWords);
    expect(new Set(words).size).toBe(6);
  });
});

describe("agreementColours", () => {
  it.each(DIVERGING)("can be read on %s, whatever the value", (name) => {
    for (let value = -1; value <= 1; value += 0.05) {
      const { paper, ink } = agreementColours(value, name)!;
      expect(contrast(paper, ink)).toBeGreaterThan(4.5);
    }
    expect(agreementColours(null, name)).toBeNull();
  });
});
