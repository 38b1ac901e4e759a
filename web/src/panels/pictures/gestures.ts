/** Pointer and keys on a picture: zoom, pan, point, and draw regions. */

import type { Point } from "../../geometry/fill";
import { pixelAt, toImage, type Pixel } from "../../geometry/view";
import type { Explorer } from "../../state/explorer.svelte";
import type { Viewer } from "../../state/viewer.svelte";

/** A press that moves less than this many CSS pixels is a click. */
const CLICK_SLACK = 3;

/** A lasso closes where a click comes this near to its first corner, in CSS pixels. */
const REACH = 8;

interface Press {
  x: number;
  y: number;
  from: Pixel | null;
  moved: boolean;
  draws: boolean;
}

/** Listen to pointer and keys on one picture; returns what ends it. */
export function gestures(node: HTMLElement, explorer: Explorer, viewer: Viewer): () => void {
  const key = (event: KeyboardEvent): void => steer(event, viewer);
  const endPointing = pointing(node, explorer, viewer);
  node.addEventListener("keydown", key);
  return () => {
    endPointing();
    node.removeEventListener("keydown", key);
  };
}

function pointing(node: HTMLElement, explorer: Explorer, viewer: Viewer): () => void {
  const { pen } = viewer;
  let press: Press | null = null;

  const place = (event: MouseEvent): { x: number; y: number } => {
    const corner = node.getBoundingClientRect();
    return { x: event.clientX - corner.left, y: event.clientY - corner.top };
  };

  const pixelOf = (event: MouseEvent): Pixel | null => {
    const { x, y } = place(event);
    return viewer.frame && explorer.size && pixelAt(viewer.frame, explorer.size, x, y);
  };

  const imagePoint = (x: number, y: number): Point => {
    const { row, column } = viewer.frame ? toImage(viewer.frame, x, y) : { row: 0, column: 0 };
    return [row, column];
  };

  const pointOf = (event: MouseEvent): Point => {
    const { x, y } = place(event);
    return imagePoint(x, y);
  };

  const down = (event: PointerEvent): void => {
    if (event.button > 1 || (event.target instanceof Element && event.target.closest("button") !== null)) return;
    // The focus stays free for the page's own keys.
    event.preventDefault();
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    node.setPointerCapture(event.pointerId);
    const from = pixelOf(event);
    const draws = pen.drags && from !== null && event.button === 0 && !event.shiftKey;
    press = { ...place(event), from, draws, moved: false };
    // A brush paints where it is set down; a box or a lasso is begun by the first move.
    if (draws && explorer.tool === "brush") pen.begin(pointOf(event), event.altKey);
  };

  const move = (event: PointerEvent): void => {
    viewer.point(pixelOf(event));
    if (press === null) return;
    const { x, y } = place(event);
    const begun = press.moved;
    press.moved ||= Math.hypot(x - press.x, y - press.y) > CLICK_SLACK;
    if (!press.moved) return;
    if (press.draws) {
      if (!begun && explorer.tool !== "brush") pen.begin(imagePoint(press.x, press.y), event.altKey);
      pen.extend(pointOf(event));
    } else {
      viewer.pan(x - press.x, y - press.y);
      press = { ...press, x, y };
    }
  };

  const up = (event: PointerEvent): void => {
    const ended = press;
    press = null;
    if (ended?.draws && (ended.moved || explorer.tool === "brush")) pen.finish(event.altKey);
    else if (ended?.from && !ended.moved) pen.press(ended.from, event.altKey, REACH / (viewer.frame?.scale ?? 1));
  };

  const cancel = (): void => {
    press = null;
    pen.drop();
  };

  const leave = (): void => {
    if (press === null) viewer.point(null);
  };

  const wheel = (event: WheelEvent): void => {
    // A page that scrolls must not be trapped: at the full image, zooming out scrolls on.
    if (event.deltaY > 0 && (viewer.view?.zoom ?? 1) <= 1) return;
    event.preventDefault();
    const { x, y } = place(event);
    viewer.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.002)), x, y);
    viewer.point(pixelOf(event));
  };

  node.addEventListener("pointerdown", down);
  node.addEventListener("pointermove", move);
  node.addEventListener("pointerup", up);
  node.addEventListener("pointercancel", cancel);
  node.addEventListener("pointerleave", leave);
  node.addEventListener("wheel", wheel, { passive: false });
  return () => {
    node.removeEventListener("pointerdown", down);
    node.removeEventListener("pointermove", move);
    node.removeEventListener("pointerup", up);
    node.removeEventListener("pointercancel", cancel);
    node.removeEventListener("pointerleave", leave);
    node.removeEventListener("wheel", wheel);
  };
}

const ARROWS: Readonly<Record<string, readonly [rows: number, columns: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** Keys on a focused picture: arrows move the crosshair, Enter clicks, Escape drops what was begun. */
function steer(event: KeyboardEvent, viewer: Viewer): void {
  const arrow = ARROWS[event.key];
  if (arrow !== undefined) {
    const factor = event.shiftKey ? 10 : 1;
    viewer.moveCrosshair(arrow[0] * factor, arrow[1] * factor);
  } else if (event.key === "Enter" && viewer.crosshair !== null) {
    viewer.pen.press(viewer.crosshair, event.altKey);
  } else if (event.key === "Escape") {
    viewer.pen.drop();
  } else return;
  event.preventDefault();
}
