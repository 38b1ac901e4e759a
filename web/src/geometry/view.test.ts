import { describe, expect, it } from "vitest";
import { clampView, fitScale, fittedView, frameOf, nearestPixel, panBy, pixelAt, reveal, toImage, toViewport, zoomAt } from "./view";

const wide = { width: 320, height: 200 };
const square = { width: 400, height: 400 };

describe("frameOf", () => {
  it("letterboxes a wide image in the middle", () => {
    const frame = frameOf(fittedView(wide), wide, square);
    expect(frame).toEqual({ scale: 1.25, left: 0, top: 75 });
  });

  it("letterboxes a tall image in the middle", () => {
    const tall = { width: 100, height: 200 };
    expect(frameOf(fittedView(tall), tall, square)).toEqual({ scale: 2, left: 100, top: 0 });
  });

  it("goes to the image and back", () => {
    const frame = frameOf({ zoom: 3.7, row: 61.5, column: 200.25 }, wide, square);
    for (const [x, y] of [[0, 0], [13, 399], [250.5, 17.25]] as const) {
      const { row, column } = toImage(frame, x, y);
      const back = toViewport(frame, row, column);
      expect(back.x).toBeCloseTo(x, 9);
      expect(back.y).toBeCloseTo(y, 9);
    }
  });
});

describe("pixelAt", () => {
  const frame = frameOf(fittedView(wide), wide, square);

  it("finds the corners", () => {
    expect(pixelAt(frame, wide, 0, 75)).toEqual({ row: 0, column: 0 });
    expect(pixelAt(frame, wide, 399.9, 324.9)).toEqual({ row: 199, column: 319 });
  });

  it("finds nothing in the letterbox", () => {
    expect(pixelAt(frame, wide, 200, 74.9)).toBeNull();
    expect(pixelAt(frame, wide, 200, 325)).toBeNull();
  });
});

describe("zoomAt", () => {
  it("keeps the point under the pointer", () => {
    const view = clampView({ zoom: 2, row: 100, column: 160 }, wide, square);
    const before = toImage(frameOf(view, wide, square), 260, 220);
    const zoomed = zoomAt(view, wide, square, 1.5, 260, 220);
    const after = toImage(frameOf(zoomed, wide, square), 260, 220);
    expect(zoomed.zoom).toBeCloseTo(3, 9);
    expect(after.row).toBeCloseTo(before.row, 9);
    expect(after.column).toBeCloseTo(before.column, 9);
  });

  it("never shows less than the whole image", () => {
    expect(zoomAt({ zoom: 2, row: 20, column: 40 }, wide, square, 0.01, 0, 0)).toEqual(fittedView(wide));
  });

  it("never draws a pixel larger than 48 CSS pixels", () => {
    const { zoom } = zoomAt(fittedView(wide), wide, square, 1e6, 200, 200);
    expect(zoom * fitScale(wide, square)).toBeCloseTo(48, 9);
  });
});

describe("panBy", () => {
  it("moves the image with the pointer", () => {
    const view = panBy({ zoom: 4, row: 100, column: 160 }, wide, square, 50, -25);
    expect(view).toEqual({ zoom: 4, row: 105, column: 150 });
  });

  it("stops at the image's border", () => {
    const view = panBy({ zoom: 4, row: 100, column: 160 }, wide, square, 1e5, 1e5);
    expect(toImage(frameOf(view, wide, square), 0, 0)).toEqual({ row: 0, column: 0 });
  });
});

describe("reveal", () => {
  it("moves only as far as needed", () => {
    const view = { zoom: 4, row: 100, column: 160 };
    expect(reveal(view, wide, square, { row: 100, column: 160 })).toEqual(view);
    expect(pixelAt(frameOf(reveal(view, wide, square, { row: 0, column: 319 }), wide, square), wide, 399.9, 0.1)).toEqual({ row: 0, column: 319 });
  });
});

describe("nearestPixel", () => {
  it("keeps to the image", () => {
    expect(nearestPixel(wide, -3, 1000)).toEqual({ row: 0, column: 319 });
    expect(nearestPixel(wide, 12.9, 3.2)).toEqual({ row: 12, column: 3 });
  });
});
