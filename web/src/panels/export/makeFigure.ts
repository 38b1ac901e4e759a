/** From what the explorer shows to a figure that can be saved. */

import { greyCanvas } from "../../colour/canvas";
import { colourTable } from "../../colour/maps";
import { captionOf, titleOf, type Told } from "../../figure/caption";
import { bounded, boxSize, linesInBox, visibleBox } from "../../figure/crop";
import { drawFigure, type Drawing, type LegendEntry, type Scale } from "../../figure/figure";
import { embed } from "../../figure/render";
import type { Box } from "../../geometry/region";
import { ownParameters } from "../../state/defaults";
import type { Explorer } from "../../state/explorer.svelte";
import type { Viewer } from "../../state/viewer.svelte";
import { MASK_TITLES, paintMap, paintMask, savedMask, shownColours } from "../pictures/shown";

/** Longest side of an embedded picture, in pixels. */
const MOST_PIXELS = 1600;
/** An outline of more lines would be larger than all pictures together. */
const MOST_LINES = 20_000;
const MOST_CLASSES = 40;

export interface MadeFigure {
  drawing: Drawing;
  /** What had to be left out or made smaller. */
  notes: string[];
}

function scaleOf(explorer: Explorer): Scale | null {
  const { range, signed, largest } = explorer;
  if (range === null || !(range.high > 0)) return null;
  const table = colourTable(shownColours(explorer));
  const colours = Array.from({ length: 33 }, (_, i) => `rgb(${table[i * 8]!.join(",")})`);
  return { range, signed, colours, beyond: largest > range.high * 1.0001 };
}

/** The classes that have pixels, and the one that is asked about. */
function legendOf(explorer: Explorer): LegendEntry[] {
  const { classes, predicted, class: asked, scene } = explorer;
  const present = new Set(predicted?.classes.filter((entry) => entry.share > 0).map((entry) => entry.name));
  if (savedMask(explorer) !== "prediction" && scene?.truth) {
    const drawn = new Set(Array.from(scene.truth));
    for (const entry of classes) if (drawn.has(entry.index)) present.add(entry.name);
  }
  return classes.filter((entry) => entry === asked || present.has(entry.name)).map(({ name, color }) => ({ name, colour: color }));
}

function toldOf(explorer: Explorer, part: Box | null): Told | null {
  const { model, image, method, answer, against, choice, shownRegion } = explorer;
  if (!model.value || !image || !method || !answer) return null;
  return {
    model: model.value.name,
    image: image.name,
    against: against?.name ?? null,
    method: method.title,
    parameters: ownParameters(method, choice.parameters),
    region: shownRegion,
    score: choice.score,
    header: answer.header,
    bound: choice.bound,
    least: explorer.least,
    part,
  };
}

/** The figure of the present view, or null while a part of it is on its way. */
export function makeFigure(explorer: Explorer, viewer: Viewer): MadeFigure | null {
  const { bitmap, size, choice, shownLines, shownRegion } = explorer;
  const kind = savedMask(explorer);
  const [mask, map] = [paintMask(explorer, kind), paintMap(explorer)];
  if (bitmap === null || size === null || mask === null || map === null || viewer.frame === null) return null;
  const box = visibleBox(viewer.frame, size, viewer.viewport);
  const own = boxSize(box);
  const isPart = own.width < size.width || own.height < size.height;
  const told = toldOf(explorer, isPart ? box : null);
  if (told === null) return null;

  const pixels = bounded(own, MOST_PIXELS);
  const picture = (source: CanvasImageSource, opacity = 1, sharp = false) => ({ href: embed(source, box, pixels), opacity, sharp });
  const overlaid = choice.map === "overlay";
  const lines = linesInBox(shownLines, box);
  const legend = legendOf(explorer);
  const notes: string[] = [];
  if (pixels.width < own.width) notes.push(`The pictures are embedded at ${pixels.width} × ${pixels.height} pixels in place of ${own.width} × ${own.height}.`);
  if (lines.length > 4 * MOST_LINES) notes.push("The region’s outline is left out: it has too many corners.");
  if (legend.length > MOST_CLASSES) notes.push(`The legend shows ${MOST_CLASSES} of ${legend.length} classes.`);
  const drawing = drawFigure({
    title: titleOf(told),
    size: own,
    panels: [
      { title: "Input image", layers: [picture(bitmap)] },
      { title: MASK_TITLES[kind], layers: [picture(mask, 1, true)] },
      { title: "Pixel importance", layers: overlaid ? [picture(greyCanvas(bitmap)), picture(map, choice.opacity)] : [picture(map)] },
    ],
    lines: lines.length > 4 * MOST_LINES ? [] : lines,
    spot: shownRegion.kind === "pixel" ? { row: shownRegion.row - box.top, column: shownRegion.column - box.left } : null,
    legend: legend.slice(0, MOST_CLASSES),
    scale: scaleOf(explorer),
    caption: captionOf(told),
  });
  return { drawing, notes };
}
