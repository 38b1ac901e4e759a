/** Which key does what. One table serves the page and its help. */

import type { Tool } from "./tools";

export type Command =
  | { do: "class"; position: number }
  | { do: "layer"; step: 1 | -1 }
  | { do: "image"; step: 1 | -1 }
  | { do: "region"; kind: "everywhere" | "predicted" }
  | { do: "tool"; tool: Tool }
  | { do: "operation" }
  | { do: "brush"; factor: number }
  | { do: "undo" }
  | { do: "redo" }
  | { do: "clear" }
  | { do: "live" }
  | { do: "pin" }
  | { do: "zoom"; factor: number }
  | { do: "fit" }
  | { do: "hide" }
  | { do: "help" };

export interface KeyPress {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
}

/** Where the focus is: some widgets need certain keys for themselves. */
export type Focus = "page" | "picture" | "button" | "select" | "list" | "text";

const PLAIN: Readonly<Record<string, Command>> = {
  "[": { do: "layer", step: -1 },
  "]": { do: "layer", step: 1 },
  ArrowLeft: { do: "image", step: -1 },
  ArrowRight: { do: "image", step: 1 },
  w: { do: "region", kind: "everywhere" },
  s: { do: "region", kind: "predicted" },
  p: { do: "tool", tool: "pixel" },
  b: { do: "tool", tool: "box" },
  l: { do: "tool", tool: "lasso" },
  r: { do: "tool", tool: "brush" },
  g: { do: "tool", tool: "segment" },
  u: { do: "tool", tool: "superpixel" },
  x: { do: "operation" },
  ",": { do: "brush", factor: 1 / 1.25 },
  ".": { do: "brush", factor: 1.25 },
  Delete: { do: "clear" },
  Backspace: { do: "clear" },
  v: { do: "live" },
  c: { do: "pin" },
  "+": { do: "zoom", factor: 1.5 },
  "=": { do: "zoom", factor: 1.5 },
  "-": { do: "zoom", factor: 1 / 1.5 },
  "0": { do: "fit" },
  " ": { do: "hide" },
  "?": { do: "help" },
};

const TAKEN: Readonly<Record<Focus, (key: string) => boolean>> = {
  page: () => false,
  picture: (key) => key.startsWith("Arrow"),
  list: () => false,
  button: (key) => key === " ",
  // A select jumps to the option that begins with the letter, and steps with arrows.
  select: (key) => key === " " || key.startsWith("Arrow") || /^[a-z]$/i.test(key),
  text: () => true,
};

function steps({ key, ctrlKey, metaKey, altKey, shiftKey }: KeyPress): Command | null {
  if (!(ctrlKey || metaKey) || altKey) return null;
  if (key.toLowerCase() === "z") return { do: shiftKey ? "redo" : "undo" };
  return key.toLowerCase() === "y" ? { do: "redo" } : null;
}

/** The command of a key, or null where it has none or the focused widget needs it. */
export function commandFor(press: KeyPress, focus: Focus): Command | null {
  if (press.ctrlKey || press.metaKey) return focus === "text" ? null : steps(press);
  if (press.altKey || TAKEN[focus](press.key)) return null;
  if (/^[1-9]$/.test(press.key)) return { do: "class", position: Number(press.key) - 1 };
  return PLAIN[press.key.length === 1 ? press.key.toLowerCase() : press.key] ?? null;
}

export const HELP: readonly (readonly [keys: string, meaning: string])[] = [
  ["1 … 9", "Class, in the order of the legend"],
  ["[  ]", "Layer before, layer after"],
  ["←  →", "Image before, image after"],
  ["S", "Ask about the pixels predicted as the class"],
  ["W", "Ask about the whole image"],
  ["P  G  U", "Draw with pixels, predicted segments, superpixels: click"],
  ["B  L  R", "Draw with a box, a lasso, a brush: drag"],
  [",  .", "Smaller brush, larger brush"],
  ["Alt  X", "Hold to remove; switch between adding and removing"],
  ["Ctrl Z", "Undo a change of the region; with Shift, redo"],
  ["Delete", "Clear the region: back to the predicted pixels"],
  ["V", "Live: explain what is under the pointer as it moves"],
  ["C", "Pin the map to compare it with others; again, take the pin off"],
  ["Space", "Hold to see the image without the importance map"],
  ["+  −  0", "Zoom in, zoom out, fit"],
  ["?", "This help"],
];
