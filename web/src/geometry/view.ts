/** Image ↔ screen: the pictures are letterboxed into their viewports and share one zoom and centre. */

export interface Size {
  width: number;
  height: number;
}

/** What all pictures show: `zoom` 1 fits the whole image; the centre is in image pixels. */
export interface View {
  zoom: number;
  row: number;
  column: number;
}

/** Where the image lies in a viewport: CSS pixels for each image pixel, and the image's top left corner. */
export interface Frame {
  scale: number;
  left: number;
  top: number;
}

export interface Pixel {
  row: number;
  column: number;
}

/** One image pixel is never drawn larger than this many CSS pixels. */
const LARGEST_PIXEL = 48;

export function fittedView(image: Size): View {
  return { zoom: 1, row: image.height / 2, column: image.width / 2 };
}

export function fitScale(image: Size, viewport: Size): number {
  return Math.min(viewport.width / image.width, viewport.height / image.height);
}

/** Keep an interval's centre such that it covers the extent, or lies in its middle where it is larger. */
function clampCentre(centre: number, shown: number, extent: number): number {
  if (shown >= extent) return extent / 2;
  return Math.min(Math.max(centre, shown / 2), extent - shown / 2);
}

export function clampView(view: View, image: Size, viewport: Size): View {
  const fit = fitScale(image, viewport);
  const zoom = Math.min(Math.max(view.zoom, 1), Math.max(1, LARGEST_PIXEL / fit));
  const scale = fit * zoom;
  return {
    zoom,
    row: clampCentre(view.row, viewport.height / scale, image.height),
    column: clampCentre(view.column, viewport.width / scale, image.width),
  };
}

export function frameOf(view: View, image: Size, viewport: Size): Frame {
  const scale = fitScale(image, viewport) * view.zoom;
  return { scale, left: viewport.width / 2 - view.column * scale, top: viewport.height / 2 - view.row * scale };
}

/** Image coordinates of a point of the viewport, with fractions; may lie outside the image. */
export function toImage(frame: Frame, x: number, y: number): Pixel {
  return { row: (y - frame.top) / frame.scale, column: (x - frame.left) / frame.scale };
}

/** Viewport coordinates of a point of the image. */
export function toViewport(frame: Frame, row: number, column: number): { x: number; y: number } {
  return { x: frame.left + column * frame.scale, y: frame.top + row * frame.scale };
}

/** The image pixel under a point of the viewport, or null beside the image. */
export function pixelAt(frame: Frame, image: Size, x: number, y: number): Pixel | null {
  const point = toImage(frame, x, y);
  const row = Math.floor(point.row);
  const column = Math.floor(point.column);
  return row >= 0 && column >= 0 && row < image.height && column < image.width ? { row, column } : null;
}

export function nearestPixel(image: Size, row: number, column: number): Pixel {
  return {
    row: Math.min(Math.max(Math.floor(row), 0), image.height - 1),
    column: Math.min(Math.max(Math.floor(column), 0), image.width - 1),
  };
}

/** Zoom by a factor; the image point under (x, y) stays where it is, as far as the borders let it. */
export function zoomAt(view: View, image: Size, viewport: Size, factor: number, x: number, y: number): View {
  const before = toImage(frameOf(view, image, viewport), x, y);
  const { zoom } = clampView({ ...view, zoom: view.zoom * factor }, image, viewport);
  const scale = fitScale(image, viewport) * zoom;
  const row = before.row - (y - viewport.height / 2) / scale;
  const column = before.column - (x - viewport.width / 2) / scale;
  return clampView({ zoom, row, column }, image, viewport);
}

/** Move the image by CSS pixels. */
export function panBy(view: View, image: Size, viewport: Size, x: number, y: number): View {
  const scale = fitScale(image, viewport) * view.zoom;
  return clampView({ ...view, row: view.row - y / scale, column: view.column - x / scale }, image, viewport);
}

/** The least move of the centre that brings a pixel into sight. */
export function reveal(view: View, image: Size, viewport: Size, pixel: Pixel): View {
  const scale = fitScale(image, viewport) * view.zoom;
  const halfHeight = viewport.height / scale / 2;
  const halfWidth = viewport.width / scale / 2;
  const row = Math.min(Math.max(view.row, pixel.row + 1 - halfHeight), pixel.row + halfHeight);
  const column = Math.min(Math.max(view.column, pixel.column + 1 - halfWidth), pixel.column + halfWidth);
  return clampView({ ...view, row, column }, image, viewport);
}
