/** The figure as a standalone SVG: three pictures side by side, legend, numeric scale and caption, for light paper. */

import { commonExponent, formatNumber, position, powerLabel, ticks, type Range } from "../colour/scale";
import type { Pixel, Size } from "../geometry/view";
import { element, escapeXml, round, textElement } from "./svg";
import { textWidth, wrap } from "./words";

/** Pictures are data addresses. */
export interface Panel {
  title: string;
  /** From the bottom up. */
  layers: readonly { href: string; opacity: number; sharp: boolean }[];
}

export interface LegendEntry {
  name: string;
  colour: string;
}

export interface Scale {
  range: Range;
  signed: boolean;
  /** From the low to the high end. */
  colours: readonly string[];
  /** True where values lie beyond the high end. */
  beyond: boolean;
}

export interface Figure {
  title: string;
  /** Of what the panels show, in image pixels. */
  size: Size;
  panels: readonly Panel[];
  /** Outline of the region in the panels' pixels, [column, row, column, row] × n. */
  lines: readonly number[];
  /** A single pixel to point at. */
  spot: Pixel | null;
  legend: readonly LegendEntry[];
  scale: Scale | null;
  caption: readonly string[];
}

export interface Drawing {
  svg: string;
  size: Size;
}

const MARGIN = 16;
const GAP = 16;
const TITLE = 24;
const SCALE_WIDTH = 72;
const SMALL = 12;
const LINE = 18;
const LEAST_SIDE = 288;
const MOST_SIDE = 640;
const INK = "#1b1d20";
const WELL = "#ebecee";
/** One pixel drawn smaller than this is pointed at by a ring. */
const SQUARES_FROM = 4;
const FONT = "Helvetica, Arial, sans-serif";

/** The longest side of a panel: as many units as pixels, within reason. */
function panelScale({ width, height }: Size): number {
  const longest = Math.max(width, height);
  return Math.min(Math.max(longest, LEAST_SIDE), MOST_SIDE) / longest;
}

function strokedTwice(name: string, attributes: Readonly<Record<string, string | number>>): string {
  const common = { ...attributes, fill: "none", "stroke-linecap": "square" };
  return (
    element(name, { ...common, stroke: "#000", "stroke-opacity": 0.6, "stroke-width": 3.5 }) +
    element(name, { ...common, stroke: "#fff", "stroke-width": 1.5 })
  );
}

function marks({ lines, spot }: Figure, scale: number): string {
  if (spot !== null && scale < SQUARES_FROM) {
    return strokedTwice("circle", { cx: (spot.column + 0.5) * scale, cy: (spot.row + 0.5) * scale, r: 5 });
  }
  if (lines.length === 0) return "";
  const steps: string[] = [];
  for (let i = 0; i < lines.length; i += 4) {
    const [x1, y1, x2, y2] = [0, 1, 2, 3].map((offset) => round(lines[i + offset]! * scale));
    steps.push(y1 === y2 ? `M${x1} ${y1}H${x2}` : `M${x1} ${y1}V${y2}`);
  }
  return strokedTwice("path", { d: steps.join("") });
}

function drawPanel(figure: Figure, panel: Panel, x: number, size: Size, scale: number): string {
  const pictures = panel.layers.map(({ href, opacity, sharp }) =>
    element("image", {
      "xlink:href": href,
      ...size,
      preserveAspectRatio: "none",
      ...(opacity < 1 ? { opacity } : {}),
      ...(sharp && scale >= 1 ? { "image-rendering": "pixelated" } : {}),
    }),
  );
  return (
    textElement(panel.title, { x, y: MARGIN + 14, "font-size": 13, "font-weight": "bold" }) +
    element("svg", { x, y: MARGIN + TITLE, ...size }, element("rect", { ...size, fill: WELL }), ...pictures, marks(figure, scale))
  );
}

function drawScale({ range, signed, colours, beyond }: Scale, x: number, height: number): string {
  const top = MARGIN + TITLE;
  const exponent = commonExponent(range.high);
  const stops = colours.map((colour, i) => element("stop", { offset: i / (colours.length - 1), "stop-color": colour }));
  const marked = ticks(range, signed ? 6 : 5).map((tick) => {
    const y = top + height * (1 - position(tick, range));
    const line = element("line", { x1: x + 12, x2: x + 16, y1: y, y2: y, stroke: "#8b929b" });
    return line + textElement(formatNumber(tick, exponent), { x: x + 20, y: y + 4, "font-size": SMALL });
  });
  return (
    element("defs", {}, element("linearGradient", { id: "segscope-scale", x1: 0, y1: 1, x2: 0, y2: 0 }, ...stops)) +
    textElement(powerLabel(exponent), { x, y: MARGIN + 14, "font-size": SMALL }) +
    element("rect", { x, y: top, width: 12, height, fill: "url(#segscope-scale)" }) +
    (beyond ? element("path", { d: `M${round(x)} ${top}l6 -6l6 6z`, fill: INK }) : "") +
    marked.join("")
  );
}

/** Entries in rows, and the height that they take. */
function drawLegend(legend: readonly LegendEntry[], width: number, top: number): { markup: string; height: number } {
  let [x, y] = [MARGIN, top];
  const drawn = legend.map(({ name, colour }) => {
    const needed = 16 + textWidth(name, SMALL) + 16;
    if (x > MARGIN && x + needed > MARGIN + width) [x, y] = [MARGIN, y + LINE];
    const entry = element("circle", { cx: x + 5, cy: y + 8, r: 5, fill: colour }) + textElement(name, { x: x + 16, y: y + 12, "font-size": SMALL });
    x += needed;
    return entry;
  });
  return { markup: drawn.join(""), height: legend.length === 0 ? 0 : y + LINE - top };
}

export function drawFigure(figure: Figure): Drawing {
  const scale = panelScale(figure.size);
  const size = { width: figure.size.width * scale, height: figure.size.height * scale };
  const step = size.width + GAP;
  const right = MARGIN + figure.panels.length * step;
  const inner = right - MARGIN - GAP + (figure.scale === null ? 0 : SCALE_WIDTH);
  const below = MARGIN + TITLE + size.height + 12;
  const legend = drawLegend(figure.legend, inner, below);
  const lines = figure.caption.flatMap((text) => wrap(text, inner, SMALL));
  const captionTop = below + legend.height + 8;
  const whole = { width: Math.ceil(inner + 2 * MARGIN), height: Math.ceil(captionTop + lines.length * LINE + MARGIN - 4) };
  const parts = [
    `<title>${escapeXml(figure.title)}</title><desc>${escapeXml(figure.caption.join(" "))}</desc>`,
    element("rect", { ...whole, fill: "#fff" }),
    ...figure.panels.map((panel, i) => drawPanel(figure, panel, MARGIN + i * step, size, scale)),
    figure.scale === null ? "" : drawScale(figure.scale, right - GAP + 12, size.height),
    legend.markup,
    ...lines.map((line, i) => textElement(line, { x: MARGIN, y: captionTop + 13 + i * LINE, "font-size": SMALL })),
  ];
  const svg = element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      "xmlns:xlink": "http://www.w3.org/1999/xlink",
      ...whole,
      viewBox: `0 0 ${whole.width} ${whole.height}`,
      "font-family": FONT,
      fill: INK,
    },
    ...parts,
  );
  return { svg: `<?xml version="1.0" encoding="UTF-8"?>\n${svg}\n`, size: whole };
}
