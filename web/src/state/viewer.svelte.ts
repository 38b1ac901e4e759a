import { createContext } from "svelte";
import { clampView, fittedView, frameOf, nearestPixel, panBy, reveal, zoomAt, type Frame, type Pixel, type Size, type View } from "../geometry/view";
import type { Explorer } from "./explorer.svelte";
import { Pen } from "./pen.svelte";

/** What holds for all pictures, whatever their size. */
class Pointing {
  crosshair = $state.raw<Pixel | null>(null);
  byKeys = $state(false);
  hidden = $state(false);
}

/** What the three pictures share: zoom, centre, crosshair, and the pen that draws regions. */
export class Viewer {
  readonly #explorer: Explorer;
  readonly #pointing: Pointing;
  viewport = $state.raw<Size>({ width: 1, height: 1 });
  readonly pen: Pen;

  readonly view = $derived.by<View | null>(() => {
    const { size, choice } = this.#explorer;
    return size && clampView(choice.view ?? fittedView(size), size, this.viewport);
  });
  readonly frame = $derived.by<Frame | null>(() => {
    const { size } = this.#explorer;
    return size && this.view && frameOf(this.view, size, this.viewport);
  });
  readonly percent = $derived(Math.round((this.view?.zoom ?? 1) * 100));

  /** With another viewer, it serves pictures of another size that are linked to that one's. */
  constructor(explorer: Explorer, linked: Viewer | null = null) {
    this.#explorer = explorer;
    this.#pointing = linked ? linked.#pointing : new Pointing();
    this.pen = linked?.pen ?? new Pen(explorer);
  }

  get crosshair(): Pixel | null {
    return this.#pointing.crosshair;
  }

  /** True where the crosshair was moved by keys: only then is it read aloud. */
  get byKeys(): boolean {
    return this.#pointing.byKeys;
  }

  /** True while the importance map is held back to see the image. */
  get hidden(): boolean {
    return this.#pointing.hidden;
  }

  set hidden(hidden: boolean) {
    this.#pointing.hidden = hidden;
  }

  /** Zoom about a point of the viewport, or about its middle. */
  zoom(factor: number, x = this.viewport.width / 2, y = this.viewport.height / 2): void {
    const { size } = this.#explorer;
    if (size && this.view) this.#show(zoomAt(this.view, size, this.viewport, factor, x, y));
  }

  pan(x: number, y: number): void {
    const { size } = this.#explorer;
    if (size && this.view) this.#show(panBy(this.view, size, this.viewport, x, y));
  }

  fit(): void {
    this.#explorer.update({ view: null });
  }

  point(pixel: Pixel | null): void {
    this.#pointing.byKeys = false;
    this.#cross(pixel);
  }

  /** Move the crosshair by pixels, from the middle at first, and keep it in sight. */
  moveCrosshair(rows: number, columns: number): void {
    const { size } = this.#explorer;
    if (!size || !this.view) return;
    const from = this.crosshair;
    const to = from ? nearestPixel(size, from.row + rows, from.column + columns) : nearestPixel(size, this.view.row, this.view.column);
    this.#pointing.byKeys = true;
    this.#cross(to);
    if (this.view.zoom > 1) this.#show(reveal(this.view, size, this.viewport, to));
  }

  #cross(pixel: Pixel | null): void {
    this.#pointing.crosshair = pixel;
    this.#explorer.pointer = pixel;
    if (pixel !== null) this.pen.hover(pixel);
  }

  #show(view: View): void {
    this.#explorer.update({ view: view.zoom > 1 ? view : null });
  }
}

export const [getViewer, setViewer] = createContext<Viewer>();
