import type { Point } from "../geometry/fill";
import type { Shape } from "../geometry/region";
import { sketchedShape, type Sketch } from "../geometry/sketch";
import type { Operation } from "../geometry/strokes";
import type { Pixel } from "../geometry/view";
import { isPointTool } from "./tools";
import type { Explorer } from "./explorer.svelte";

export const BRUSH = { smallest: 1, largest: 96 } as const;

function middleOf({ row, column }: Pixel): Point {
  return [row + 0.5, column + 0.5];
}

/** Draws the region: strokes by pointer, and corners one by one by clicks or keys. */
export class Pen {
  readonly #explorer: Explorer;
  /** What a stroke does; held with Alt, it removes, or adds where removing is chosen. */
  operation = $state<Operation>("add");
  /** Width of the brush in pixels of the image. */
  diameter = $state(12);
  sketch = $state.raw<Sketch | null>(null);
  /** Corners that were set one by one. */
  #corners: readonly Point[] = [];

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
  }

  scaleBrush(factor: number): void {
    const scaled = Math.round(this.diameter * factor);
    // Small brushes change by a pixel at least.
    const step = scaled === this.diameter ? this.diameter + Math.sign(factor - 1) : scaled;
    this.diameter = Math.min(Math.max(step, BRUSH.smallest), BRUSH.largest);
  }

  /** True where a drag draws. */
  get drags(): boolean {
    const { tool } = this.#explorer;
    return tool === "box" || tool === "lasso" || tool === "brush";
  }

  begin(point: Point, alternate: boolean): void {
    const { tool } = this.#explorer;
    if (tool !== "box" && tool !== "lasso" && tool !== "brush") return;
    this.#corners = [];
    this.sketch = { tool, points: [point], diameter: this.diameter, removes: this.#operation(alternate) === "remove" };
  }

  extend(point: Point): void {
    if (this.sketch !== null) this.sketch = { ...this.sketch, points: [...this.sketch.points, point] };
  }

  finish(alternate: boolean): void {
    const { size } = this.#explorer;
    const shape = this.sketch && size && sketchedShape(this.sketch, size);
    this.drop();
    if (shape) this.#stroke(shape, alternate);
  }

  /** A click, or Enter at the crosshair. `reach` is how near a lasso's first corner closes it, in pixels of the image. */
  press(pixel: Pixel, alternate: boolean, reach = 1): void {
    const { tool } = this.#explorer;
    if (isPointTool(tool)) return this.#stroke({ kind: tool, ...pixel }, alternate);
    if (tool === "point") return this.#explorer.selectClassAt(pixel);
    if (tool === "brush") {
      this.begin(middleOf(pixel), alternate);
      return this.finish(alternate);
    }
    this.#setCorner(middleOf(pixel), alternate, reach);
  }

  /** Show what would come of a corner here. */
  hover(pixel: Pixel): void {
    if (this.sketch !== null && this.#corners.length > 0) this.sketch = { ...this.sketch, points: [...this.#corners, middleOf(pixel)] };
  }

  drop(): void {
    this.#corners = [];
    this.sketch = null;
  }

  #setCorner(point: Point, alternate: boolean, reach: number): void {
    const corners = this.#corners;
    const near = (other: Point | undefined): boolean => other !== undefined && Math.hypot(other[0] - point[0], other[1] - point[1]) <= reach;
    if (corners.length === 0) this.begin(point, alternate);
    if (this.sketch === null) return;
    const closes = this.sketch.tool === "box" ? corners.length === 1 : corners.length >= 3 && (near(corners[0]) || near(corners.at(-1)));
    if (closes) {
      this.sketch = { ...this.sketch, points: this.sketch.tool === "box" ? [...corners, point] : corners };
      return this.finish(alternate);
    }
    this.#corners = [...corners, point];
    this.sketch = { ...this.sketch, points: this.#corners };
  }

  #operation(alternate: boolean): Operation {
    if (!alternate) return this.operation;
    return this.operation === "remove" ? "add" : "remove";
  }

  #stroke(shape: Shape, alternate: boolean): void {
    this.#explorer.stroke(shape, this.#operation(alternate));
  }
}
