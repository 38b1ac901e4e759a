/** The part of the image that is in sight, and what lies in it. */

import type { Box } from "../geometry/region";
import { toImage, type Frame, type Size } from "../geometry/view";

/** Whole pixels that are at least partly in the viewport. */
export function visibleBox(frame: Frame, image: Size, viewport: Size): Box {
  const first = toImage(frame, 0, 0);
  const last = toImage(frame, viewport.width, viewport.height);
  const top = Math.min(Math.max(Math.floor(first.row + 1e-6), 0), image.height - 1);
  const left = Math.min(Math.max(Math.floor(first.column + 1e-6), 0), image.width - 1);
  return {
    top,
    left,
    bottom: Math.max(Math.min(Math.ceil(last.row - 1e-6), image.height), top + 1),
    right: Math.max(Math.min(Math.ceil(last.column - 1e-6), image.width), left + 1),
  };
}

export function boxSize(box: Box): Size {
  return { width: box.right - box.left, height: box.bottom - box.top };
}

/** Lines [column, row, column, row] × n in the box's own coordinates; those outside are left out. */
export function linesInBox(lines: readonly number[], box: Box): number[] {
  const kept: number[] = [];
  for (let i = 0; i < lines.length; i += 4) {
    const [x1, y1, x2, y2] = [lines[i]!, lines[i + 1]!, lines[i + 2]!, lines[i + 3]!];
    if (x2 < box.left || x1 > box.right || y2 < box.top || y1 > box.bottom) continue;
    kept.push(x1 - box.left, y1 - box.top, x2 - box.left, y2 - box.top);
  }
  return kept;
}

/** A size whose longest side is at most `most`; never larger than it was. */
export function bounded(size: Size, most: number): Size {
  const factor = Math.min(1, most / Math.max(size.width, size.height));
  return { width: Math.max(1, Math.round(size.width * factor)), height: Math.max(1, Math.round(size.height * factor)) };
}
