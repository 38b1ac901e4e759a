/** Pictures → data addresses, drawings → PNG, and files for the visitor. */

import type { Box } from "../geometry/region";
import type { Size } from "../geometry/view";
import { boxSize } from "./crop";
import type { Drawing } from "./figure";

/** Pixels of a PNG for each unit of the drawing. */
const PNG_SCALE = 2;

/** The part of a picture in a box as PNG, made smaller where `size` is. */
export function embed(picture: CanvasImageSource, box: Box, size: Size): string {
  const canvas = document.createElement("canvas");
  canvas.width = size.width;
  canvas.height = size.height;
  const context = canvas.getContext("2d");
  const from = boxSize(box);
  if (context !== null) {
    context.imageSmoothingEnabled = size.width < from.width;
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, box.left, box.top, from.width, from.height, 0, 0, size.width, size.height);
  }
  return canvas.toDataURL("image/png");
}

export function svgBlob(drawing: Drawing): Blob {
  return new Blob([drawing.svg], { type: "image/svg+xml" });
}

/** The drawing at twice its size. */
export async function pngBlob(drawing: Drawing): Promise<Blob> {
  const address = URL.createObjectURL(svgBlob(drawing));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = drawing.size.width * PNG_SCALE;
    canvas.height = drawing.size.height * PNG_SCALE;
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob === null ? reject(new Error("The browser made no PNG of the figure; save the SVG instead.")) : resolve(blob)), "image/png");
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}

export function saveFile(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The download has begun only a moment later.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
