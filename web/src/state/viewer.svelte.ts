import { createContext } from "svelte";
import { boxBetween, type Box } from "../geometry/region";
import { clampView, fittedView, frameOf, nearestPixel, panBy, reveal, zoomAt, type Frame, type Pixel, type Size, type View } from "../geometry/view";
import type { Explorer } from "./explorer.svelte";

/** What the three pictures share: zoom, centre, crosshair, and a box while it is drawn. */
export class Viewer {
  readonly #explorer: Explorer;
  viewport = $state.raw<Size>({ width: 1, height: 1 });
  crosshair = $state.raw<Pixel | null>(null);
  /** True where the crosshair was moved by keys: only then is it read aloud. */
  byKeys = $state(false);
  /** True while the importance map is held back to see the image. */
  hidden = $state(false);
  draft = $state.raw<Box | null>(null);
  /** First corner of a box that is drawn by keys. */
  corner = $state.raw<Pixel | null>(null);

  readonly view = $derived.by<View | null>(() => {
    const { size, choice } = this.#explorer;
    return size && clampView(choice.view ?? fittedView(size), size, this.viewport);
  });
  readonly frame = $derived.by<Frame | null>(() => {
    const { size } = this.#explorer;
    return size && this.view && frameOf(this.view, size, this.viewport);
  });
  readonly percent = $derived(Math.round((this.view?.zoom ?? 1) * 100));

  constructor(explorer: Explorer) {
    this.#explorer = explorer;
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
    this.byKeys = false;
    this.crosshair = pixel;
  }

  /** Move the crosshair by pixels, from the middle at first, and keep it in sight. */
  moveCrosshair(rows: number, columns: number): void {
    const { size } = this.#explorer;
    if (!size || !this.view) return;
    const from = this.crosshair;
    const to = from ? nearestPixel(size, from.row + rows, from.column + columns) : nearestPixel(size, this.view.row, this.view.column);
    this.byKeys = true;
    this.crosshair = to;
    if (this.corner !== null) this.draft = boxBetween(this.corner, to);
    if (this.view.zoom > 1) this.#show(reveal(this.view, size, this.viewport, to));
  }

  startBox(pixel: Pixel): void {
    this.corner = pixel;
    this.draft = boxBetween(pixel, pixel);
  }

  #show(view: View): void {
    this.#explorer.update({ view: view.zoom > 1 ? view : null });
  }
}

export const [getViewer, setViewer] = createContext<Viewer>();
