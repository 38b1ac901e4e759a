/** The points of the plot, on a canvas: there may be thousands. */

import type { Spot } from "../../geometry/plot";
import type { Size } from "../../geometry/view";

interface Drawing {
  spots: readonly (Spot | null)[];
  /** Which of them are in the list; null: all. */
  inside: readonly boolean[] | null;
  /** That of the image in view. */
  current: Spot | null;
  /** That under the pointer. */
  near: Spot | null;
}

/** Points of a crowd are paler, so that one sees where it is thickest. */
function opacityFor(count: number): number {
  return Math.max(0.12, Math.min(0.7, 12 / Math.sqrt(count + 1)));
}

export function drawSpots(canvas: HTMLCanvasElement, size: Size, { spots, inside, current, near }: Drawing): void {
  const context = canvas.getContext("2d");
  if (context === null) return;
  const density = window.devicePixelRatio || 1;
  canvas.width = Math.round(size.width * density);
  canvas.height = Math.round(size.height * density);
  context.scale(density, density);
  const colour = (name: string): string => getComputedStyle(canvas).getPropertyValue(name);
  const side = spots.length > 2000 ? 3 : 5;
  const fill = (wanted: boolean): void => {
    spots.forEach((spot, i) => {
      if (spot !== null && (inside?.[i] ?? true) === wanted) context.fillRect(spot.x - side / 2, spot.y - side / 2, side, side);
    });
  };
  context.fillStyle = colour("--soft");
  context.globalAlpha = opacityFor(spots.length) / 3;
  fill(false);
  context.fillStyle = colour("--ink");
  context.globalAlpha = opacityFor(inside?.filter(Boolean).length ?? spots.length);
  fill(true);
  context.globalAlpha = 1;
  context.strokeStyle = colour("--accent");
  for (const [spot, line] of [[near, 1], [current, 2]] as const) {
    if (spot === null) continue;
    context.lineWidth = line;
    context.beginPath();
    context.arc(spot.x, spot.y, 6, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** Call back whenever the page's colours change, until the returned function is called. */
export function watchTheme(changed: () => void): () => void {
  const observer = new MutationObserver(changed);
  observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return () => observer.disconnect();
}
