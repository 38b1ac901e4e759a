import type { Size } from "../geometry/view";
import { toGrey, type Bytes } from "./paint";

/** RGBA bytes as something that can be drawn at any scale. */
export function toCanvas(bytes: Bytes, size: Size): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = size.width;
  canvas.height = size.height;
  canvas.getContext("2d")?.putImageData(new ImageData(bytes, size.width, size.height), 0, 0);
  return canvas;
}

/** The same picture without its colours. */
export function greyCanvas(picture: ImageBitmap): HTMLCanvasElement {
  const size = { width: picture.width, height: picture.height };
  const canvas = toCanvas(new Uint8ClampedArray(size.width * size.height * 4), size);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) return canvas;
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, size.width, size.height);
  return toCanvas(toGrey(data), size);
}
