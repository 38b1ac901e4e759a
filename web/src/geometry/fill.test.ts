import { describe, expect, it } from "vitest";
import { fillConnected, fillPolygon, fillStroke, simplify, type Point } from "./fill";

const size = { width: 6, height: 5 };

function drawn(fill: (pixels: Uint8Array) => void): string[] {
  const pixels = new Uint8Array(size.width * size.height);
  fill(pixels);
  return Array.from({ length: size.height }, (_, row) => [...pixels.slice(row * size.width, (row + 1) * size.width)].map((pixel) => (pixel ? "#" : ".")).join(""));
}

describe("fillPolygon", () => {
  it("takes the pixels whose middles are inside", () => {
    expect(drawn((pixels) => fillPolygon(pixels, [[1, 1], [1, 4], [3, 4], [3, 1]], size))).toEqual(["......", ".###..", ".###..", "......", "......"]);
  });

  it("takes the same pixels whichever way round, and from whichever corner", () => {
    const points: Point[] = [[0, 2.2], [4.9, 0.3], [3.1, 5.8]];
    const expected = drawn((pixels) => fillPolygon(pixels, points, size));
    expect(expected.join("")).toContain("#");
    expect(drawn((pixels) => fillPolygon(pixels, [...points].reverse(), size))).toEqual(expected);
    expect(drawn((pixels) => fillPolygon(pixels, [points[1]!, points[2]!, points[0]!], size))).toEqual(expected);
  });

  it("leaves out what is encircled twice", () => {
    const frame: Point[] = [[0, 0], [0, 6], [5, 6], [5, 0], [0, 0], [1, 1], [4, 1], [4, 5], [1, 5], [1, 1]];
    expect(drawn((pixels) => fillPolygon(pixels, frame, size))).toEqual(["######", "#....#", "#....#", "#....#", "######"]);
  });

  it("stays in the image", () => {
    expect(drawn((pixels) => fillPolygon(pixels, [[-9, -9], [-9, 99], [99, 99], [99, -9]], size)).join("")).toBe("#".repeat(30));
  });
});

describe("fillStroke", () => {
  it("paints a disc where it is set down, at least one pixel", () => {
    expect(drawn((pixels) => fillStroke(pixels, [[2.5, 2.5]], 3, size))).toEqual(["......", ".###..", ".###..", ".###..", "......"]);
    expect(drawn((pixels) => fillStroke(pixels, [[2.9, 2.1]], 0.1, size))).toEqual(["......", "......", "..#...", "......", "......"]);
  });

  it("leaves no gap between the points of its way", () => {
    expect(drawn((pixels) => fillStroke(pixels, [[2.5, 0.5], [2.5, 5.5]], 1, size))[2]).toBe("######");
  });
});

describe("fillConnected", () => {
  // prettier-ignore
  const labels = [1, 1, 0, 0, 0, 2,
                  0, 0, 1, 0, 2, 0,
                  0, 0, 0, 0, 0, 0,
                  1, 0, 0, 0, 2, 2,
                  1, 0, 0, 0, 2, 2];

  it("goes over corners, and not beyond", () => {
    expect(drawn((pixels) => fillConnected(pixels, labels, { row: 0, column: 0 }, size))).toEqual(["##....", "..#...", "......", "......", "......"]);
    expect(drawn((pixels) => fillConnected(pixels, labels, { row: 1, column: 4 }, size))).toEqual([".....#", "....#.", "......", "......", "......"]);
    expect(drawn((pixels) => fillConnected(pixels, labels, { row: 4, column: 5 }, size))).toEqual(["......", "......", "......", "....##", "....##"]);
  });
});

describe("simplify", () => {
  it("keeps the corners of a line and drops what lies between them", () => {
    const way: Point[] = [[0, 0], [0, 1], [0.1, 2], [0, 3], [1, 3], [2, 3.1], [3, 3]];
    expect(simplify(way, 0.4)).toEqual([[0, 0], [0, 3], [3, 3]]);
  });

  it("keeps every point farther off than the tolerance", () => {
    const zigzag = Array.from({ length: 21 }, (_, i): Point => [i, i % 2]);
    expect(simplify(zigzag, 0.4)).toEqual(zigzag);
  });
});
