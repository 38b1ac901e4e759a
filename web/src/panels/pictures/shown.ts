/** The pictures as they are shown: on the screen, and in a figure that is saved. */

import { toCanvas } from "../../colour/canvas";
import { colourTable } from "../../colour/maps";
import { paintGroups } from "../../colour/groups";
import { paintErrors, paintLabels, paintValues } from "../../colour/paint";
import type { ShownMask } from "../../state/choice";
import type { Explorer } from "../../state/explorer.svelte";

/** What is shown of classes; reasons aren't classes. */
export type ClassMask = Exclude<ShownMask, "reasons">;

export const MASK_TITLES: Readonly<Record<ClassMask, string>> = { prediction: "Predicted mask", truth: "True mask", errors: "Errors" };

/** Without a true mask there is only the prediction, whatever a link asks for. */
export function shownMask({ image, choice }: Explorer): ShownMask {
  return image?.has_truth === true || choice.mask === "reasons" ? choice.mask : "prediction";
}

/** The mask of a figure that is saved: its legend is that of the classes. */
export function savedMask(explorer: Explorer): ClassMask {
  const shown = shownMask(explorer);
  return shown === "reasons" ? "prediction" : shown;
}

export function paintMask({ scene, colours }: Explorer, shown: ClassMask): HTMLCanvasElement | null {
  if (scene === null || (shown !== "prediction" && scene.truth === null)) return null;
  if (shown === "prediction" || scene.truth === null) return toCanvas(paintLabels(scene.mask, colours), scene.size);
  if (shown === "truth") return toCanvas(paintLabels(scene.truth, colours), scene.size);
  return toCanvas(paintErrors(scene.mask, scene.truth, colours), scene.size);
}

export function paintReasons({ reasons, size }: Explorer): HTMLCanvasElement | null {
  const { answer, pointed } = reasons;
  if (answer === null || size === null) return null;
  return toCanvas(paintGroups(answer.groups, answer.outliers, size.width, pointed), size);
}

/** The name of the colour map in use. */
export function shownColours({ signed, choice }: Explorer): Explorer["choice"]["sequential" | "diverging"] {
  return signed ? choice.diverging : choice.sequential;
}

export function paintMap(explorer: Explorer): HTMLCanvasElement | null {
  const { answer, range, size, least } = explorer;
  if (answer === null || range === null || size === null) return null;
  return toCanvas(paintValues(answer.values.data, range, colourTable(shownColours(explorer)), least), size);
}
