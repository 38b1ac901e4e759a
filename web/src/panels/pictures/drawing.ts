/** What is drawn on the canvases, in CSS pixels. */

import type { Point } from "../../geometry/fill";
import { boxBetween, type Box } from "../../geometry/region";
import { sketchedBox, type Sketch } from "../../geometry/sketch";
import { toViewport, type Frame, type Pixel, type Size } from "../../geometry/view";

export type Drawable = HTMLCanvasElement | ImageBitmap;

/** Above this many CSS pixels for each of its own, a picture shows its pixels as squares. */
const SQUARES_FROM = 4;

export function drawPicture(context: CanvasRenderingContext2D, picture: Drawable | null, size: Size, frame: Frame, sharp: boolean): void {
  if (picture === null) return;
  // Made smaller, even a mask is better off with mixed edges than with rows left out.
  context.imageSmoothingEnabled = frame.scale < (sharp ? 1 : SQUARES_FROM);
  // Made larger, mixing the nearest pixels will do; more would take a map in live mode a millisecond.
  context.imageSmoothingQuality = frame.scale < 1 ? "high" : "low";
  context.drawImage(picture, frame.left, frame.top, size.width * frame.scale, size.height * frame.scale);
}

interface Marks {
  lines: readonly number[];
  /** A single pixel to point at. */
  spot: Pixel | null;
  sketch: Sketch | null;
  size: Size;
  crosshair: Pixel | null;
  /** Width of the brush in image pixels, where it is in hand. */
  brush: number | null;
}

/** A light line on a dark one is seen on every picture. */
function strokeTwice(context: CanvasRenderingContext2D, path: Path2D, width: number): void {
  context.lineCap = "square";
  context.lineWidth = width + 2;
  context.strokeStyle = "rgb(0 0 0 / 60%)";
  context.stroke(path);
  context.lineWidth = width;
  context.strokeStyle = "#fff";
  context.stroke(path);
}

function linesPath(lines: readonly number[], frame: Frame): Path2D {
  const path = new Path2D();
  for (let i = 0; i < lines.length; i += 4) {
    const start = toViewport(frame, lines[i + 1]!, lines[i]!);
    const end = toViewport(frame, lines[i + 3]!, lines[i + 2]!);
    path.moveTo(start.x, start.y);
    path.lineTo(end.x, end.y);
  }
  return path;
}

function boxPath(box: Box, frame: Frame): Path2D {
  const path = new Path2D();
  const { x, y } = toViewport(frame, box.top, box.left);
  path.rect(x, y, (box.right - box.left) * frame.scale, (box.bottom - box.top) * frame.scale);
  return path;
}

function ringPath(pixel: Pixel, frame: Frame, radius = 5): Path2D {
  const path = new Path2D();
  const { x, y } = toViewport(frame, pixel.row + 0.5, pixel.column + 0.5);
  path.arc(x, y, radius, 0, 2 * Math.PI);
  return path;
}

/** Four arms that leave the pixel itself free. */
function crosshairPath(pixel: Pixel, frame: Frame): Path2D {
  const path = new Path2D();
  const { x, y } = toViewport(frame, pixel.row + 0.5, pixel.column + 0.5);
  const gap = Math.max(5, frame.scale / 2 + 2);
  const arm = gap + 10;
  for (const [right, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]] as const) {
    path.moveTo(x + right * gap, y + down * gap);
    path.lineTo(x + right * arm, y + down * arm);
  }
  return path;
}

function wayPath(points: readonly Point[], frame: Frame): Path2D {
  const path = new Path2D();
  points.forEach(([row, column], i) => {
    const { x, y } = toViewport(frame, row, column);
    if (i === 0) path.moveTo(x, y);
    // A single point would leave no trace.
    path.lineTo(x, y);
  });
  return path;
}

/** A stroke under way; dashes take away. */
function drawSketch(context: CanvasRenderingContext2D, sketch: Sketch, size: Size, frame: Frame): void {
  context.save();
  if (sketch.removes) context.setLineDash([4, 4]);
  if (sketch.tool === "brush") {
    context.setLineDash([]);
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = Math.max(2, sketch.diameter * frame.scale);
    context.strokeStyle = sketch.removes ? "rgb(0 0 0 / 50%)" : "rgb(255 255 255 / 50%)";
    context.stroke(wayPath(sketch.points, frame));
  } else {
    const path = sketch.tool === "box" ? boxPath(sketchedBox(sketch.points, size), frame) : wayPath(sketch.points, frame);
    strokeTwice(context, path, 1.5);
  }
  context.restore();
}

export function drawMarks(context: CanvasRenderingContext2D, frame: Frame, { lines, spot, sketch, size, crosshair, brush }: Marks): void {
  if (spot !== null && frame.scale < SQUARES_FROM) strokeTwice(context, ringPath(spot, frame), 1.5);
  else if (lines.length > 0) strokeTwice(context, linesPath(lines, frame), 1.5);
  if (sketch !== null) drawSketch(context, sketch, size, frame);
  if (crosshair === null) return;
  if (brush !== null) return strokeTwice(context, ringPath(crosshair, frame, Math.max(2, (brush * frame.scale) / 2)), 1);
  strokeTwice(context, crosshairPath(crosshair, frame), 1);
  // Large pixels are framed, so that it is plain which one is meant.
  if (frame.scale >= SQUARES_FROM) strokeTwice(context, boxPath(boxBetween(crosshair, crosshair), frame), 1);
}
