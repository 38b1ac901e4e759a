/** Which key does what. One table serves the page and its help. */

import type { Direction } from "../geometry/graphSteps";
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

/** What keys do on the graph of the network, while it has the focus. */
export type GraphCommand = { do: "go"; direction: Direction } | { do: "first" } | { do: "last" } | { do: "fold" } | { do: "foldAround" };

/** A line of the help, and the keys that it is about: nothing works that isn't told, and nothing is told that doesn't work. */
export interface KeyLine<C> {
  shown: string;
  meaning: string;
  /** By the key's value, letters small. */
  commands: Readonly<Record<string, C>>;
}

const CLASS_KEYS = [1, 2, 3, 4, 5, 6, 7, 8, 9];

export const PAGE_KEYS: readonly KeyLine<Command>[] = [
  { shown: "1 … 9", meaning: "Class, in the order of the legend", commands: Object.fromEntries(CLASS_KEYS.map((key) => [key, { do: "class", position: key - 1 }])) },
  { shown: "[  ]", meaning: "Layer before, layer after", commands: { "[": { do: "layer", step: -1 }, "]": { do: "layer", step: 1 } } },
  { shown: "←  →", meaning: "Image before, image after", commands: { ArrowLeft: { do: "image", step: -1 }, ArrowRight: { do: "image", step: 1 } } },
  { shown: "S", meaning: "Ask about the pixels predicted as the class", commands: { s: { do: "region", kind: "predicted" } } },
  { shown: "W", meaning: "Ask about the whole image", commands: { w: { do: "region", kind: "everywhere" } } },
  {
    shown: "P  G  U",
    meaning: "Draw with pixels, predicted segments, superpixels: click",
    commands: { p: { do: "tool", tool: "pixel" }, g: { do: "tool", tool: "segment" }, u: { do: "tool", tool: "superpixel" } },
  },
  {
    shown: "B  L  R",
    meaning: "Draw with a box, a lasso, a brush: drag",
    commands: { b: { do: "tool", tool: "box" }, l: { do: "tool", tool: "lasso" }, r: { do: "tool", tool: "brush" } },
  },
  { shown: ",  .", meaning: "Smaller brush, larger brush", commands: { ",": { do: "brush", factor: 1 / 1.25 }, ".": { do: "brush", factor: 1.25 } } },
  { shown: "X", meaning: "Switch between adding and removing", commands: { x: { do: "operation" } } },
  { shown: "Delete", meaning: "Clear the region: back to the predicted pixels", commands: { Delete: { do: "clear" }, Backspace: { do: "clear" } } },
  { shown: "V", meaning: "Live: explain what is under the pointer as it moves", commands: { v: { do: "live" } } },
  { shown: "C", meaning: "Pin the map to compare it, or take its pin off", commands: { c: { do: "pin" } } },
  { shown: "Space", meaning: "Hold to see the image without the importance map", commands: { " ": { do: "hide" } } },
  {
    shown: "+  −  0",
    meaning: "Zoom in, zoom out, fit",
    commands: { "+": { do: "zoom", factor: 1.5 }, "=": { do: "zoom", factor: 1.5 }, "-": { do: "zoom", factor: 1 / 1.5 }, "0": { do: "fit" } },
  },
  { shown: "?", meaning: "This help", commands: { "?": { do: "help" } } },
];

/** With Ctrl, or ⌘ on a Mac. All others of these are the browser's. */
export const CONTROL_KEYS: readonly KeyLine<Command>[] = [
  { shown: "Ctrl Z", meaning: "Undo a change of the region", commands: { z: { do: "undo" } } },
  { shown: "Ctrl Shift Z", meaning: "Redo; Ctrl Y does, too", commands: { "shift z": { do: "redo" }, y: { do: "redo" } } },
];

export const GRAPH_KEYS: readonly KeyLine<GraphCommand>[] = [
  { shown: "←  →", meaning: "To the layer before or after, along the lines", commands: { ArrowLeft: { do: "go", direction: "left" }, ArrowRight: { do: "go", direction: "right" } } },
  { shown: "↑  ↓", meaning: "Between branches, or to the row above or below", commands: { ArrowUp: { do: "go", direction: "up" }, ArrowDown: { do: "go", direction: "down" } } },
  { shown: "Home  End", meaning: "To the input, to the last layer", commands: { Home: { do: "first" }, End: { do: "last" } } },
  { shown: "Enter, Space", meaning: "Unfold a module; on a layer, fold the module around it", commands: { Enter: { do: "fold" }, " ": { do: "fold" } } },
  { shown: "Backspace", meaning: "Fold the module around", commands: { Backspace: { do: "foldAround" } } },
];

function collect<C>(lines: readonly KeyLine<C>[]): Readonly<Record<string, C>> {
  return Object.assign({}, ...lines.map((line) => line.commands)) as Record<string, C>;
}

const PAGE = collect(PAGE_KEYS);
const CONTROL = collect(CONTROL_KEYS);
const GRAPH = collect(GRAPH_KEYS);

const TAKEN: Readonly<Record<Focus, (key: string) => boolean>> = {
  page: () => false,
  picture: (key) => key.startsWith("Arrow"),
  list: () => false,
  button: (key) => key === " ",
  // A select jumps to the option that begins with the letter, and steps with arrows.
  select: (key) => key === " " || key.startsWith("Arrow") || /^[a-z]$/i.test(key),
  text: () => true,
};

function nameOf(key: string): string {
  return key.length === 1 ? key.toLowerCase() : key;
}

/** The command of a key, or null where it has none or the focused widget needs it. */
export function commandFor(press: KeyPress, focus: Focus): Command | null {
  const { key, ctrlKey, metaKey, altKey, shiftKey } = press;
  if (altKey) return null;
  // Only a text has steps of its own to undo.
  if (ctrlKey || metaKey) return focus === "text" ? null : (CONTROL[`${shiftKey ? "shift " : ""}${nameOf(key)}`] ?? null);
  return TAKEN[focus](key) ? null : (PAGE[nameOf(key)] ?? null);
}

/** What a key does on the graph, or null where it is left to the page. */
export function graphCommandFor({ key, ctrlKey, metaKey, altKey }: KeyPress): GraphCommand | null {
  return ctrlKey || metaKey || altKey ? null : (GRAPH[nameOf(key)] ?? null);
}
