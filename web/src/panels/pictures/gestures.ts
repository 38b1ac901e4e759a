/** Pointer and keys on a picture: zoom, pan, point, and draw regions. */

import { boxBetween } from "../../geometry/region";
import { nearestPixel, pixelAt, toImage, type Pixel } from "../../geometry/view";
import type { Explorer } from "../../state/explorer.svelte";
import type { Viewer } from "../../state/viewer.svelte";

/** A press that moves less than this many CSS pixels is a click. */
const CLICK_SLACK = 3;

/** A click: ask about the pixel with the pixel tool; otherwise select the class that is predicted there. */
function click(pixel: Pixel, explorer: Explorer): void {
  if (explorer.region.kind === "pixel") return explorer.update({ region: { kind: "pixel", ...pixel } });
  const entry = explorer.predictedAt(pixel);
  if (entry !== null) explorer.selectClass(entry.name);
}

function finishBox(viewer: Viewer, explorer: Explorer): void {
  if (viewer.draft !== null) explorer.update({ region: { kind: "box", ...viewer.draft } });
  viewer.draft = null;
}

interface Press {
  x: number;
  y: number;
  from: Pixel | null;
  moved: boolean;
  draws: boolean;
}

/** Listen to pointer and keys on one picture; returns what ends it. */
export function gestures(node: HTMLElement, explorer: Explorer, viewer: Viewer): () => void {
  const key = (event: KeyboardEvent): void => steer(event, explorer, viewer);
  const endPointing = pointing(node, explorer, viewer);
  node.addEventListener("keydown", key);
  return () => {
    endPointing();
    node.removeEventListener("keydown", key);
  };
}

function pointing(node: HTMLElement, explorer: Explorer, viewer: Viewer): () => void {
  let press: Press | null = null;

  const place = (event: MouseEvent): { x: number; y: number } => {
    const corner = node.getBoundingClientRect();
    return { x: event.clientX - corner.left, y: event.clientY - corner.top };
  };

  const pixelOf = (event: MouseEvent): Pixel | null => {
    const { x, y } = place(event);
    return viewer.frame && explorer.size && pixelAt(viewer.frame, explorer.size, x, y);
  };

  const down = (event: PointerEvent): void => {
    if (event.button > 1 || (event.target instanceof Element && event.target.closest("button") !== null)) return;
    // The focus stays free for the page's own keys.
    event.preventDefault();
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    node.setPointerCapture(event.pointerId);
    const from = pixelOf(event);
    const draws = explorer.region.kind === "box" && from !== null && event.button === 0 && !event.shiftKey;
    press = { ...place(event), from, draws, moved: false };
  };

  const move = (event: PointerEvent): void => {
    viewer.point(pixelOf(event));
    if (press === null) return;
    const { x, y } = place(event);
    press.moved ||= Math.hypot(x - press.x, y - press.y) > CLICK_SLACK;
    if (!press.moved) return;
    if (press.draws && press.from !== null && viewer.frame !== null && explorer.size !== null) {
      const point = toImage(viewer.frame, x, y);
      viewer.draft = boxBetween(press.from, nearestPixel(explorer.size, point.row, point.column));
    } else {
      viewer.pan(x - press.x, y - press.y);
      press = { ...press, x, y };
    }
  };

  const up = (): void => {
    if (press?.draws) finishBox(viewer, explorer);
    if (press !== null && press.from !== null && !press.moved) click(press.from, explorer);
    press = null;
  };

  const cancel = (): void => {
    press = null;
    viewer.draft = null;
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

/** Enter with the box tool: the first corner, then the opposite one. */
function corner(pixel: Pixel, explorer: Explorer, viewer: Viewer): void {
  if (viewer.corner === null) viewer.startBox(pixel);
  else {
    finishBox(viewer, explorer);
    viewer.corner = null;
  }
}

/** Keys on a focused picture: arrows move the crosshair, Enter clicks, Escape drops a box that was begun. */
function steer(event: KeyboardEvent, explorer: Explorer, viewer: Viewer): void {
  const arrow = ARROWS[event.key];
  if (arrow !== undefined) {
    const factor = event.shiftKey ? 10 : 1;
    viewer.moveCrosshair(arrow[0] * factor, arrow[1] * factor);
  } else if (event.key === "Enter" && viewer.crosshair !== null) {
    if (explorer.region.kind === "box") corner(viewer.crosshair, explorer, viewer);
    else click(viewer.crosshair, explorer);
  } else if (event.key === "Escape") {
    viewer.corner = null;
    viewer.draft = null;
  } else return;
  event.preventDefault();
}
