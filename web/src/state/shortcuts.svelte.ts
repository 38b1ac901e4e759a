import type { CompareState } from "./compare.svelte";
import type { Explorer } from "./explorer.svelte";
import { commandFor, type Command, type Focus } from "./keys";
import type { Viewer } from "./viewer.svelte";

/** What kind of widget has the focus, as far as keys are concerned. */
export function focusOf(element: Element | null): Focus {
  if (element === null) return "page";
  if (element.matches("input[type=range], select")) return "select";
  if (element.matches("input[type=checkbox], button, a, summary")) return "button";
  if (element.matches("input, textarea, [contenteditable]")) return "text";
  if (element.matches("[role=application]")) return "picture";
  return element.matches("[role=listbox]") ? "list" : "page";
}

function run(command: Command, explorer: Explorer, viewer: Viewer, compare: CompareState, help: () => void): void {
  switch (command.do) {
    case "class": {
      const entry = explorer.listed[command.position];
      return entry && explorer.selectClass(entry.name);
    }
    case "layer":
      return explorer.stepLayer(command.step);
    case "image":
      return explorer.stepImage(command.step);
    case "region":
      return explorer.selectRegion(command.kind, viewer.crosshair);
    case "tool":
      return explorer.selectTool(command.tool, viewer.crosshair);
    case "operation":
      viewer.pen.operation = viewer.pen.operation === "remove" ? "add" : "remove";
      return;
    case "brush":
      return viewer.pen.scaleBrush(command.factor);
    case "undo":
      return explorer.undo();
    case "redo":
      return explorer.redo();
    case "clear":
      return explorer.clearRegion();
    case "live":
      return explorer.toggleLive();
    case "pin":
      return compare.togglePin();
    case "zoom":
      return viewer.zoom(command.factor);
    case "fit":
      return viewer.fit();
    case "hide":
      viewer.hidden = true;
      return;
    case "help":
      return help();
  }
}

/** Obey the page's keys. Call it while a component is being set up. */
export function listenToKeys(explorer: Explorer, viewer: Viewer, compare: CompareState, help: () => void): void {
  $effect(() => {
    const down = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || document.querySelector("dialog[open]") !== null) return;
      const command = commandFor(event, focusOf(document.activeElement));
      if (command === null) return;
      // Space and arrows would also scroll the page.
      event.preventDefault();
      if (command.do !== "hide" || !event.repeat) run(command, explorer, viewer, compare, help);
    };
    const up = (event: KeyboardEvent): void => {
      if (event.key === " ") viewer.hidden = false;
    };
    const leave = (): void => void (viewer.hidden = false);
    window.addEventListener("keydown", down);
    window.addEventListener("keyup", up);
    window.addEventListener("blur", leave);
    return () => {
      window.removeEventListener("keydown", down);
      window.removeEventListener("keyup", up);
      window.removeEventListener("blur", leave);
    };
  });
}
